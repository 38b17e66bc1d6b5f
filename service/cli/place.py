"""Where a command looks: at a server, or at the files of a log.

Who holds the lock of a log's directory leaves words in it, among them the URL that it serves. So
`--data` is enough to find a server on this machine, and `--url` is for all others. That the lock is
really held is asked of the system, because the words outlive their process; asking takes a shared
lock for an instant, on a file that is opened for reading and never made.

What is then asked of the server, or read from the files, is told elsewhere.
"""

import fcntl
import os
import re
from dataclasses import dataclass

from service.cli.failure import Failure, Misuse

_SERVING = re.compile(r"serving (https?://\S+)")
WORDS_BYTES_MAX = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """A log's directory, or None when it is another engine's; or the URL of a server."""

    root: str | None
    store: str
    url: str | None

    @classmethod
    def chosen(cls, *, data: str, store: str | None, url: str | None) -> "Place":
        """What the options say: `store` before `data`."""
        store = store or f"file:{data}"
        scheme, _, rest = store.partition(":")
        root = (rest.rstrip("/") or "/") if scheme == "file" and rest else None
        return cls(root, store, url)

    def require_root(self) -> str:
        """The directory of the log. Raises Failure when the log is not in files."""
        if self.root is None:
            raise Misuse(f"{self.store} is no log in files: give --data DIR")
        return self.root

    def server(self) -> str | None:
        """The URL of the server to ask; None when none runs here."""
        if self.url is not None:
            return self.url
        words = None if self.root is None else holder(self.root)
        found = _SERVING.search(words or "")
        return found[1] if found else None

    def require_server(self) -> str:
        """The same. Raises Failure when none runs here."""
        url = self.server()
        if url is not None:
            return url
        start = "start one with `joblog serve`, or give the --url of one that runs"
        if self.root is None:
            raise Failure(f"which server is not known from {self.store}: give its --url")
        words = holder(self.root)
        if words is not None:
            raise Failure(f"{self.root} is in use by {words}, which is no server: {start}")
        data = "" if self.root == "./joblog-data" else f" --data {self.root}"
        raise Failure(f"no server runs on {self.root}: {start.replace('serve', f'serve{data}', 1)}")


def holder(root: str) -> str | None:
    """What the process that holds the log left in the lock; None when nobody holds it."""
    try:
        handle = os.open(f"{root}/lock", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        words = os.pread(handle, WORDS_BYTES_MAX, 0).decode(errors="replace").strip()
        return words or "a process that left no name"
    else:
        return None
    finally:
        os.close(handle)
