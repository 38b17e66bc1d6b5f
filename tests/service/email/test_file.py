"""The transport that writes: one file a job, whole, with the bytes of the letter."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from service.processors.email.file import FileTransport
from tests.support.letters import ADA, BOB, EVE, JOB, attempt, letter

pytestmark = pytest.mark.real_time  # it writes in a thread


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_letter_becomes_a_file_of_its_bytes(tmp_path: Path):
    sent, first = letter(to=[ADA, EVE], bcc=BOB), attempt()
    result = await FileTransport(str(tmp_path / "a/b"))(sent, first)
    path = tmp_path / "a/b" / f"{JOB}.eml"
    assert path.read_bytes() == sent.content
    assert result == {"transport": "file", "path": str(path), "bytes": len(sent.content)}
    assert first.accepted == {0, 1, 2}


async def test_an_attempt_that_is_made_again_makes_no_second_file(tmp_path: Path):
    carrier = FileTransport(str(tmp_path))
    for number in (1, 2):
        await carrier(letter(), attempt(number))
    assert files(tmp_path) == {f"{JOB}.eml": letter().content}


async def test_a_file_is_whole_or_not_there(tmp_path: Path):
    (tmp_path / f"{JOB}.1.tmp").write_bytes(
        b"half of an older attempt, longer than the letter" * 99
    )
    await FileTransport(str(tmp_path))(letter(), attempt())
    assert files(tmp_path) == {f"{JOB}.eml": letter().content}


async def test_a_directory_that_cannot_be_had_fails_the_attempt(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        await FileTransport(str(tmp_path / "file"))(letter(), attempt())


async def test_a_letter_and_new_directories_are_on_the_disk_before_the_attempt_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced = list[tuple[str, list[str]]]()
    real = os.fsync

    def fsync(handle: int) -> None:
        of = os.fstat(handle)
        paths = [tmp_path, *tmp_path.rglob("*")]
        path = next(path for path in paths if os.path.samestat(path.stat(), of))
        inside = names(path) if path.is_dir() else []
        synced.append((str(path.relative_to(tmp_path)), inside))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    await FileTransport(str(tmp_path / "a/b"))(letter(), attempt())
    assert synced == [
        (".", ["a"]),
        ("a", ["b"]),
        (f"a/b/{JOB}.1.tmp", []),
        ("a/b", [f"{JOB}.eml"]),
    ]


async def test_an_attempt_still_in_its_thread_does_not_disturb_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first_is_at_it, go_on, first_ended = threading.Event(), threading.Event(), threading.Event()
    real_fsync, real_unlink = os.fsync, Path.unlink

    def fsync(handle: int) -> None:
        if not first_is_at_it.is_set():
            first_is_at_it.set()
            go_on.wait(10)
        real_fsync(handle)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        real_unlink(path, missing_ok)
        if path.name == f"{JOB}.1.tmp":
            first_ended.set()

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "unlink", unlink)
    carrier = FileTransport(str(tmp_path))
    try:
        first = asyncio.create_task(carrier(letter(), attempt(1)))
        assert await asyncio.to_thread(first_is_at_it.wait, 10)
        first.cancel()
        await carrier(letter(), attempt(2))
        assert files(tmp_path) == {
            f"{JOB}.1.tmp": letter().content,
            f"{JOB}.eml": letter().content,
        }
    finally:
        go_on.set()
    assert await asyncio.to_thread(first_ended.wait, 10)
    assert files(tmp_path) == {f"{JOB}.eml": letter().content}


async def test_an_attempt_that_fails_leaves_nothing_beside(tmp_path: Path):
    (tmp_path / f"{JOB}.eml").mkdir()
    with pytest.raises(OSError):
        await FileTransport(str(tmp_path))(letter(), attempt())
    assert names(tmp_path) == [f"{JOB}.eml"]
