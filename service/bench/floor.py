"""The floor of HTTP: what uvicorn and Starlette cost anybody, with an endpoint that stores nothing.

    POST /jobs/email   reads the body, validates it by joblog's own type, answers 202
    GET  /jobs/{id}    answers a constant

Both answers are JSON of a length that is given, so that they are as long as joblog's. uvicorn
chooses its event loop and its HTTP parser by itself, as it does for joblog. This is the floor's
process; `floor` is the caller's side.
"""

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.bench.process import Server, running
from service.processors.email.message import Email

_EMAIL = msgspec.json.Decoder(Email)


@contextmanager
def floor(post_bytes: int = 100, get_bytes: int = 100) -> Iterator[Server]:
    """The floor's server for the length of a `with`; the sizes are those of its answers."""
    with running(__name__, str(post_bytes), str(get_bytes)) as server:
        yield server


def app(post_bytes: int, get_bytes: int) -> Starlette:
    """The two endpoints."""
    accepted, found = _json(post_bytes), _json(get_bytes)

    async def post(request: Request) -> Response:
        _EMAIL.decode(await request.body())
        return Response(accepted, 202, media_type="application/json")

    async def get(request: Request) -> Response:
        del request
        return Response(found, media_type="application/json")

    return Starlette(
        routes=[
            Route("/jobs/email", post, methods=["POST"]),
            Route("/jobs/{id}", get, methods=["GET"]),
        ]
    )


def _json(size: int) -> bytes:
    """A JSON string of so many bytes."""
    return b'"%b"' % (b"x" * (size - 2))


def main() -> None:
    """Serve until SIGTERM."""
    post_bytes, get_bytes = map(int, sys.argv[1:])
    config = uvicorn.Config(
        app(post_bytes, get_bytes), lifespan="off", ws="none", log_config=None, access_log=False
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=config.backlog)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as `service.server` has it
    host, port = listener.getsockname()
    print(f"serving http://{host}:{port}", file=sys.stderr, flush=True)  # noqa: T201  the signal
    serving = uvicorn.Server(config).serve(sockets=[listener])
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(serving)


if __name__ == "__main__":
    main()
