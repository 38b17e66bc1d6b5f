"""What the trials have found: each bug of joblog that a level met, and how it was mended.

A row stays for good. The seed is that of the round which met it, as of the version named; what
holds it since is the unit test beside the room that was mended, and the level, which goes on
looking. Bugs that were planted to try a level are not here: they are in the test beside it.
"""

from typing import Final, NamedTuple


class Found(NamedTuple):
    """One bug. `seed` is None where none was drawn."""

    date: str
    level: str  # by its name in levels.py
    seed: int | None
    bug: str
    mended: str


FOUND: Final[tuple[Found, ...]] = (
    Found(
        "2026-11-25",
        "hostile lines",
        None,
        "a damaged line of many beginnings of lines, and no end, was scanned in time that grew with"
        " the square of its length: a start and verify took most of an hour over ten megabytes",
        "the end of a line is looked for no farther than a line is long",
    ),
    Found(
        "2026-11-25",
        "hostile lines",
        None,
        "a `commit` or a `pos` of thousands of digits ended a start, tail and replay with a"
        " ValueError instead of StoreCorrupt",
        "a position has at most 19 digits, whatever is longer is none",
    ),
    Found(
        "2026-11-25",
        "hostile lines",
        None,
        "verify ended with a ValueError at an event whose time is no time of day",
        "it is told as what it is: an event that is not what its type says",
    ),
    Found(
        "2026-11-25",
        "hostile lines",
        None,
        "replay ended with a traceback (KeyError, TypeError, ValidationError) where a line's"
        " checksum holds and its data makes no sense",
        "it ends as at any damage, and names the first event that makes none",
    ),
    Found(
        "2026-11-25",
        "hostile lines",
        None,
        "verify, and tail on a terminal, could not print an integer of more than 64 bits",
        "what is printed is encoded by msgspec, which knows integers of any size",
    ),
    Found(
        "2026-11-25",
        "hostile lines",
        None,
        "an error or a traceback in an event that is no text ended replay, and would have ended a"
        " start",
        "the fold makes text of it: nobody checks what is private",
    ),
    Found(
        "2026-11-25",
        "hostile requests",
        None,
        "any web page could pause, resume, cancel and retry at a server on the same machine, for"
        " a form's POST without a body needs no content type",
        "an order that a browser sends for another site's page is refused (403)",
    ),
    Found(
        "2026-11-25",
        "crash points",
        0,
        "a commit that began more than one segment before the disk was full was refused, but of the"
        " segments that it began only the last was taken back: the next start showed a part of it",
        "a refused commit takes back all segments that it began",
    ),
    Found(
        "2026-11-25",
        "damage at rest",
        None,
        "of a log of one segment whose log-id was damaged, every line looked torn, and was cut",
        "the log-id is compared with the one in the log's first line before anything is judged",
    ),
    Found(
        "2026-11-25",
        "simulation",
        None,
        "a client that hung up in the very turn in which a job came left a failed callback behind",
        "a wait that has just ended is not asked to end again",
    ),
    Found(
        "2026-11-25",
        "simulation",
        None,
        "a remote worker's claim that could not be recorded was asked for again without a pause",
        "it is put back a second later, as the worker inside the server does",
    ),
)
