"""What an open may change, and when: nothing before every witness agreed, and even on a full disk.

On real files with a disk that counts or refuses calls. That recovery ends in the right bytes
whatever a crash left is the crash points' matter (`test_crash_points.py`), and damage at rest is
`test_damage.py`'s.
"""

import errno
from pathlib import Path
from random import Random

import pytest

from eventstore import clock
from eventstore.errors import StoreCorrupt
from eventstore.event import NEW, NewEvent, prepare
from eventstore.file.disk import SystemDisk
from eventstore.file.store import FileStore
from eventstore.offload import Inline


class FullDisk(SystemDisk):
    """Takes no byte while the reserve is there: the reserve is all the room that is left."""

    def __init__(self, root: str) -> None:
        self._root = root

    def write(self, handle: int, data: bytes) -> int:
        if "reserve" in self.listdir(self._root):
            raise OSError(errno.ENOSPC, "no space left")
        return super().write(handle, data)


async def opened(root: Path, disk: SystemDisk | None = None) -> FileStore:
    return await FileStore.open(str(root), dice=Random(1), offload=Inline(), disk=disk)


async def written(root: Path, count: int) -> None:
    """A log with so many streams, closed in good order: its index has seen everything."""
    store = await opened(root)
    for number in range(count):
        event = NewEvent("JobCreated", clock.now(), {"number": number})
        await store.commit([prepare(f"s{number}", NEW, [event], nonce=f"{number:016x}")])
    await store.aclose()


async def test_a_start_that_the_index_refuses_has_changed_nothing(tmp_path: Path) -> None:
    await written(tmp_path, 5)
    segment = tmp_path / "log/000000000001.jsonl"
    cut = segment.read_bytes()[:-10]
    segment.write_bytes(cut)
    with pytest.raises(StoreCorrupt, match="ends at position 5, but its index has seen 6"):
        await opened(tmp_path)
    assert segment.read_bytes() == cut
    assert not (tmp_path / "torn").exists()


async def test_without_the_index_the_same_end_is_torn_cut_and_kept(tmp_path: Path) -> None:
    await written(tmp_path, 5)
    segment = tmp_path / "log/000000000001.jsonl"
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines)[:-10])
    (tmp_path / "index.sqlite").unlink()
    store = await opened(tmp_path)
    assert await store.head() == 5
    await store.aclose()
    assert segment.read_bytes() == b"".join(lines[:5])
    [torn] = (tmp_path / "torn").iterdir()
    assert torn.read_bytes() == lines[5][:-10]


async def test_a_full_disk_is_opened_in_the_room_that_was_kept(tmp_path: Path) -> None:
    await written(tmp_path, 5)
    assert (tmp_path / "reserve").exists()
    store = await opened(tmp_path, FullDisk(str(tmp_path)))
    assert await store.head() == 6
    await store.aclose()


async def test_a_full_disk_without_a_reserve_is_an_error_that_changes_nothing(
    tmp_path: Path,
) -> None:
    await written(tmp_path, 5)
    segment = (tmp_path / "log/000000000001.jsonl").read_bytes()

    class NoRoom(FullDisk):
        def unlink(self, path: str) -> None:
            if path.endswith("/reserve"):
                raise FileNotFoundError(path)
            super().unlink(path)

    with pytest.raises(OSError, match="no space left"):
        await opened(tmp_path, NoRoom(str(tmp_path)))
    assert (tmp_path / "log/000000000001.jsonl").read_bytes() == segment
    store = await opened(tmp_path)
    assert await store.head() == 6
    await store.aclose()
