"""Bugs planted in how a log is read, each a small honest mistake: the level `damage at rest` must
find every one of them.

A few hundred damages of one log are enough for that, some of each sort. That the store as it is
passes all of them is shown first; else nothing would follow from the rest.
"""

import logging
import re
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from eventstore.file import directory, reader, recovery, segment, verify, writer
from eventstore.file.index import Index
from eventstore.file.reader import Reader
from eventstore.file.segment import Fault, Line, Scan
from tests.eventstore import damage_rounds
from tests.eventstore.damage_rounds import Damage, Log, all_judged, damages, drawn, written
from tests.support import smalllog
from tests.trials.level import Figures

SEED = 48  # its last segment holds several commits: one of several events, and the seal
ONE_IN = 19  # of the damages that are in one place

Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("joblog.log"), "disabled", True)


def some_judged() -> Figures:
    log = written(drawn(Random(SEED), sealed=True))
    return all_judged(log, some_damages(log), seen=len(log.events))


def some_damages(log: Log) -> list[Damage]:
    return [
        damage
        for number, damage in enumerate(damages(log))
        if number % ONE_IN == 0 or damage.what.startswith(("a file", "a zeroed", "a line", "two"))
    ]


def everywhere(patch: pytest.MonkeyPatch, name: str, wrong: object) -> None:
    """A function of the format, in each module that has it by name."""
    for module in (segment, reader, recovery, writer, directory, verify, smalllog, damage_rounds):
        if hasattr(module, name):
            patch.setattr(module, name, wrong)


def changed_scan(patch: pytest.MonkeyPatch, change: Callable[[Scan, bytes, bool], Scan]) -> None:
    scan = segment.scan

    def wrong(data: bytes, *, first: int, seed: int, sealed: bool) -> Scan:
        return change(scan(data, first=first, seed=seed, sealed=sealed), data, sealed)

    everywhere(patch, "scan", wrong)


def the_checksum_is_not_checked(patch: pytest.MonkeyPatch) -> None:
    """Whatever is an event is a good line."""
    everywhere(patch, "checksum_holds", lambda raw, seed: True)


def the_checksum_is_not_bound_to_the_log(patch: pytest.MonkeyPatch) -> None:
    """Its seed is the segment's first position alone."""
    everywhere(patch, "seed_of", lambda log_id, first: zlib.crc32(b"%d" % first))


def the_checksum_starts_from_nothing(patch: pytest.MonkeyPatch) -> None:
    """It has no seed."""
    everywhere(patch, "seed_of", lambda log_id, first: 0)


def the_checksum_leaves_out_the_framing(patch: pytest.MonkeyPatch) -> None:
    """`more` and `commit` are added after it was taken, so nothing guards them."""
    framing = re.compile(rb'(?:,"more":true)?(?:,"commit":\d+)?,"crc":"[0-9a-f]{8}"\}$')

    def body(raw: bytes) -> bytes:
        found = framing.search(raw + b',"crc":"00000000"}')
        return raw[: found.start()] if found else raw

    def closed(open_line: bytes, seed: int) -> bytes:
        return b'%b,"crc":"%08x"}' % (open_line, zlib.crc32(body(open_line), seed))

    def holds(raw: bytes, seed: int) -> bool:
        return raw == closed(raw[: -segment.CRC_TAIL_BYTES], seed)

    everywhere(patch, "closed", closed)
    everywhere(patch, "checksum_holds", holds)


def damage_is_taken_for_a_torn_end(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks whether a good line of a later commit follows."""
    patch.setattr(segment, "_later_commit_follows", lambda data, pos, seed: False)


def zeros_are_the_end(patch: pytest.MonkeyPatch) -> None:
    """What was allocated and never written ends a segment: it is no fault."""

    def change(found: Scan, data: bytes, sealed: bool) -> Scan:
        zeros = found.fault is not None and data[found.fault.byte] == 0
        return Scan(found.lines, None) if zeros else found

    changed_scan(patch, change)


def a_line_is_named_by_its_position(patch: pytest.MonkeyPatch) -> None:
    """The place of damage counts lines from the beginning of the log, not of the file."""

    def change(found: Scan, data: bytes, sealed: bool) -> Scan:
        fault = found.fault
        if fault is None:
            return found
        return Scan(
            found.lines, Fault(fault.pos, fault.pos, fault.byte, fault.found, fault.durable)
        )

    changed_scan(patch, change)


def positions_are_not_checked(patch: pytest.MonkeyPatch) -> None:
    """A good line may stand anywhere in its segment: recovery and readers count nothing."""

    def lines(data: bytes, *, first: int, seed: int, sealed: bool) -> Scan:
        found = list(segment.good_lines(data, seed=seed))
        return Scan(found, None)

    def good(self: Reader, handle: int, first: int, after: int, stop: int) -> Any:
        data = reader.read_whole(self._disk, self.path(first))
        found = list(segment.good_lines(data, seed=segment.seed_of(self.log_id, first)))
        return found[after + 1 - first : stop + 1 - first], False

    everywhere(patch, "scan", lines)
    patch.setattr(Reader, "_good_lines", good)


def the_witness_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    """That the last segment is gone is not noticed, though the index has seen it."""
    patch.setattr(Index, "require_not_beyond", lambda self, head: None)


def the_witness_is_asked_too_late(patch: pytest.MonkeyPatch) -> None:
    """One event fewer than the index has seen passes."""
    ask = Index.require_not_beyond
    patch.setattr(Index, "require_not_beyond", lambda self, head: ask(self, head + 1))


def half_an_append_is_kept(patch: pytest.MonkeyPatch) -> None:
    """`more` is ignored where the log ends."""

    def all_lines(lines: list[Line]) -> list[Line]:
        return lines

    patch.setattr(recovery, "whole_appends", all_lines)


def a_bad_line_ends_the_page(patch: pytest.MonkeyPatch) -> None:
    """A reader that meets one stops there, and does not ask why."""
    patch.setattr(Reader, "_judge", lambda self, first, needed: None)


def the_log_id_is_believed(patch: pytest.MonkeyPatch) -> None:
    """Nobody compares it with the log's first line."""
    everywhere(patch, "proved_id", lambda disk, root: None)


PLANTED: list[Plant] = [
    the_checksum_is_not_checked,
    the_checksum_is_not_bound_to_the_log,
    the_checksum_starts_from_nothing,
    the_checksum_leaves_out_the_framing,
    damage_is_taken_for_a_torn_end,
    zeros_are_the_end,
    a_line_is_named_by_its_position,
    positions_are_not_checked,
    the_witness_is_not_asked,
    the_witness_is_asked_too_late,
    half_an_append_is_kept,
    a_bad_line_ends_the_page,
    the_log_id_is_believed,
]


def test_the_store_as_it_is_passes_them() -> None:
    assert set(some_judged()) >= {"refused", "harmless", "lost ends"}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__.replace("_", " "))
def test_a_planted_bug_is_caught(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError) as caught:
        some_judged()
    print(str(caught.value)[:200])  # noqa: T201  what gave it away is worth reading (pytest -s)
