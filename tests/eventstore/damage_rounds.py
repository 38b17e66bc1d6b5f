"""The level `damage at rest`: whatever can rot in a small log is tried, and every answer judged.

A round draws a log, closed in good order (it ends in a seal) or not, and does each of these to it:
each bit of each byte flipped, each byte lost and doubled, each file cut at each byte, each line
lost, doubled, swapped with each other one of its file, each sector zeroed, each file lost, come
from another log, each two swapped; its log-id as well. Each damaged log is a *case* twice: no
witness is left, or the index has seen all of the log or a drawn part of it. A case is

- *refused*: `StoreCorrupt`, by the open or by whoever reads, which names the damaged file, and of
  what lies in one place there the line and its byte; or it says that the index has seen more;
- *harmless*: the events are the same;
- *a lost end*: a silent loss, allowed only of what no witness has seen, and where nobody can tell:
  what is left is byte for byte a shorter log; or the last commit is damaged, or all from some place
  to the last line, so that it looks torn.

Nothing else may happen: no other event, no other error. Each case is opened by the log's files
alone (see `smalllog`) and read to its end; of one damage in WHOLE_EVERY the whole store must say
the same, and `verify` must see damage where it refuses, and none in an end that looks torn.
"""

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate, combinations
from random import Random
from types import SimpleNamespace
from typing import NamedTuple, TypeAlias

from eventstore.errors import StoreCorrupt
from eventstore.event import Event, NewEvent
from eventstore.file.index import Index
from eventstore.file.segment import CRC_TAIL_BYTES, closed, first_of, seed_of
from eventstore.file.verify import Problem, verify
from tests.support.history import AT, Planned, workload
from tests.support.simdisk import SimDisk
from tests.support.smalllog import (
    EVENTS_MAX,
    ROOT,
    SEGMENT_EVENTS,
    LogFiles,
    log_files,
    open_store,
    run_still,
    write_all,
)
from tests.trials.level import Figures, Level

WHOLE_EVERY = 200
SECTOR_BYTES = 512
BATCHES = 5  # so many fill a segment and begin a second or third one
LOG_ID = f"{ROOT}/log-id"
INDEX = f"{ROOT}/index.sqlite"

Files: TypeAlias = dict[str, bytes]
Answer: TypeAlias = list[Event] | StoreCorrupt
Place: TypeAlias = tuple[str, int, int]  # file, line, byte


class Log(NamedTuple):
    """A log at rest, the same with its index, and where each line starts in each file.

    Its last commit begins at position `commit`, and at byte `start` of `newest`.
    """

    bare: SimDisk
    seen: SimDisk
    files: Files
    events: list[Event]
    lines: dict[str, list[int]]
    newest: str
    start: int
    commit: int


class Damage(NamedTuple):
    """What the files are now; of damage in one place the first byte that is not as it was, and how
    many follow.
    """

    what: str
    files: Files
    paths: tuple[str, ...]
    at: int | None = None
    size: int = 1


def one_round(seed: int) -> Figures:
    """Everything that can rot in a log."""
    warned = logging.getLogger("joblog.log")
    before, warned.disabled = warned.disabled, True
    try:
        dice = Random(seed)
        log = written(drawn(dice, sealed=seed % 2 == 1))
        seen = dice.choice([len(log.events), dice.randrange(2, len(log.events))])
        return all_judged(log, damages(log), seen)
    finally:
        warned.disabled = before


def all_judged(log: Log, tried: Iterable[Damage], seen: int) -> Figures:
    """How the cases of these damages end, when the index has seen nothing and when so much."""
    total: Counter[str] = Counter()
    for number, damage in enumerate(tried):
        for witness in (0, seen):
            total[judged(log, damage, opened(log, damage, witness), witness)] += 1
        total["cases"] += 2
        if number % WHOLE_EVERY == 0:
            require_agreement(log, damage)
            total["cases opened whole and verified"] += 2
    return total


def drawn(dice: Random, *, sealed: bool) -> list[list[Planned]]:
    """The batches of a log."""
    batches = [
        [
            (stream, [dice.choice((1, 1, 1, 40)) for _ in range(dice.choice((1, 1, 2, 3)))])
            for stream in dice.sample("abc", dice.randint(1, 2))
        ]
        for _ in range(BATCHES)
    ]
    planned = workload(*batches)
    if sealed:
        seal = NewEvent("LogSealed", AT, {"epoch": 1})
        planned.append([Planned("log", "5ea1" * 4, (seal,))])
    return planned


