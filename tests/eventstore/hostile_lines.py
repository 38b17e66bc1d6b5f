"""The level `hostile lines`: what is read as a log may be anything.

| tried      | what it is | what is promised |
|------------|------------|------------------|
| lines      | a line of a log, changed; lines of other segments and logs | not taken for a line |
| forged     | the same with its checksum made right | what any reader of JSON finds, or none |
| segments   | a file with changes | its lines up to the first bad one, which is named |
| recoveries | a log with one of its files changed | refused; or only what was not durable is lost |
| monsters   | ten megabytes without end, depth, or sense | the same verdict, soon |

Changes are drawn and not guided by coverage: what parses is written in C, and atheris, which can be
guided by the little Python around it only, found none of four planted bugs in 100,000 lines each.

Only the documented errors come out, and never an event that was not written. What `joblog` commands
say of forged logs is `tests/service/cli/forged_logs.py`'s matter. Everything follows from the seed.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from time import process_time
from typing import Any, Final

from eventstore.errors import StoreCorrupt
from eventstore.event import NEW, Event, Head, prepare
from eventstore.file.segment import (
    CRC_TAIL_BYTES,
    Line,
    closed,
    commit_mark,
    first_of,
    good_line,
    scan,
    seed_of,
)
from eventstore.file.verify import Problem, verify
from tests.eventstore.crash_rounds import drawn
from tests.service.cli.forged_logs import forged_logs
from tests.support.build import LOG_ID, random_life, record
from tests.support.mutation import mutated
from tests.support.simdisk import SimDisk
from tests.support.smalllog import (
    EVENTS_MAX,
    ROOT,
    SEGMENT_EVENTS,
    log_files,
    open_store,
    run_still,
)
from tests.trials.level import Figures, Level

LINES, FORGED, SEGMENTS, RECOVERIES, COMMANDS, MONSTERS = 20_000, 8_000, 2_000, 150, 200, 2
FRAMING_BYTES: Final = 60  # of a line's end: half of all forgeries are there
MEGABYTES: Final = 10 * 1024 * 1024
SOON_S: Final = 5.0  # of CPU time; it takes a second
SEED: Final = seed_of(LOG_ID, 1)
OTHER_SEED: Final = seed_of(LOG_ID, 65_537)

MONSTROUS: Final[tuple[Callable[[bytes], bytes], ...]] = (
    lambda line: b'{"pos":1,' * (MEGABYTES // 9),
    lambda line: line[: line.index(b'"data":') + 7] + b"[" * MEGABYTES,
    lambda line: line[: line.index(b'"data":') + 7] + b'{"a":' * (MEGABYTES // 5) + b"\n",
    lambda line: b'{"pos":' + b"9" * MEGABYTES + line[line.index(b",") :],
    lambda line: line[: line.index(b'"meta"')] + b'"x":"' + b"\\u0041" * (MEGABYTES // 6) + b'"',
    lambda line: b"\0" * MEGABYTES,
    lambda line: (line + b"\r") * (MEGABYTES // (len(line) + 1)),
    lambda line: line[:-1] + b',"commit":' * (MEGABYTES // 10),
)


class Broken(AssertionError):
    """A reader broke a promise."""

    def __init__(self, what: str, raw: bytes) -> None:
        super().__init__(f"{what}: {raw[:300]!r}{' …' if len(raw) > 300 else ''}")


def one_round(seed: int) -> Figures:
    """Some of everything, of one log of lines and one of files."""
    dice = Random(seed)
    log = logging.getLogger("joblog.log")
    before, log.disabled = log.disabled, True  # of torn tails it warns again and again
    try:
        lines = some_lines(dice)
        return {
            "lines": try_lines(dice, lines),
            "forged lines": try_forged(dice, lines),
            "segments": try_segments(dice, lines),
            "recoveries": try_recoveries(dice),
            "monsters": try_monsters(dice, lines),
            "commands": forged_logs(dice, COMMANDS),
        }
    finally:
        log.disabled = before


def some_lines(dice: Random, seed: int = SEED) -> list[bytes]:
    """The lines of a segment: the lives of some jobs, framed in every way."""
    lines: list[bytes] = []
    while len(lines) < 60:
        stream = f"s{len(lines)}"
        for event in record(*random_life(dice, 9), stream=stream, pos=len(lines) + 1):
            more = dice.choice((b"", b"", b',"more":true'))
            begun = event.pos - dice.randrange(3)
            commit = commit_mark(begun) if 0 < begun < event.pos else b""
            lines.append(closed(event.line[:-1] + more + commit, seed))
    return lines


def try_lines(dice: Random, lines: list[bytes], count: int = LINES) -> int:
    """Raise Broken if anything but a line of the segment is taken for one."""
    there = set(lines)
    foreign = some_lines(dice, OTHER_SEED)
    for number in range(count):
        raw = mutated(dice, dice.choice(lines), lines) if number % 10 else dice.choice(foreign)
        if read(raw) is not None and raw not in there:
            raise Broken("taken for a line of the segment", raw)
    return count


def try_forged(dice: Random, lines: list[bytes], count: int = FORGED) -> int:
    """Raise Broken if a line is read as another event than JSON has it."""
    bodies = [line[:-CRC_TAIL_BYTES] for line in lines]
    for _ in range(count):
        body = dice.choice(bodies)
        kept = dice.choice((0, len(body) - FRAMING_BYTES))
        raw = closed(body[:kept] + mutated(dice, body[kept:], bodies), SEED)
        line = read(raw)
        if line is not None and told(line) != plainly(raw):
            raise Broken("read as something else", raw)
    return count


def read(raw: bytes) -> Line | None:
    """The line. Raises Broken for any error: there is none to be had."""
    try:
        line = good_line(raw, offset=0, seed=SEED)
        if line is not None:
            assert isinstance(line.commit, int)
            assert line.more in {False, True}
    except Exception as error:
        raise Broken(f"{error!r} comes out", raw) from error
    return line


def told(line: Line) -> dict[str, Any]:
    """What was made of a line."""
    event = line.event
    members = ("pos", "time", "type", "v", "stream", "rev", "data", "private", "meta")
    return {name: getattr(event, name) for name in members}


def plainly(raw: bytes) -> dict[str, Any]:
    """What Python's own reader makes of it, as far as members go that an event has."""
    found = json.loads(raw.decode(errors="replace"), parse_int=_any_int)
    event = {"private": None, "meta": {}} | found
    members = ("pos", "time", "type", "v", "stream", "rev", "data", "private", "meta")
    return {name: event[name] for name in members}


