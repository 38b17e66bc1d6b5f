"""The transport that writes: a letter becomes a file, as `DIRECTORY/<job id>.eml`.

For development, and for mail that another program picks up. The file appears whole or not at all
(it is written beside its place, synced, and moved there), and an attempt that is made again after a
crash replaces it by the same bytes. Its directory is synced before the attempt ends, so a completed
job has its letter after a power cut, too. An attempt whose time is over may still be writing when
the next one begins: each writes beside the place under its own number. Who is in Bcc is not in the
file; the envelope is in the job.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

from service.processors import Attempt
from service.processors.email.mime import Letter
from service.processors.email.transport import left_over


class FileTransport:
    """Carries letters into a directory, which is made when it is missing."""

    timeout_s = 60.0

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    async def __call__(self, letter: Letter, attempt: Attempt) -> dict[str, Any]:
        """See Transport."""
        path = self._directory / f"{attempt.job_id}.eml"
        beside = self._directory / f"{attempt.job_id}.{attempt.number}.tmp"
        await asyncio.to_thread(_write, path, beside, letter.content)
        attempt.accepted.update(left_over(letter, attempt))
        return {"transport": "file", "path": str(path), "bytes": len(letter.content)}

    async def aclose(self) -> None:
        """See Transport: nothing is open."""


def _write(path: Path, beside: Path, content: bytes) -> None:
    _make(path.parent)
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)  # no later attempt would write over it
    _sync(path.parent)


def _make(directory: Path) -> None:
    """With the directories it is in. A new one is as lasting as the entry that names it."""
    if not directory.is_dir():
        _make(directory.parent)
        directory.mkdir(exist_ok=True)
        _sync(directory.parent)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