def written(batches: list[list[Planned]]) -> Log:
    """The log of these batches."""
    bare, seen = SimDisk(), SimDisk(keep_databases=True)
    events, _ = [run_still(write_all(disk, batches)) for disk in (bare, seen)]
    files = log_files(bare)
    assert files == log_files(seen)
    lines = {
        path: [0, *accumulate(len(line) for line in content.splitlines(keepends=True))]
        for path, content in files.items()
    }
    newest = max(files)
    commit = len(events) + 1 - sum(len(planned.events) for planned in batches[-1])
    first_there = len(events) + 2 - len(lines[newest])
    start = lines[newest][max(0, commit - first_there)]
    return Log(bare, seen, files, events, lines, newest, start, commit)


def damages(log: Log) -> Iterator[Damage]:
    """All of them."""
    log_id = log.bare.files()[LOG_ID]
    for path, content in [*log.files.items(), (LOG_ID, log_id)]:
        for what, at, damaged in _in_one_place(content):
            yield Damage(what, {path: damaged}, (path,), at)
        for start in range(0, len(content), SECTOR_BYTES):
            size = min(SECTOR_BYTES, len(content) - start)
            zeroed = content[:start] + bytes(size) + content[start + size :]
            yield Damage("a zeroed sector", {path: zeroed}, (path,), start, size)
    for path, starts in log.lines.items():
        yield from _misplaced_lines(path, log.files[path], starts)
    for path in [*log.files, LOG_ID]:
        yield Damage("a file lost", {}, (path,))
    for path, content in log.files.items():
        another = _of_another_log(path, content)
        yield Damage("a file of another log", {path: another}, (path,), 0, len(content))
    for one, other in combinations(log.files, 2):
        files = {one: log.files[other], other: log.files[one]}
        yield Damage("two files swapped", files, (one, other))


def _in_one_place(content: bytes) -> Iterator[tuple[str, int, bytes]]:
    for at in range(len(content)):
        before, byte, after = content[:at], content[at], content[at + 1 :]
        for bit in range(8):
            yield "a flipped bit", at, before + bytes([byte ^ 1 << bit]) + after
        yield "a lost byte", at, before + after
        yield "a doubled byte", at + 1, before + bytes([byte, byte]) + after
        yield "a cut", at, before


def _misplaced_lines(path: str, content: bytes, starts: list[int]) -> Iterator[Damage]:
    lines = content.splitlines(keepends=True)
    for i, line in enumerate(lines):
        lost, doubled = lines[:i] + lines[i + 1 :], [*lines[: i + 1], line, *lines[i + 1 :]]
        yield Damage("a line lost", {path: b"".join(lost)}, (path,), starts[i])
        yield Damage("a line doubled", {path: b"".join(doubled)}, (path,), starts[i + 1])
    for i, j in combinations(range(len(lines)), 2):
        swapped = [*lines]
        swapped[i], swapped[j] = lines[j], lines[i]
        yield Damage("two lines swapped", {path: b"".join(swapped)}, (path,), starts[i])


def _of_another_log(path: str, content: bytes) -> bytes:
    """A segment such as another log has in this place, with other events."""
    first = first_of(path.rpartition("/")[2])
    seed = seed_of("0" * 32, first or 0)
    others = [line.replace(b':"x', b':"y')[:-CRC_TAIL_BYTES] for line in content.splitlines()]
    return b"".join(closed(line, seed) + b"\n" for line in others)


def damaged(disk: SimDisk, damage: Damage) -> SimDisk:
    """The disk with this damage."""
    files = disk.files()
    for path in damage.paths:
        del files[path]
    return disk.holding(files | damage.files)


def opened(log: Log, damage: Damage, witness: int) -> Answer:
    """What an open and a reader say, when the index has seen so much."""
    index = SimpleNamespace(checkpoint=witness, _path=INDEX)
    try:
        return LogFiles(
            damaged(log.bare, damage),
            require_head=lambda head: Index.require_not_beyond(index, head),
        ).read()
    except StoreCorrupt as error:
        return error


