"""The stage of a trial on real processes: a folder, a server that may die, workers elsewhere, and
what is to be true of all that in the end.

The server keeps its address from life to life, as one behind a supervisor does. Its log is read
between two lives with nothing of joblog's own code (`rawlog`) and held against what clients were
told (`promises`). `settle` is the end: everything gets its time to come to rest, the server stops
in good order, and `joblog verify` and `joblog replay --diff` have their say.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.e2e import small
from tests.e2e.load import Address, Connection, load, repeat_one
from tests.support.promises import Promises, require_ran
from tests.support.rawlog import Life, lives, read_log
from tests.support.server import (
    ROOT,
    Command,
    Server,
    ServerDidNotStartError,
    kill_while_starting,
)

LEASE_S = 0.5
REST_S = 30  # for everything to end once nothing is killed any more
PORTS = range(20_000, 30_000)  # below those that clients get: else one could connect to itself

_SERVER = (
    "--processors", "tests.e2e.near", "--remote-kind", "far", "--lease", str(LEASE_S),
    "--backoff-base", "0.05", "--email-latency", "0.002", "--email-failure-rate", "0.3",
)  # fmt: skip


class Trial:
    """One round. `folder` is for what is not the server's, `data` is the server's."""

    def __init__(self, folder: Path, data: Path, dice: Random, bug: str | None = None) -> None:
        self.folder = folder
        self.data = data
        self.dice = dice
        self.promises = Promises()
        self.address = Address(_free_port())
        self.server: Server | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self._connections: list[Connection] = []
        self._ran = folder / "ran"
        self._ran.touch()
        self._env = {small.RAN: str(self._ran)} | ({small.BUG: bug} if bug else {})
        self._flags = (*_SERVER, "--port", str(self.address.port))

    def start(self, *, before: Command = ()) -> Server:
        """A life of the server begins."""
        self.server = Server(self.data, *self._flags, env=self._env, before=before)
        self.address.up()
        return self.server

    def try_to_start(self, *, before: Command = ()) -> ServerDidNotStartError | None:
        """The same where it may be refused: how."""
        try:
            self.start(before=before)
        except ServerDidNotStartError as error:
            return error
        return None

    def kill(self) -> None:
        """Kill -9."""
        assert self.server is not None
        self.server.kill()
        self.gone()

    def freeze(self) -> None:
        """Stop the server where it is, in the middle of a system call too; what is left is to kill
        it.
        """
        assert self.server is not None
        os.killpg(self.server.pid, signal.SIGSTOP)

    def gone(self) -> None:
        """The server has ended."""
        self.address.down()
        self.server = None

    def kill_while_starting(self, after_s: float) -> None:
        """A life that ends before it was of any use."""
        kill_while_starting(self.data, *self._flags, env=self._env, after_s=after_s)

    def connect(self) -> Connection:
        """A connection, which is closed when all is over."""
        self._connections.append(Connection(self.address))
        return self._connections[-1]

    def add_worker(self, *flags: str) -> "subprocess.Popen[bytes]":
        """One more `joblog worker`; it need not be up when this returns."""
        command = [
            sys.executable, "-m", "service", "worker",
            "--url", f"http://127.0.0.1:{self.address.port}",
            "--processors", "tests.e2e.far", *flags,
        ]  # fmt: skip
        self.workers.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | self._env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        )
        return self.workers[-1]

    def kill_worker(self) -> None:
        """Kill one of the workers, and put another in its place."""
        _end(self.workers.pop(self.dice.randrange(len(self.workers))))
        self.add_worker()

    def require_kept(self, *, whole: bool = False) -> dict[str, Life]:
        """Judge the log as it lies there, its writer gone; every job in it."""
        log = read_log(self.data, segment_events=small.SEGMENT_EVENTS, whole=whole)
        found = lives(log.lines)
        self.promises.require_kept(found, len(log.lines))
        require_ran(found, self._ran)
        return found

    def settle(self) -> dict[str, Life]:
        """Nothing is killed any more: all that was promised comes to its one end."""
        server = self.server or self.start()
        connection = self.connect()
        for asked, first in self.promises.answers[-50:]:
            repeat_one(connection, self.promises, asked, first)
        for job_id in self.promises.jobs:
            job = server.finished(job_id, within_s=REST_S)
            assert job["finished_at"], f"{job_id} does not end: {job}"
        while self.workers:
            _end(self.workers.pop())
        code = server.terminate()
        assert code == 0, (code, server.lines)
        self.gone()
        found = self.require_kept(whole=True)
        known = set(self.promises.jobs)
        stuck = [job_id for job_id in known if not found[job_id].ended]
        assert not stuck, f"{len(stuck)} jobs never ended: {stuck[:3]}"
        for command in (["verify"], ["replay", "--diff"]):
            _joblog(*command, "--data", str(self.data))
        return found

    def destroy(self) -> None:
        """Whatever state it is in, nothing runs afterwards."""
        self.address.end()
        for each in self._connections:
            each.close()
        if self.server is not None:
            self.server.destroy()
        while self.workers:
            _end(self.workers.pop())


@contextmanager
def trial(dice: Random, bug: str | None = None, data: Path | None = None) -> Iterator[Trial]:
    """A stage for the length of a `with`; the log is in its own folder unless said otherwise."""
    with TemporaryDirectory(prefix="joblog-trial-") as folder:
        stage = Trial(Path(folder), data or Path(folder) / "data", dice, bug)
        try:
            yield stage
        finally:
            stage.destroy()


@contextmanager
def under_load(stage: Trial, *, clients: int, hands: int = 0) -> Iterator[None]:
    """Clients at work for the length of a `with`, from life to life."""
    with load(stage.address, stage.promises, stage.dice, clients=clients, hands=hands):
        yield


def _end(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        process.kill()
    process.communicate()


def _joblog(*command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.small", *command],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"joblog {command[0]}: {done.stdout[-2000:]} {done.stderr[-2000:]}"


def _free_port() -> int:
    """By other dice than the trial's: those of two trials may be the same, their ports may not."""
    while True:
        port = Random().choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