def _any_int(digits: str) -> Any:
    return int(digits) if len(digits) < 4_000 else digits


def try_segments(dice: Random, lines: list[bytes], count: int = SEGMENTS) -> int:
    """Raise Broken unless what is found is a beginning of what was written, and the rest a fault
    where it begins.
    """
    for _ in range(count):
        few = lines[: dice.randint(1, 12)]
        data = mutated(dice, b"".join(line + b"\n" for line in few), lines)
        try:
            found = scan(data, first=1, seed=SEED, sealed=dice.random() < 0.2)
        except Exception as error:
            raise Broken(f"{error!r} comes out", data) from error
        good = [line.event.line for line in found.lines]
        if good != lines[: len(good)]:
            raise Broken("not a beginning of what was written", data)
        end = sum(len(line) + 1 for line in good)
        if (found.fault is None) != (end == len(data)):
            raise Broken("a fault is not told, or told and not there", data)
        if found.fault is not None and found.fault.byte != end:
            raise Broken("the fault is elsewhere", data)
    return count


def try_monsters(dice: Random, lines: Sequence[bytes], count: int = MONSTERS) -> int:
    """Raise Broken unless even these are judged soon."""
    for monstrous in dice.sample(MONSTROUS, count):
        raw = monstrous(dice.choice(lines))
        since = process_time()
        for each in (raw, closed(raw, SEED)):
            read(each)
        found = scan(raw, first=1, seed=SEED, sealed=False)
        if found.lines or found.fault is None:
            raise Broken("not told to be a fault", raw)
        if process_time() - since > SOON_S:
            raise Broken(f"it takes {process_time() - since:.1f} s", raw)
    return count


