"""Connections to one mail server that outlive a message: the next one need not knock again.

At most `connections_max` are in use at a time; who comes later waits. One that carried its message
and still stands is kept for `idle_s`, and the one used last is taken first, so that the others may
grow old. A server may drop an idle connection at any moment; the session's RSET before the next
message finds that out, and what then happens is decided where messages are sent, in `smtp`.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from service.processors.email.session import Server, Session

IDLE_S = 30.0  # servers hang up after some minutes; a burst of mail is over sooner


class Pool:
    """Sessions with one server."""

    def __init__(self, server: Server, *, connections_max: int, idle_s: float) -> None:
        self._server = server
        self._idle_s = idle_s
        self._slots = asyncio.Semaphore(connections_max)
        self._idle: dict[Session, asyncio.TimerHandle] = {}  # in the order of their last use
        self._closed = False

    @asynccontextmanager
    async def session(self, *, fresh: bool = False) -> AsyncIterator[Session]:
        """A session for one message. `fresh`: not one that stood idle; they may all be gone.

        Raises SessionError when there is none to be had.
        """
        async with self._slots:
            if fresh:
                self._close_idle()
            session = self._idle_one() or await self._new_one()
            try:
                yield session
            finally:
                self._take_back(session)

    def close(self) -> None:
        """Keep none from now on, and close those that are idle."""
        self._closed = True
        self._close_idle()

    async def _new_one(self) -> Session:
        if self._server.our_name is None:  # a look-up that may take seconds: once
            our_name = await asyncio.to_thread(socket.getfqdn)
            self._server = replace(self._server, our_name=our_name)
        return await Session.opened(self._server)

    def _idle_one(self) -> Session | None:
        while self._idle:
            session, timer = self._idle.popitem()
            timer.cancel()
            if session.usable:
                return session
            session.cut()
        return None

    def _take_back(self, session: Session) -> None:
        if not session.usable:
            session.cut()
        elif self._closed:
            session.close()
        else:
            expire = asyncio.get_running_loop().call_later(self._idle_s, self._expire, session)
            self._idle[session] = expire

    def _expire(self, session: Session) -> None:
        del self._idle[session]
        session.close()

    def _close_idle(self) -> None:
        while self._idle:
            session, timer = self._idle.popitem()
            timer.cancel()
            session.close()
