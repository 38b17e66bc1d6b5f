"""Settings of a service: plain values with their defaults and units, made by the command line or a
test.

No I/O and no environment here: `service.cli` reads flags and `JOBLOG_…` variables, and hands over
one of these.
"""

from dataclasses import dataclass

DATA = "./joblog-data"
HOST = "127.0.0.1"
PORT = 8080


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process is told."""

    store: str = f"file:{DATA}"
    host: str = HOST
    port: int = PORT  # 0: any free one
    concurrency: int = 100  # attempts at a time
    work: bool = True  # run jobs, not only take them
    processors: str | None = None  # a module whose processors are added to the built-in ones
    lease_s: float = 30
    drain_s: float = 10  # how long running attempts may go on after SIGTERM
    min_free_bytes: int = 64 * 1024 * 1024  # intake closes below this
    allowed_hosts: tuple[str, ...] = ()  # names it answers to beside this machine's own
    insecure: bool = False  # allow another address than the loopback, without any access control
    backoff_base_s: float = 5  # of the built-in kinds: the longest wait after a first failure
    email_failure_rate: float = 0.1  # of the simulated transport
    email_latency_s: float = 0.05
    seed: int | None = None  # of all dice; None: from the operating system
