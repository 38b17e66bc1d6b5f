"""Settings of a service: plain values with their defaults and units, made by the command line or a
test.

No I/O and no environment here: `service.cli` reads flags and `JOBLOG_…` variables, and hands over
one of these.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from projections.events import Doubt

EmailTransport: TypeAlias = Literal["simulated", "smtp", "file"]
SmtpTls: TypeAlias = Literal["starttls", "implicit", "none"]

DATA = "./joblog-data"
HOST = "127.0.0.1"
PORT = 8080


class CannotServeError(Exception):
    """The settings do not allow to serve; nothing was touched."""


@dataclass(frozen=True, slots=True)
class EmailSettings:
    """What the kind `email` is told. `smtp_…` is for the transport of this name."""

    transport: EmailTransport = "simulated"
    sender: str | None = None  # of messages without a `from`
    message_id_domain: str | None = None  # None: the sender's
    on_unknown: Doubt = "retry"  # when nobody knows whether it was sent
    directory: str = "./joblog-mail"  # of the file transport
    failure_rate: float = 0.1  # of the simulated transport
    latency_s: float = 0.05
    smtp_host: str = "localhost"
    smtp_port: int | None = None  # None: 587 for STARTTLS, 465 for TLS from the start, 25 for none
    smtp_tls: SmtpTls = "starttls"
    smtp_username: str | None = None
    smtp_password: str | None = field(default=None, repr=False)
    smtp_connections: int = 10  # at a time
    smtp_connect_s: float = 30
    smtp_command_s: float = 300  # RFC 5321, section 4.5.3.2, as is the next
    smtp_answer_s: float = 600  # to the message: a shorter wait means more second copies


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """What the kind `webhook` is told."""

    secrets: tuple[str, ...] = field(default=(), repr=False)  # each signs; none: unsigned
    allow: tuple[str, ...] = ()  # networks that are not public, and may be reached all the same
    timeout_s: float = 20  # of an attempt


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process is told."""

    store: str = f"file:{DATA}"
    host: str = HOST
    port: int = PORT  # 0: any free one
    concurrency: int = 100  # attempts at a time
    work: bool = True  # run jobs, not only take them
    threads: bool = True  # for what blocks; False runs it on the loop, for virtual time
    remote_kinds: tuple[str, ...] = ()  # taken at intake, run by remote workers only
    processors: str | None = None  # a module whose processors are added to the built-in ones
    lease_s: float = 30
    cancel_grace_s: float = 10  # for an attempt to stop once its cancellation was requested
    drain_s: float = 10  # how long running attempts may go on after SIGTERM
    min_free_bytes: int = 64 * 1024 * 1024  # intake closes below this
    max_pending: int = 1_000_000  # open jobs; intake closes for what would be more
    allowed_hosts: tuple[str, ...] = ()  # names it answers to beside this machine's own
    tokens: str = ""  # lines, also separated by ;
    tokens_file: str | None = None
    connections_max: int = 4000
    held_max: int = 1000  # requests that wait at a time: long polls, streams, claims
    insecure: bool = False  # allow another address than the loopback without tokens
    backoff_base_s: float = 5  # of kinds that do not say: the longest wait after a first failure
    email: EmailSettings = field(default_factory=EmailSettings)
    webhook: WebhookSettings = field(default_factory=WebhookSettings)
    seed: int | None = None  # of all dice; None: from the operating system

    @property
    def guarded(self) -> bool:
        """Whether who has no token is refused."""
        return self.tokens != "" or self.tokens_file is not None
