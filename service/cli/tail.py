"""`tail`: the log, or its end, and with `--follow` whatever comes.

It reads the files, so it works on a running server's directory, a stopped one's and a copy. On a
terminal an event is a line of words, in a pipe it is its line as it stands in the log. Following
is looking whether the files have grown, a few times a second; it takes nothing from the server.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import click

from eventstore.event import Event
from service.cli.files import LogFiles
from service.cli.options import command, files_only, json_too, option
from service.cli.output import as_table, print_lines, print_text
from service.cli.place import Place
from service.cli.words import words

LAST = 20
LOOK_EVERY_S = 0.2

Match = Callable[[Event], bool]


@command(
    "tail",
    "joblog tail --follow --type JobFailed",
    "joblog tail --after 0 | jq -c '[.pos, .type, .stream]'",
)
@option("--follow", "-f", is_flag=True, show_default=False, help="Go on with what is appended.")
@option("--type", "types", metavar="TYPE", multiple=True, help="Only this type; may be repeated.")
@option("--stream", metavar="ID", help="Only this stream: a job's id, or `log`.")
@option("--after", metavar="POS", type=click.IntRange(0), help="All after this position; 0: all.")
@option("--last", "-n", type=click.IntRange(0), default=LAST, help="So many, without --after.")
@files_only
@json_too
def tail_log(
    *, place: Place, follow: bool, types: tuple[str, ...], stream: str | None,
    after: int | None, last: int, as_json: bool,
) -> None:  # fmt: skip
    """Show the log, or its end."""

    def match(event: Event) -> bool:
        return (not types or event.type in types) and (stream is None or event.stream == stream)

    log = LogFiles(place.require_root())
    filtered = bool(types or stream)
    for events in _pages(log, match, after, last, filtered=filtered):
        _print(events, as_json=as_json)
    while follow:
        seen = log.end
        if log.extend():
            for page in log.pages(seen):
                _print(filter(match, page), as_json=as_json)
        else:
            threading.Event().wait(LOOK_EVERY_S)


def _pages(
    log: LogFiles, match: Match, after: int | None, last: int, *, filtered: bool
) -> Iterator[Iterable[Event]]:
    """What there is: all after a position, or the last few."""
    if after is not None:
        for page in log.pages(after):
            yield filter(match, page)
        return
    ending: deque[Event] = deque(maxlen=last)
    for page in log.pages(0 if filtered else max(0, log.end - last)):
        ending.extend(filter(match, page))
    yield ending


def _print(events: Iterable[Event], *, as_json: bool) -> None:
    if not as_table(as_json=as_json):
        print_lines(event.line for event in events)
        return
    for event in events:
        print_text(
            f"{event.pos:>8}  {event.time}  {event.type:<14}  {event.stream}  {words(event)}"
        )
