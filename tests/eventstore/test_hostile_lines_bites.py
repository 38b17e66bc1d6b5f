"""The level `hostile lines` finds the bugs that it is there for: each is planted, in the product.

Some are there by name because they were found so: an integer of thousands of digits, a scan that
never ends, a time of day that there is not.
"""

import re
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

import projections.verify
from eventstore import event
from eventstore.file import reader, recovery, segment, verify
from eventstore.file.segment import CRC_TAIL_BYTES, Line, Scan
from service.cli import files
from tests.eventstore import hostile_lines
from tests.eventstore.hostile_lines import some_lines
from tests.service.cli.forged_logs import forged_logs

Plant = Callable[[pytest.MonkeyPatch], None]


def everywhere(monkeypatch: pytest.MonkeyPatch, name: str, changed: Any) -> None:
    """Who imported the function has the changed one too."""
    for module in (segment, reader, recovery, verify, hostile_lines):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, changed)


def the_checksum_is_looked_for_and_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def checksum_holds(raw: bytes, seed: int) -> bool:
        return re.fullmatch(rb',"crc":"[0-9a-f]{8}"\}', raw[-CRC_TAIL_BYTES:]) is not None

    everywhere(monkeypatch, "checksum_holds", checksum_holds)


def the_checksum_is_not_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = segment.closed
    monkeypatch.setattr(segment, "closed", lambda line, seed: honest(line, 0))
    holds = segment.checksum_holds
    everywhere(monkeypatch, "closed", segment.closed)
    everywhere(monkeypatch, "checksum_holds", lambda raw, seed: holds(raw, 0))


def deep_nesting_is_not_thought_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(line: bytes) -> event.Event:
        try:
            found = event._DECODER.decode(line)
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from error
        return event.Event(*(getattr(found, name) for name in found.__struct_fields__), line)

    monkeypatch.setattr(segment, "decode", decode)


def a_commit_may_have_any_number_of_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = re.compile(rb',"commit":(\d+),"crc":"[0-9a-f]{8}"\}$')
    monkeypatch.setattr(segment, "_COMMIT", pattern)
    monkeypatch.setattr(segment, "FRAMING_BYTES_MAX", 10**9)


def a_position_is_taken_from_where_it_should_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = segment.decode

    def decode(line: bytes) -> event.Event:
        found, first = honest(line), re.search(rb'"pos": *(\d{1,19})', line)
        return msgspec.structs.replace(found, pos=int(first[1]) if first else 0)

    monkeypatch.setattr(segment, "decode", decode)


def the_end_of_a_line_is_looked_for_however_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "_LINE_BYTES_MAX", 10**9)


class AnyPosition(int):
    """A position that is the expected one, whatever that is."""

    __hash__ = int.__hash__

    def __ne__(self, other: object) -> bool:
        return False


def positions_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = segment.good_line

    def good_line(raw: bytes, *, offset: int, seed: int) -> Line | None:
        line = honest(raw, offset=offset, seed=seed)
        if line is None:
            return None
        placed = msgspec.structs.replace(line.event, pos=AnyPosition(line.event.pos))
        return msgspec.structs.replace(line, event=placed)

    monkeypatch.setattr(segment, "good_line", good_line)


def a_bad_line_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = segment.scan

    def scan(data: bytes, *, first: int, seed: int, sealed: bool) -> Scan:
        found = honest(data, first=first, seed=seed, sealed=sealed)
        if found.fault is None:
            return found
        end = data.find(b"\n", found.fault.byte)
        rest = list(segment.good_lines(data[end:], seed=seed)) if end >= 0 else []
        return Scan([*found.lines, *rest], None if rest else found.fault)

    everywhere(monkeypatch, "scan", scan)


def all_that_is_bad_is_taken_for_torn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment, "_later_commit_follows", lambda data, pos, seed: False)


def verify_takes_any_text_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections.verify, "_is_timestamp", lambda text: True)


def replay_gives_up_with_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_require_sense", lambda log: None)


def of_lines(seed: int) -> None:
    dice = Random(seed)
    lines = some_lines(dice)
    hostile_lines.try_lines(dice, lines, 3_000)
    hostile_lines.try_forged(dice, lines, 6_000)


def of_segments(seed: int) -> None:
    dice = Random(seed)
    hostile_lines.try_segments(dice, some_lines(dice), 2_000)


def of_recoveries(seed: int) -> None:
    hostile_lines.try_recoveries(Random(seed), 100)


def of_monsters(seed: int) -> None:
    dice = Random(seed)
    hostile_lines.try_monsters(dice, some_lines(dice), len(hostile_lines.MONSTROUS))


def of_commands(seed: int) -> None:
    forged_logs(Random(seed), 1_000)


@pytest.mark.parametrize(
    ("plant", "trial", "seed", "says"),
    [
        (the_checksum_is_looked_for_and_not_computed, of_lines, 1, "taken for a line"),
        (the_checksum_is_not_seeded, of_lines, 1, "taken for a line"),
        (deep_nesting_is_not_thought_of, of_lines, 1, "RecursionError"),
        (a_commit_may_have_any_number_of_digits, of_lines, 1, "ValueError"),
        (a_position_is_taken_from_where_it_should_stand, of_lines, 1, "read as something else"),
        (positions_are_not_compared, of_segments, 1, "not a beginning of what was written"),
        (a_bad_line_is_passed_over, of_segments, 1, "not a beginning of what was written"),
        (all_that_is_bad_is_taken_for_torn, of_recoveries, 1, "damage is passed over"),
        (verify_takes_any_text_for_a_time, of_commands, 2, "joblog verify: ValueError"),
        (replay_gives_up_with_a_traceback, of_commands, 2, "joblog replay --digest: "),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_a_planted_bug_is_found(
    plant: Plant,
    trial: Callable[[int], None],
    seed: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=says):
        trial(seed)


def test_a_scan_that_takes_for_ever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    the_end_of_a_line_is_looked_for_however_far_it_is(monkeypatch)
    monkeypatch.setattr(hostile_lines, "MEGABYTES", 200_000)  # of ten it would take an hour
    monkeypatch.setattr(hostile_lines, "SOON_S", 0.3)
    with pytest.raises(AssertionError, match="it takes"):
        of_monsters(1)
