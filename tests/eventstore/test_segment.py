"""One file of lines, read: what each line is, what is said of a bad one, and whether it is torn.

Pure, so every verdict is asked for directly: lines are made here, and spoilt. That no damage and no
crash gets past the whole is for `damage_rounds.py` and `crash_rounds.py`.
"""

import pytest

from eventstore.file.segment import (
    MORE,
    Fault,
    Scan,
    closed,
    commit_mark,
    early_end,
    good_line,
    good_lines,
    scan,
    seed_of,
    whole_appends,
)
from eventstore.store import POSITION_MAX

FIRST = 7
SEED = seed_of("0" * 32, FIRST)


def line(pos: int, *, commit: int | None = None, more: bool = False) -> bytes:
    """A good line with its end, of a commit that began at itself or at another position."""
    body = (
        f'{{"pos":{pos},"time":"2026-11-23T12:00:00.000000Z","type":"Noted","v":1,"stream":"s",'
        f'"rev":{pos},"data":{{}},"meta":{{"n":"0123456789abcdef"}}'
    ).encode()
    framing = (MORE if more else b"") + (commit_mark(commit) if commit else b"")
    return closed(body + framing, SEED) + b"\n"


def scanned(*lines: bytes, sealed: bool = False) -> Scan:
    return scan(b"".join(lines), first=FIRST, seed=SEED, sealed=sealed)


def spoilt(good: bytes) -> bytes:
    return good.replace(b"Noted", b"Moted")


def test_a_good_line_tells_its_framing_and_where_it_begins() -> None:
    lines = [line(7), line(8, more=True), line(9, commit=8, more=True), line(10, commit=8)]
    found = scanned(*lines)
    assert found.fault is None
    assert [(it.more, it.commit) for it in found.lines] == [
        (False, 7), (True, 8), (True, 8), (False, 8)
    ]  # fmt: skip
    offsets = [sum(map(len, lines[:number])) for number in range(4)]
    assert [it.offset for it in found.lines] == offsets
    assert [it.offset for it in good_lines(b"".join(lines), seed=SEED)] == offsets
    assert [it.event.pos for it in found.lines] == [7, 8, 9, 10]


def test_the_longest_framing_is_read_whole() -> None:
    longest = POSITION_MAX - 1
    raw = line(longest + 1, commit=longest, more=True)[:-1]
    found = good_line(raw, offset=5, seed=SEED)
    assert found is not None
    assert (found.more, found.commit, found.offset) == (True, longest, 5)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (spoilt(line(8)), "the checksum of position 8 does not hold"),
        (
            spoilt(line(9)),
            "the checksum of position 8 does not hold (it calls itself 9)",
        ),
        (b"junk\n", "the checksum of position 8 does not hold"),
        (line(9), "expected position 8, found 9"),
        (line(8)[:-1], "position 8 has no end of line"),
        (bytes(10), "position 8 is zeros"),
        (bytes(10) + b"\n", "position 8 is zeros"),
        (b"\n", "position 8 is zeros"),
    ],
)
def test_of_a_bad_line_it_is_said_what_is_there_and_where(bad: bytes, says: str) -> None:
    found = scanned(line(7), bad)
    fault = found.fault
    assert fault is not None
    assert len(found.lines) == 1
    assert (fault.pos, fault.line, fault.byte, fault.found) == (8, 2, len(line(7)), says)


def test_bytes_whose_checksum_holds_but_which_are_no_event_are_a_bad_line() -> None:
    fault = scanned(closed(b'{"pos":7', SEED) + b"\n").fault
    assert fault is not None
    assert fault.found == "the checksum of position 7 does not hold"


@pytest.mark.parametrize(
    ("after", "durable"),
    [
        ([], False),
        ([line(8, commit=7)], False),
        ([line(8)], True),
        ([spoilt(line(8)), line(9)], True),
        ([line(8, commit=7), line(9)], True),
    ],
    ids=["nothing", "the same commit", "a later commit", "a later one, two on", "one of each"],
)
def test_a_bad_line_is_damage_once_a_good_one_of_a_later_commit_follows(
    after: list[bytes], durable: bool
) -> None:
    fault = scanned(spoilt(line(7)), *after).fault
    assert fault is not None
    assert (fault.pos, fault.byte, fault.durable) == (7, 0, durable)


def test_in_a_sealed_segment_every_bad_line_is_damage() -> None:
    fault = scanned(line(7), spoilt(line(8)), sealed=True).fault
    assert fault is not None
    assert fault.durable


def test_a_segment_that_ends_early_says_where() -> None:
    found = scanned(line(7), line(8, more=True)).lines
    at = len(line(7) + line(8, more=True))
    assert early_end(FIRST, found) == Fault(9, 3, at, "the segment ends early", durable=True)
    assert early_end(FIRST, []) == Fault(7, 1, 0, "the segment ends early", durable=True)


def test_an_append_that_lacks_its_end_is_left_out() -> None:
    lines = scanned(line(7), line(8, more=True), line(9, commit=8)).lines
    assert whole_appends(lines) == lines
    assert whole_appends(lines[:2]) == lines[:1]
    assert whole_appends(lines[1:2]) == []
