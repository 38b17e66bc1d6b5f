"""One request and its answer at uvicorn, as `web.whole` has them; and what uvicorn writes an
answer to that is given in steps.

A whole answer is one piece. Of one in steps, the header goes out with the beginning of its body, in
one system call, where a body of known length follows at once. The limits of a connection are
`http`'s.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle


class Exchange:
    """See the module."""

    __slots__ = ("_begun", "_cycle", "_header", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self._transport = transport
        self._cycle = cycle
        self._begun = False
        self._header = b""
        self.is_closing = transport.is_closing

    @property
    def is_here(self) -> bool:
        """See Exchange."""
        return not self._cycle.more_body

    def take_body(self, bytes_max: int) -> bytes | None:
        """See Exchange. It is what `receive` does."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected or len(cycle.body) > bytes_max:
            return None
        taken = bytes(cycle.body)
        cycle.body = bytearray()
        cycle.message_event.clear()
        return taken

    def answer(self, status: int, fields: bytes, body: bytes) -> bool:
        """See Exchange; no, where it has to wait for the client to take the one before. It is what
        `send` does in two calls, for fields that are known to be sound.
        """
        cycle = self._cycle
        if cycle.flow.write_paused or cycle.disconnected or cycle.scope["method"] == "HEAD":
            return False
        ours = b"".join([b"%b: %b\r\n" % field for field in cycle.default_headers])
        end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        self._transport.write(b"".join((STATUS_LINE[status], ours, fields, end, body)))
        if not cycle.keep_alive:
            self._transport.close()
        cycle.on_response()
        return True

    def write(self, data: bytes) -> None:
        """See asyncio. The first call brings the header."""
        if self._begun:
            data, self._header = self._header + data, b""
        elif self._cycle.expected_content_length > 0 and self._cycle.scope["method"] != "HEAD":
            self._begun, self._header = True, data
            return
        self._begun = True
        self._transport.write(data)

    def close(self) -> None:
        """See asyncio."""
        if self._header:
            self.write(b"")
        self._transport.close()
