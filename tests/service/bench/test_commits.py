"""The floor that only writes: it writes the very bytes of a log, in as many commits."""

from pathlib import Path
from random import Random

import pytest

from eventstore.event import NEW
from eventstore.file.disk import SystemDisk
from eventstore.log import EventLog
from eventstore.open import open_store
from service.bench.commits import as_committed, grouped, write_bare
from service.bench.written import size, written
from tests.support.build import job_created


class WatchedDisk(SystemDisk):
    """Keeps what was written, and counts the syncs."""

    data = b""
    syncs = 0

    def write(self, handle: int, data: bytes) -> int:
        done = super().write(handle, data[:1000])  # a short write, as the system may make it
        WatchedDisk.data += data[:done]
        return done

    def datasync(self, handle: int) -> None:
        WatchedDisk.syncs += 1


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> type[WatchedDisk]:
    WatchedDisk.data, WatchedDisk.syncs = b"", 0
    monkeypatch.setattr("service.bench.commits.SystemDisk", WatchedDisk)
    return WatchedDisk


async def write_log(root: Path) -> None:
    """Two commits of three jobs each, after the one that every log begins with."""
    dice = Random(1)
    log = EventLog(await open_store(f"file:{root}", dice=dice), dice=dice)
    for commit in range(2):
        new = [
            (f"job-{commit}-{n}", NEW, [job_created(payload={"text": "Übel ☠", "n": 0.1})])
            for n in range(3)
        ]
        await log.append_all(await log.prepare_all(new))
    await log.aclose()


@pytest.mark.real_time
async def test_it_writes_the_bytes_of_the_log_in_the_logs_own_commits(
    tmp_path: Path, watched: type[WatchedDisk]
) -> None:
    await write_log(tmp_path)
    log = written(tmp_path)
    commits = as_committed(log.events())
    write_bare(tmp_path, commits)
    assert watched.data == b"".join(log.lines)
    assert watched.syncs == log.commits == len(commits) == 3
    assert not (tmp_path / "bare.jsonl").exists()


@pytest.mark.real_time
async def test_what_was_written_since_is_counted_in_lines_commits_and_bytes(
    tmp_path: Path,
) -> None:
    await write_log(tmp_path)
    whole = written(tmp_path)
    first = len(whole.lines[0])
    later = written(tmp_path, first)
    assert (len(later.lines), later.commits, later.bytes) == (6, 2, size(tmp_path) - first)
    assert written(tmp_path, size(tmp_path)).lines == []


@pytest.mark.real_time
async def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    await write_log(tmp_path)
    [segment] = (tmp_path / "log").iterdir()
    whole = written(tmp_path)
    with segment.open("ab") as file:
        file.write(b'{"pos":8')
    assert written(tmp_path) == whole


@pytest.mark.parametrize(
    ("events", "sizes"), [(0, []), (1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2])]
)
def test_events_are_grouped_so_many_a_commit(events: int, sizes: list[int]) -> None:
    commits = grouped(({"pos": n} for n in range(events)), 2)
    assert [len(commit) for commit in commits] == sizes