@dataclass(frozen=True)
class Files:
    """A log at rest: its disk, its events, and of each of its files what it holds."""

    disk: SimDisk
    events: list[Event]
    lines: dict[str, list[Line]]

    def damages(self, path: str, change: bytes) -> bool:
        """Whether what was durable is bad now and who only reads can know it, because a segment or
        a line of a later commit is there. (Of an end that is gone caches would be witnesses.)
        """
        lines, good = self.lines[path], 0
        while good < len(lines) and _stands_at(lines[good], change):
            good += 1
        if good == len(lines) or path != max(self.lines):
            return good < len(lines)
        rest, bad = change[lines[good].offset :], lines[good].event.pos
        later = [line.event.line for line in lines if line.commit > bad]
        return any(raw + b"\n" in rest or rest.endswith(raw) for raw in later)


def _stands_at(line: Line, data: bytes) -> bool:
    return data.startswith(line.event.line + b"\n", line.offset)


def try_recoveries(dice: Random, count: int = RECOVERIES) -> int:
    """Raise Broken unless a log that was changed at one place is refused, or is read up to there
    and nothing was durable that is not read; or if `verify` does not see it.
    """
    log = run_still(_written(dice))
    for _ in range(count):
        path = dice.choice([*log.lines])
        files = log.disk.files()
        change = mutated(dice, files[path], [files[each] for each in log.lines])
        found = run_still(_opened(log.disk.holding(files | {path: change})))
        if found is not None and found != log.events[: len(found)]:
            raise Broken(f"{path}: not a beginning of what was written", change)
        if found is not None and log.damages(path, change):
            raise Broken(f"{path}: damage is passed over, {len(found)} events are left", change)
        at_line_end = files[path].startswith(change) and change[-1:] in (b"", b"\n")
        if found != log.events and not (
            _problems(log.disk.holding(files | {path: change}), path, change) or at_line_end
        ):
            raise Broken(f"{path}: verify sees nothing", change)
    return count


async def _written(dice: Random) -> Files:
    disk = SimDisk()
    store = await open_store(disk)
    heads: dict[str, Head] = {}
    for batch in drawn(dice):
        appends = [
            prepare(stream, heads.get(stream, NEW), events, nonce=nonce)
            for stream, nonce, events in batch
        ]
        for append, result in zip(appends, await store.commit(appends), strict=True):
            assert isinstance(result, list), result
            heads[append.stream] = result[-1].head
    events = await store.read(limit=EVENTS_MAX)
    await store.aclose()
    disk.restart()
    log_id = events[0].data["log_id"]
    return Files(
        disk, events, {path: _lines(path, data, log_id) for path, data in log_files(disk).items()}
    )


def _lines(path: str, data: bytes, log_id: str) -> list[Line]:
    first = first_of(path.rpartition("/")[2])
    assert first is not None
    return scan(data, first=first, seed=seed_of(log_id, first), sealed=False).lines


async def _opened(disk: SimDisk) -> list[Event] | None:
    """What can be read; None for a log that is refused as it should be."""
    try:
        return await (await open_store(disk)).read(limit=EVENTS_MAX)
    except StoreCorrupt:
        return None
    finally:
        disk.restart()


def _problems(disk: SimDisk, path: str, change: bytes) -> list[Problem]:
    try:
        found = list(verify(disk, ROOT, segment_events=SEGMENT_EVENTS))
    except Exception as error:
        raise Broken(f"{path}: {error!r} comes out of verify", change) from error
    return [each for each in found if isinstance(each, Problem)]


LEVEL = Level(
    name="hostile lines",
    breaks="lines, segments and logs changed by lot, also with their checksums made right again",
    proves="only documented errors come out, soon, and never an event that nobody wrote",
    leaves="two changes that make up for each other in a checksum; what a newer joblog would write",
    round=one_round,
    short=4,
    least={"lines": 80_000, "forged lines": 32_000, "segments": 8_000, "recoveries": 600,
           "monsters": 8, "commands": 800},
)  # fmt: skip
