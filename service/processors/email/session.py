"""One connection to a mail server, a step at a time, so that it is known where it ended.

aiosmtplib speaks the protocol; what is added is that every failure of a step becomes one
`SessionError` that names the phase, that each step has its time limit and its length is kept, and
that DATA is told in two parts: until the server asks for the message nothing can have been
delivered, afterwards nobody knows before the answer. A session that is left in the middle of a step
cannot be used again, and its line is cut, not closed: closing would still send what is buffered.

Which connection carries which message is `pool`'s matter, what a reply means `classify`'s.
"""

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn, cast

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from eventstore import clock
from service.processors.email.classify import Phase, Trouble
from service.processors.email.reply import CLOSING, Reply, SessionError
from service.settings import SmtpTls

START_INPUT = 354

_DOT = re.compile(rb"^\.", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A mail server, how to get in, and how long it may take."""

    host: str
    port: int
    tls: SmtpTls
    connect_s: float
    command_s: float
    answer_s: float
    username: str | None = None
    password: str = field(default="", repr=False)
    tls_context: ssl.SSLContext | None = None  # None: the system's certificates
    our_name: str | None = None  # None: what the system calls this host


class Session:
    """A connection that is ready for messages. Make one with `opened`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._smtp = SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "implicit",
            start_tls=False,
            tls_context=server.tls_context,
            local_hostname=server.our_name,
            timeout=server.command_s,
        )
        self._between_steps = True
        self.messages = 0
        self.durations: dict[str, float] = {}

    @classmethod
    async def opened(cls, server: Server) -> "Session":
        """Connected, encrypted, logged in. Raises SessionError."""
        session = cls(server)
        try:
            await session._open()
        except BaseException:
            session.cut()
            raise
        return session

    @property
    def usable(self) -> bool:
        """Whether another message may be sent over it."""
        return self._between_steps and self._smtp.is_connected

    @property
    def tls_version(self) -> str | None:
        """As `TLSv1.3`; None when the line is not encrypted."""
        if not self._smtp.is_connected:
            return None
        tls = cast("ssl.SSLObject | None", self._smtp.get_transport_info("ssl_object"))
        return None if tls is None else tls.version()

    def offers(self, extension: str) -> bool:
        """Whether the server said so in its greeting."""
        return self._smtp.supports_extension(extension)

    async def begin(self) -> None:
        """Make ready for a message. On a connection that carried one before, this also finds out
        whether it still stands, as quickly as a new one would be had.
        """
        self.messages += 1
        if self.messages > 1:
            self.durations = {}
            with self._step("rset"):
                await self._smtp.rset(timeout=self._server.connect_s)

    async def mail(self, sender: str, *, options: list[str], utf8: bool) -> None:
        """Say who sends."""
        if utf8 and not self.offers("smtputf8"):
            words = "the server does not offer SMTPUTF8, which an address needs"
            raise SessionError("mail", words, trouble="unsupported")
        with self._step("mail"):
            await self._smtp.mail(sender, options=options, encoding="utf-8" if utf8 else "ascii")

    async def rcpt(self, recipient: str, *, utf8: bool) -> Reply:
        """Name a recipient; what the server says to that, be it yes or no."""
        with self._step("rcpt"):
            try:
                response = await self._smtp.rcpt(recipient, encoding="utf-8" if utf8 else "ascii")
            except SMTPRecipientRefused as refused:
                if refused.code // 100 in {2, 4, 5} and refused.code != CLOSING:
                    return Reply.of(refused.code, refused.message)
                raise
        return Reply.of(response.code, response.message)

    async def send(self, content: bytes) -> Reply:
        """Hand over the message; what the server says to it. Raises SessionError, in phase `end`
        without a reply when nobody knows whether it was taken; that includes being stopped.
        """
        with self._step("data"):
            response = await self._smtp.execute_command(b"DATA")
            protocol = self._smtp.protocol
            if response.code != START_INPUT:
                raise SMTPResponseException(response.code, response.message)
            if protocol is None:
                raise SMTPServerDisconnected("lost after the answer to DATA")
            protocol.write(_DOT.sub(b"..", content) + b".\r\n")
        with self._step("end"):
            try:
                response = await protocol.read_response(timeout=self._server.answer_s)
            except asyncio.CancelledError as error:
                raise SMTPTimeoutError("stopped while it waited for the answer") from error
            if response.code // 100 not in {2, 4, 5}:
                raise SMTPResponseException(response.code, response.message)
        self._between_steps = response.code != CLOSING
        return Reply.of(response.code, response.message)

    def close(self) -> None:
        """Say goodbye, without waiting to hear it back."""
        if self.usable and self._smtp.protocol is not None:
            self._smtp.protocol.write(b"QUIT\r\n")
        self._smtp.close()

    def cut(self) -> None:
        """End it at once: nothing that is still buffered is sent."""
        if self._smtp.transport is not None:
            cast("asyncio.WriteTransport", self._smtp.transport).abort()
        self._smtp.close()

    async def _open(self) -> None:
        server = self._server
        with self._step("connect"):
            await self._smtp.connect(timeout=server.connect_s)
        await self._greet()
        if server.tls == "starttls":
            with self._step("starttls"):
                if not self.offers("starttls"):
                    self._unsupported("starttls", "the server does not offer STARTTLS")
                await self._smtp.starttls()
            await self._greet()
        if server.username is not None:
            with self._step("auth"):
                await self._login(server.username)

    async def _greet(self) -> None:
        with self._step("ehlo"):
            await self._smtp.ehlo()

    async def _login(self, username: str) -> None:
        """By the first way that works: some servers offer ways that they do not support. The first
        refusal is the one that is told; a server may hang up after it.
        """
        refusal: SMTPAuthenticationError | None = None
        for way in self._smtp.supported_auth_methods:
            login = getattr(self._smtp, "auth_" + way.replace("-", ""))
            try:
                await login(username, self._server.password)
            except SMTPAuthenticationError as error:
                refusal = refusal or error
            except (SMTPServerDisconnected, SMTPTimeoutError):
                if refusal is None:
                    raise
                break
            else:
                return
        if refusal is None:
            self._unsupported("auth", "the server offers no way to log in that we know")
        raise refusal

    def _unsupported(self, phase: Phase, words: str) -> NoReturn:
        raise SessionError(phase, words, trouble="unsupported")

    @contextmanager
    def _step(self, phase: Phase) -> Iterator[None]:
        """Within it every failure becomes a SessionError of this phase."""
        since = clock.monotonic()
        self._between_steps = False
        try:
            yield
            self._between_steps = True
        except SMTPResponseException as error:
            if error.code // 100 not in {4, 5}:  # out of step, or no code at all
                raise SessionError(phase, str(error), trouble="garbled") from error
            self._between_steps = True
            raise SessionError.refused(phase, Reply.of(error.code, error.message)) from error
        except (SMTPException, OSError) as error:
            trouble = _trouble(error)
            raise SessionError(phase, _words(error, trouble), trouble=trouble) from error
        finally:
            self.durations[phase] = self.durations.get(phase, 0) + clock.monotonic() - since


def _trouble(error: Exception) -> Trouble:
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return "tls"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, SMTPConnectError) and not isinstance(
        error.__cause__, SMTPServerDisconnected
    ):
        return "unreachable"
    return "dropped"


def _words(error: Exception, trouble: Trouble) -> str:
    said = " ".join(str(error).split())
    return {
        "timeout": "no answer in time",
        "dropped": "the line was lost",
        "tls": f"TLS failed: {said}",
    }.get(trouble, said)
