"""A mail server in the test's own loop that does what a test scripts: refuse, hang, or hang up.

It is aiosmtpd, so what is not scripted is answered as a real server would. A script says what
happens at a phase the next so many times (or always); a reply is text, `DROP` ends the line and
`HANG` answers nothing, ever. What was received is in `received`, with the bytes as they came.

    async with mail_server() as server:
        server.script("rcpt", "450 4.2.1 busy", about="ada@example.com", times=1)

Phases are those of `classify`; before `end` there is also `body`: the server has asked for the
message, and does not read it to its end. Not a model of any one product; Postfix is in `tests/e2e`.
"""

# ruff: noqa: N802  aiosmtpd finds commands and hooks by these names

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult

from service.processors.email.session import Server
from service.processors.email.smtp import SmtpTransport

DROP = "drop"
HANG = "hang"
ALWAYS = 1_000_000

USER, PASSWORD = "joblog", "correct horse"


@dataclass
class Received:
    """One message that the server took."""

    sender: str
    recipients: list[str]
    options: list[str]
    content: bytes


@dataclass
class Step:
    """What is to happen at a phase, and how often still."""

    phase: str
    action: str
    about: str
    left: int


@dataclass
class MailServer:
    """Where it listens, its script, and what came of it."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    extensions: list[str] = field(default_factory=list)
    lines: set[Any] = field(default_factory=set)
    met: asyncio.Event = field(default_factory=asyncio.Event)  # somebody has connected
    alone: asyncio.Event = field(default_factory=asyncio.Event)  # nobody is connected any more

    def script(self, phase: str, action: str, *, about: str = "", times: int = ALWAYS) -> None:
        """Let this happen at a phase; of a recipient, only when he is named in the command."""
        self.steps.append(Step(phase, action, about, times))

    def next(self, phase: str, said: str) -> str | None:
        """What is scripted for this moment."""
        for step in self.steps:
            if step.phase == phase and step.about in said and step.left > 0:
                step.left -= 1
                return step.action
        return None

    def drop_all(self) -> None:
        """Hang up on everybody, as servers do with idle clients."""
        for line in list(self.lines):
            line.transport.close()


class _Line(SMTP):
    """One connection."""

    def __init__(self, server: MailServer, **options: Any) -> None:
        super().__init__(
            self,
            hostname="mail.example",
            enable_SMTPUTF8="SMTPUTF8" in server.extensions,
            loop=asyncio.get_running_loop(),
            authenticator=_authenticated,
            **options,
        )
        self._server = server
        self._greeted = False
        self._envid: list[str] = []

    def connection_made(self, transport: Any) -> None:
        server = self._server
        server.connections += self not in server.lines  # after STARTTLS it is made once more
        server.lines.add(self)
        server.met.set()
        server.alone.clear()
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.lines.discard(self)
        if not self._server.lines:
            self._server.alone.set()
        super().connection_lost(error)

    async def push(self, status: Any) -> None:
        if self._greeted:
            return await super().push(status)
        self._greeted = True
        if not await self._scripted("connect", ""):
            return await super().push(status)
        return None

    async def smtp_EHLO(self, hostname: Any) -> None:
        if not await self._scripted("ehlo", hostname):
            await super().smtp_EHLO(hostname)

    async def smtp_STARTTLS(self, arg: Any) -> None:
        if not await self._scripted("starttls", ""):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: Any) -> None:
        self._server.commands.append(f"AUTH {arg.split()[0]}")
        if not await self._scripted("auth", arg):
            await super().smtp_AUTH(arg)

    async def smtp_RSET(self, arg: Any) -> None:
        self._server.commands.append("RSET")
        if not await self._scripted("rset", ""):
            await super().smtp_RSET(arg)

    async def smtp_MAIL(self, arg: Any) -> None:
        if not await self._scripted("mail", arg):
            words = arg.split(" ")
            self._envid = [word for word in words if word.startswith("ENVID=")]
            await super().smtp_MAIL(" ".join(word for word in words if word not in self._envid))

    async def smtp_RCPT(self, arg: Any) -> None:
        self._server.commands.append(f"RCPT {arg}")
        if not await self._scripted("rcpt", arg):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: Any) -> None:
        if await self._scripted("data", ""):
            return
        action = self._server.next("body", "")
        if action is None:
            await super().smtp_DATA(arg)
        else:
            await self.push("354 go ahead")
            await self._reader.readline()
            await self._act(action)

    async def smtp_QUIT(self, arg: Any) -> None:
        if not await self._scripted("quit", ""):
            await super().smtp_QUIT(arg)

    # aiosmtpd's hooks

    async def handle_EHLO(
        self, line: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        more = [name for name in self._server.extensions if name != "SMTPUTF8"]
        return [*responses[:-1], *(f"250-{name}" for name in more), responses[-1]]

    async def handle_DATA(self, line: Any, session: Any, envelope: Any) -> str:
        action = self._server.next("end", " ".join(envelope.rcpt_tos))
        if action is None or action[0] == "2" or action.startswith("lose "):
            self._server.received.append(
                Received(
                    envelope.mail_from,
                    list(envelope.rcpt_tos),
                    [*envelope.mail_options, *self._envid],
                    envelope.original_content,
                )
            )
        if action is None:
            return "250 2.0.0 taken"
        if action.removeprefix("lose ") in {DROP, HANG}:
            await self._act(action.removeprefix("lose "))
        return action

    async def _scripted(self, phase: str, said: str) -> bool:
        action = self._server.next(phase, said or "")
        if action is not None:
            await self._act(action)
        return action is not None

    async def _act(self, action: str) -> None:
        if action == DROP:
            self.transport.close()
            await asyncio.Event().wait()  # until the loss of the line cancels us
        elif action == HANG:
            await asyncio.Event().wait()
        else:
            await super().push(action)
            if action.startswith("421"):
                self.transport.close()


def _authenticated(line: Any, session: Any, envelope: Any, way: str, data: Any) -> AuthResult:
    right = data.login == USER.encode() and data.password == PASSWORD.encode()
    return AuthResult(success=right, handled=False)


LOST_TAKEN = f"lose {DROP}"  # the message is taken, and the line lost before the answer


@asynccontextmanager
async def mail_server(
    *extensions: str,
    port: int = 0,
    tls_context: ssl.SSLContext | None = None,
    implicit_tls: bool = False,
    **options: Any,
) -> AsyncIterator[MailServer]:
    """A server for the length of an `async with`; it offers these extensions beside its own."""
    state = MailServer(extensions=list(extensions))
    later = None if implicit_tls else tls_context
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        lambda: _Line(state, tls_context=later, auth_require_tls=False, **options),
        "127.0.0.1",
        port,
        ssl=tls_context if implicit_tls else None,
    )
    state.port = listening.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        listening.close()
        for line in list(state.lines):
            if line.transport is not None:
                line.transport.abort()
            line._handler_coroutine.cancel()
            await asyncio.gather(line._handler_coroutine, return_exceptions=True)


def smtp_transport(server: MailServer, **more: Any) -> SmtpTransport:
    """A transport to it: plain, patient enough for a loaded machine, and what else is given."""
    rest = {"on_unknown": "retry", "connections_max": 3}
    rest |= {key: more.pop(key) for key in (*rest, "idle_s") if key in more}
    settings = {
        "host": "127.0.0.1", "port": server.port, "tls": "none", "our_name": "test",
        "connect_s": 5, "command_s": 5, "answer_s": 5,
    }  # fmt: skip
    return SmtpTransport(Server(**(settings | more)), **rest)


@asynccontextmanager
async def sending(*extensions: str, **more: Any) -> AsyncIterator[tuple[MailServer, SmtpTransport]]:
    """A server, and a transport to it."""
    async with mail_server(*extensions) as server:
        carrier = smtp_transport(server, **more)
        try:
            yield server, carrier
        finally:
            await carrier.aclose()
