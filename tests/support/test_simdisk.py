"""The simulated disk, tested: what it loses, keeps and tears, and that it otherwise is a real one.

A tester that forgives is worse than none, so each way to lose data is shown to happen here. The
parity test runs one workload on both disks; no claim is made about a real file system's timing.
"""

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from eventstore.errors import StoreLocked
from eventstore.file.disk import Disk, SystemDisk
from tests.support.faults import FAULTS, Fault, Hang, PowerCut
from tests.support.simdisk import CALLS_MAX, SimDisk

LINE = b"0123456789" * 30


def test_it_can_stand_in_for_the_real_one() -> None:
    disk: Disk = SimDisk()
    assert disk.filesystem("") not in {"nfs", "cifs"}


def test_the_same_calls_leave_the_same_bytes_on_both_disks(tmp_path: Path) -> None:
    simulated = SimDisk()
    assert workload(simulated, "root") == workload(SystemDisk(), str(tmp_path / "root"))
    on_disk = {
        f"root/{path.relative_to(tmp_path / 'root')}": path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert simulated.files() == on_disk


@pytest.mark.parametrize(
    "wrong",
    [
        lambda disk, root: disk.open(f"{root}/missing"),
        lambda disk, root: disk.listdir(f"{root}/missing"),
        lambda disk, root: disk.create(f"{root}/missing/file"),
        lambda disk, root: disk.create(f"{root}/file"),
        lambda disk, root: disk.rename(f"{root}/missing", f"{root}/other"),
        lambda disk, root: disk.unlink(f"{root}/missing"),
        lambda disk, root: disk.size(closed(disk, f"{root}/file")),
        lambda disk, root: [disk.lock(f"{root}/lock", owner) for owner in ("one", "two")],
    ],
)
def test_the_same_mistakes_raise_the_same_errors(
    wrong: Callable[[Disk, str], object], tmp_path: Path
) -> None:
    raised = []
    for disk, root in ((SimDisk(), "root"), (SystemDisk(), str(tmp_path / "root"))):
        disk.mkdir(root)
        disk.close(disk.create(f"{root}/file"))
        with pytest.raises((OSError, StoreLocked)) as caught:
            wrong(disk, root)
        says = str(caught.value.args[0]).replace(root, "root")
        raised.append((type(caught.value), says))
    assert raised[0] == raised[1]


def test_what_was_synced_survives_and_the_rest_may_be_any_prefix_of_it() -> None:
    disk = disk_with(synced=b"kept", unsynced=b"abc")
    left = {image.files()["d/file"] for image in disk.images(dice=Random(1))}
    assert left == {b"kept", b"kepta", b"keptab", b"keptabc", b"kept\0\0\0"}
    assert disk.power_cut().files()["d/file"] == b"kept"


def test_sectors_arrive_in_any_order_and_the_missing_ones_hold_zeros_or_stale_bytes() -> None:
    new = b"n" * 1024
    disk = disk_with(synced=b"", unsynced=new)
    left = {image.files()["d/file"] for image in disk.images(dice=Random(1), stale=b"stale")}
    assert bytes(512) + b"n" * 512 in left
    assert (b"stale" * 103)[:512] + b"n" * 512 in left
    assert b"n" * 512 + bytes(512) in left


def test_a_missing_sector_may_hold_what_was_there_before_a_cut_back() -> None:
    disk = disk_with(synced=b"o" * 1024, unsynced=b"")
    handle = disk.open("d/file")
    disk.truncate(handle, 512)
    disk.write(handle, b"n" * 512)
    left = {image.files()["d/file"] for image in disk.images(dice=Random(1))}
    assert {b"o" * 1024, b"o" * 512, b"o" * 512 + b"n" * 512, b"o" * 512 + bytes(512)} <= left


def test_what_was_durable_in_a_torn_sector_stays() -> None:
    disk = disk_with(synced=LINE, unsynced=LINE)
    images = list(disk.images(dice=Random(1), stale=b"x"))
    assert len(images) > len(LINE)
    assert all(image.files()["d/file"].startswith(LINE) for image in images)


def test_beyond_six_sectors_subsets_are_drawn_the_same_for_the_same_seed() -> None:
    disk = disk_with(synced=b"", unsynced=b"n" * 512 * 8)
    first, again, other = (
        [image.files()["d/file"] for image in disk.images(dice=Random(seed))] for seed in (1, 1, 2)
    )
    assert first == again != other
    assert 512 * 8 + 40 < len(first) < 512 * 8 + 2 * 48


def test_whole_pages_are_lost_too() -> None:
    disk = disk_with(synced=b"", unsynced=b"n" * 4096 * 2)
    left = {image.files()["d/file"] for image in disk.images(dice=Random(1))}
    assert {bytes(4096) + b"n" * 4096, b"n" * 4096 + bytes(4096)} <= left


def test_names_not_synced_may_be_there_or_not_in_any_combination() -> None:
    disk = disk_with(synced=b"old", unsynced=b"")
    disk.close(disk.create("d/a"))
    disk.rename("d/file", "d/b")
    left = {frozenset(image.files()) for image in disk.images(dice=Random(1))}
    combinations = [{"d/file"}, {"d/file", "d/a"}, {"d/b"}, {"d/a", "d/b"}]
    assert left == set(map(frozenset, combinations))
    disk.syncdir("d")
    assert set(disk.power_cut().files()) == {"d/a", "d/b"}


def test_syncing_a_directory_covers_no_other() -> None:
    disk = SimDisk()
    disk.mkdir("d/deep")
    disk.close(disk.create("d/deep/file"))
    disk.syncdir("d")
    assert disk.power_cut().files() == {}


def test_more_than_five_unsynced_names_arrive_in_order() -> None:
    disk = SimDisk()
    disk.mkdir("d")
    for name in "abcdef":
        disk.close(disk.create(f"d/{name}"))
    left = ["".join(path[2:] for path in image.files()) for image in disk.images(dice=Random(1))]
    assert left == ["", "a", "ab", "abc", "abcd", "abcde", "abcdef"]


def test_of_two_unsynced_files_one_is_torn_while_the_other_arrived_wholly_or_not_at_all() -> None:
    disk = disk_with(synced=b"", unsynced=b"ab", name="one")
    fill(disk, synced=b"", unsynced=b"cd", name="two")
    left = {tuple(image.files().values()) for image in disk.images(dice=Random(1))}
    assert {(b"a", b""), (b"a", b"cd"), (b"", b"c"), (b"ab", b"c"), (b"ab", b"cd")} <= left
    assert (b"a", b"c") not in left


@pytest.mark.parametrize("fault", FAULTS["datasync"])
def test_a_failed_sync_loses_the_data_and_the_next_one_says_it_is_fine(fault: Fault) -> None:
    disk = disk_with(synced=b"kept", unsynced=b"lost")
    handle = disk.open("d/file")
    disk.fail("datasync", fault)
    with pytest.raises(OSError, match=fault.value):
        disk.datasync(handle)
    disk.datasync(handle)
    assert disk.failed_syncs == 1
    assert disk.read(handle, 0, 99) == b"keptlost"
    assert [image.files()["d/file"] for image in disk.images(dice=Random(1))] == [b"kept"]


def test_after_a_failed_sync_of_a_directory_its_names_may_be_there_or_not() -> None:
    disk = disk_with(synced=b"", unsynced=b"")
    disk.close(disk.create("d/unsure"))
    disk.fail("syncdir", Fault.EIO)
    with pytest.raises(OSError, match="device"):
        disk.syncdir("d")
    left = [list(image.files()) for image in disk.images(dice=Random(1))]
    assert (left, disk.failed_syncs) == ([["d/file"], ["d/file", "d/unsure"]], 1)


def test_a_restarted_process_reads_ghosts_until_it_drops_them_from_the_cache() -> None:
    disk = disk_with(synced=b"kept", unsynced=b"ghost")
    disk.fail("datasync", Fault.EIO)
    with pytest.raises(OSError, match="device"):
        disk.datasync(disk.open("d/file"))
    disk.restart()
    handle = disk.open("d/file")
    assert disk.read(handle, 0, 99) == b"keptghost"
    disk.evict(handle)
    assert disk.read(handle, 0, 99) == b"kept"


def test_dropping_the_cache_keeps_what_is_still_to_be_written() -> None:
    disk = disk_with(synced=b"kept", unsynced=b"dirty")
    disk.restart()
    handle = disk.open("d/file")
    disk.evict(handle)
    assert disk.read(handle, 0, 99) == b"keptdirty"
    assert disk.power_cut().files()["d/file"] == b"kept"


def test_a_restart_lets_go_of_handles_locks_and_plans() -> None:
    disk = SimDisk()
    handle = disk.lock("lock", "process 1\n")
    disk.fail("mkdir", Fault.ENOSPC)
    with pytest.raises(StoreLocked, match="process 1"):
        disk.lock("lock", "process 2\n")
    disk.restart()
    disk.mkdir("d")
    disk.lock("lock", "process 3\n")
    with pytest.raises(OSError, match="descriptor"):
        disk.size(handle + 1)


def test_a_cut_before_a_call_stops_it_and_all_that_follow() -> None:
    disk = disk_with(synced=b"", unsynced=b"")
    handle = disk.open("d/file")
    number = len(disk.journal)
    disk.cut(before=number + 1)
    disk.write(handle, b"written")
    for call in (disk.datasync, disk.size, disk.close):
        with pytest.raises(PowerCut):
            call(handle)
    assert disk.journal[number:] == ["write"]
    assert disk.power_cut().files()["d/file"] == b""


def test_a_cut_after_a_call_lets_it_happen() -> None:
    disk = disk_with(synced=b"", unsynced=b"written")
    disk.cut(after=len(disk.journal))
    with pytest.raises(PowerCut):
        disk.datasync(disk.open("d/file"))
    assert disk.power_cut().files()["d/file"] == b"written"


def test_a_fault_happens_once_or_for_ever_from_its_number_on() -> None:
    for for_ever in (False, True):
        disk = disk_with(synced=b"", unsynced=b"")
        handle = disk.open("d/file")
        disk.fail("write", Fault.EIO, at=len(disk.journal) + 1, for_ever=for_ever)
        assert disk.write(handle, b"before") == 6
        with pytest.raises(OSError, match="device"):
            disk.write(handle, b"at")
        if for_ever:
            with pytest.raises(OSError, match="device"):
                disk.write(handle, b"after")
        else:
            assert disk.write(handle, b"after") == 5


def test_a_fault_can_follow_a_fault() -> None:
    disk = disk_with(synced=b"", unsynced=b"")
    handle = disk.open("d/file")
    disk.fail("write", Fault.SHORT_THEN_ENOSPC)
    disk.fail("truncate", Fault.EIO)
    disk.write(handle, bytes(10))
    with pytest.raises(OSError, match="room"):
        disk.write(handle, bytes(5))
    with pytest.raises(OSError, match="device"):
        disk.truncate(handle, 0)
    disk.truncate(handle, 0)


def test_short_writes_take_a_part_and_may_run_out_of_room_next() -> None:
    disk = disk_with(synced=b"", unsynced=b"")
    handle = disk.open("d/file")
    disk.fail("write", Fault.SHORT, for_ever=True)
    assert [disk.write(handle, bytes(size)) for size in (10, 5, 3, 2, 1)] == [5, 2, 1, 1, 1]
    disk.restart()
    handle = disk.open("d/file")
    disk.fail("write", Fault.SHORT_THEN_ENOSPC)
    assert disk.write(handle, bytes(10)) == 5
    with pytest.raises(OSError, match="room") as caught:
        disk.write(handle, bytes(5))
    assert caught.value.errno == errno.ENOSPC
    assert disk.write(handle, bytes(5)) == 5


def test_a_loop_around_a_write_that_takes_nothing_is_reported() -> None:
    disk = disk_with(synced=b"", unsynced=b"")
    handle = disk.open("d/file")
    disk.fail("write", Fault.ZERO, for_ever=True)
    assert {disk.write(handle, b"nothing") for _ in range(CALLS_MAX - len(disk.journal))} == {0}
    with pytest.raises(Hang):
        disk.write(handle, b"nothing")


def test_a_full_disk_takes_what_fits_and_more_when_there_is_room_again() -> None:
    disk = SimDisk(capacity=10)
    disk.mkdir("d")
    handle = disk.create("d/file")
    assert (disk.write(handle, bytes(8)), disk.write(handle, bytes(8))) == (8, 2)
    with pytest.raises(OSError, match="room"):
        disk.write(handle, b"x")
    disk.truncate(handle, 4)
    assert (disk.free("d"), disk.write(handle, bytes(8))) == (6, 6)
    disk.capacity += 5
    assert disk.write(handle, bytes(8)) == 5


def test_allocated_room_is_taken_until_its_file_is_removed() -> None:
    disk = SimDisk(capacity=10)
    disk.mkdir("d")
    handle = disk.create("d/reserve")
    disk.allocate(handle, 8)
    assert disk.free("d") == 2
    with pytest.raises(OSError, match="room"):
        disk.allocate(disk.create("d/more"), 3)
    disk.unlink("d/reserve")
    assert disk.free("d") == 10


def test_databases_go_with_the_process_unless_they_are_to_be_kept() -> None:
    for keep in (False, True):
        disk = SimDisk(keep_databases=keep)
        one, other = disk.database("index.sqlite"), disk.database("index.sqlite")
        one.execute("CREATE TABLE seen (pos)")
        other.execute("INSERT INTO seen VALUES (1)")
        image = disk.power_cut()
        one.close()
        other.close()
        disk.restart()
        assert [has_rows(each) for each in (disk, image)] == [keep, keep]
        assert disk.listdir("") == ["index.sqlite"]


def test_a_database_that_was_removed_is_empty_when_it_is_opened_again() -> None:
    disk = SimDisk(keep_databases=True)
    disk.database("index.sqlite").execute("CREATE TABLE seen (pos)")
    disk.unlink("index.sqlite")
    assert disk.listdir("") == []
    assert not has_rows(disk)


def closed(disk: Disk, path: str) -> int:
    handle = disk.open(path)
    disk.close(handle)
    return handle


def has_rows(disk: SimDisk) -> bool:
    database = disk.database("index.sqlite")
    try:
        return bool(database.execute("SELECT * FROM seen").fetchall())
    except sqlite3.OperationalError:
        return False
    finally:
        database.close()


def disk_with(*, synced: bytes, unsynced: bytes, name: str = "file") -> SimDisk:
    disk = SimDisk()
    disk.mkdir("d")
    fill(disk, synced=synced, unsynced=unsynced, name=name)
    return disk


def fill(disk: SimDisk, *, synced: bytes, unsynced: bytes, name: str) -> None:
    handle = disk.create(f"d/{name}")
    if synced:
        disk.write(handle, synced)
    disk.datasync(handle)
    disk.syncdir("d")
    if unsynced:
        disk.write(handle, unsynced)
    disk.close(handle)


def workload(disk: Disk, root: str) -> list[object]:
    """A bit of everything; what the calls answered."""
    disk.mkdir(f"{root}/log")
    lock = disk.lock(f"{root}/lock", "process 1\n")
    handle = disk.create(f"{root}/log/1")
    answers: list[object] = [disk.write(handle, LINE), disk.write(handle, b""), disk.size(handle)]
    disk.truncate(handle, 250)
    disk.write(handle, b"end")
    disk.datasync(handle)
    disk.evict(handle)
    answers += [disk.read(handle, 240, 99), disk.read(handle, 999, 9), disk.size(handle)]
    disk.truncate(handle, 260)
    disk.close(handle)
    copy = disk.create(f"{root}/log/1.new")
    disk.write(copy, b"copy")
    disk.close(copy)
    disk.close(disk.create(f"{root}/log/2"))
    disk.rename(f"{root}/log/1.new", f"{root}/log/2")
    disk.close(disk.create(f"{root}/gone"))
    disk.unlink(f"{root}/gone")
    disk.syncdir(f"{root}/log")
    again = disk.open(f"{root}/log/2")
    answers += [disk.write(again, b"!"), disk.read(again, 0, 99)]
    disk.close(again)
    answers += [disk.listdir(root), disk.listdir(f"{root}/log")]
    disk.close(lock)
    return answers