def judged(log: Log, damage: Damage, answer: Answer, witness: int) -> str:
    """Which sort of case it is. Raises AssertionError for what may not happen."""
    if isinstance(answer, StoreCorrupt):
        _require_place(log, damage, answer)
        return "refused"
    if answer == log.events:
        return "harmless"
    case = f"{damage.what} in {damage.paths}, byte {damage.at}, when {witness} had been seen"
    assert answer == log.events[: len(answer)], f"a silent change: {case}"
    assert _is_whole(log, len(answer)), f"half an append: {case}"
    assert len(answer) >= witness, f"a silent loss of what was seen: {case}"
    assert _may_be_lost(log, damage, len(answer)), f"a silent loss: {case}"
    return "lost ends"


def _is_whole(log: Log, head: int) -> bool:
    """Whether an append ends here."""
    return head == 0 or log.events[head - 1].nonce != log.events[head].nonce


def _may_be_lost(log: Log, damage: Damage, head: int) -> bool:
    """Whether nobody can tell: a shorter log is left, or nothing good behind what looks torn."""
    left = {path: damage.files.get(path, b"") for path in damage.paths}
    if LOG_ID in left:
        return False
    if b"".join(log.files.values()).startswith(b"".join((log.files | left).values())):
        return True
    if damage.paths != (log.newest,) or damage.at is None:
        return False
    if damage.at >= log.start:
        return head >= log.commit - 1
    *_, last_line, _ = log.lines[log.newest]
    return damage.at + damage.size > last_line and head >= _append_at(log, damage.at) - 1


def _append_at(log: Log, at: int) -> int:
    """Where the append begins whose line is at this byte of the newest file."""
    starts = log.lines[log.newest]
    pos = len(log.events) + 1 - len(starts) + bisect_right(starts, at)
    nonce = log.events[pos - 1].nonce
    while log.events[pos - 2].nonce == nonce:
        pos -= 1
    return pos


def _require_place(log: Log, damage: Damage, error: StoreCorrupt) -> None:
    """The refusal says where to look."""
    said = (error.file, error.line, error.byte)
    if error.file == INDEX:
        assert "acknowledged events are gone" in error.found
        return
    place = f"{damage.what} in {damage.paths}, byte {damage.at}, not {error}"
    if "its index has seen" in error.found:  # where the append begins that is not whole now
        assert said <= _place(log, damage), place
    elif damage.at is None or damage.paths == (LOG_ID,):
        assert error.file in damage.paths, place
    else:
        assert said == _place(log, damage), place


def _place(log: Log, damage: Damage) -> Place:
    path, at = damage.paths[-1], damage.at or 0
    line = bisect_right(log.lines[path], at)
    return path, line, log.lines[path][line - 1]


def require_agreement(log: Log, damage: Damage) -> None:
    """The whole store says what its files alone did, and `verify` sees what it refuses."""
    for disk, witness in ((log.bare, 0), (log.seen, len(log.events))):
        expected = opened(log, damage, witness)
        told, whole = _told(expected), _told(run_still(_opened_whole(damaged(disk, damage))))
        assert whole == told, f"{damage.what}: the store says {whole}, its files {told}"
        if expected == log.events:  # `verify` may see more: lines behind the end of a full segment
            continue
        if isinstance(expected, StoreCorrupt) and expected.file == INDEX:
            continue  # of an end that is gone altogether only the caches know
        problems = [
            found.found
            for found in verify(
                damaged(disk, damage), ROOT, acknowledged=witness, segment_events=SEGMENT_EVENTS
            )
            if isinstance(found, Problem) and not found.is_note
        ]
        refused = isinstance(expected, StoreCorrupt)
        assert bool(problems) == refused, f"{damage.what}: {told}, but verify: {problems}"


async def _opened_whole(disk: SimDisk) -> Answer:
    try:
        return await (await open_store(disk)).read(limit=EVENTS_MAX)
    except StoreCorrupt as error:
        return error
    finally:
        disk.restart()


def _told(answer: Answer) -> object:
    if isinstance(answer, StoreCorrupt):
        return answer.file, answer.line, answer.byte, answer.found
    return [event.pos for event in answer]


LEVEL = Level(
    name="damage at rest",
    breaks="every bit, byte, line, sector and file of a log that was closed",
    proves="damage is refused where it is; of what a witness has seen nothing is lost, of the rest"
    " only an end that looks torn; nothing is ever changed in silence",
    leaves="two damages at once; damage to the caches; the end of a log whose caches are gone too",
    round=one_round,
    short=7,
    least={"cases": 290_000, "cases opened whole and verified": 1_400},
)
