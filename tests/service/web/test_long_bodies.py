"""Where a body is read: on the event loop unless that may take long, whatever comes of it.

How strictly it is read is `test_strictjson`'s matter, and does not depend on the place.
"""

from typing import Any

import msgspec
import pytest

from eventstore.errors import TooLarge
from eventstore.event import LINE_BYTES_MAX
from service.processors import Attempt, as_json, processor
from service.web.body import BODIES_BYTES_MAX, Bodies
from service.web.strictjson import (
    DEPTH_MAX,
    FOREIGN_MARKS_MAX,
    PLAIN_BYTES_MAX,
    PLAIN_MARKS_MAX,
    SHORT_BYTES_MAX,
)
from tests.support.offload import Counting
from tests.support.service import running_service

JSON = {"Content-Type": "application/json"}


@processor("any")
async def do_any(payload: Any, attempt: Attempt) -> None:
    """Never run here."""


def brackets(number: int) -> bytes:
    """So many, the outermost too."""
    return b"[" + b",".join([b"[]"] * (number - 1)) + b"]"


def marks(number: int) -> bytes:
    """So many commas and quotation marks, an odd number of them."""
    return b"[" + b",".join([b'""'] * ((number + 1) // 3)) + b"]"


async def read_elsewhere(path: str, content: bytes) -> tuple[int, int]:
    """How many bodies were, and the status of the answer."""
    async with running_service(do_any) as service:
        counting = Counting()
        service.app.bodies = Bodies(offload=counting)
        answer = await service.http.post(path, content=content, headers=JSON)
        assert service.app.bodies.free == BODIES_BYTES_MAX
        return counting.calls, answer.status_code


@pytest.mark.parametrize("path", ["/jobs/any", "/kinds/any/pause", "/actions"])
@pytest.mark.parametrize(("more", "elsewhere"), [(-1, 0), (0, 0), (1, 1)])
async def test_a_long_text_is_read_elsewhere(path: str, more: int, elsewhere: int) -> None:
    content = b"[]".ljust(PLAIN_BYTES_MAX + more)
    assert (await read_elsewhere(path, content))[0] == elsewhere


@pytest.mark.parametrize(("more", "elsewhere"), [(-1, 0), (0, 0), (1, 1)])
async def test_so_is_one_of_which_each_token_is_inspected(more: int, elsewhere: int) -> None:
    content = brackets(DEPTH_MAX + more).ljust(SHORT_BYTES_MAX + 1)
    assert await read_elsewhere("/jobs/any", content) == (elsewhere, 202)


@pytest.mark.parametrize(("more", "elsewhere"), [(-1, 0), (0, 0), (1, 1)])
async def test_short_ones_are_read_at_once_even_then(more: int, elsewhere: int) -> None:
    content = brackets(DEPTH_MAX + 1).ljust(SHORT_BYTES_MAX + more)
    assert await read_elsewhere("/jobs/any", content) == (elsewhere, 202)


@pytest.mark.parametrize(("more", "elsewhere"), [(-2, 0), (1, 1)])
async def test_one_of_many_tokens_is_read_elsewhere(more: int, elsewhere: int) -> None:
    content = marks(PLAIN_MARKS_MAX + more)
    assert content.count(b'"') + content.count(b",") == PLAIN_MARKS_MAX + more
    assert await read_elsewhere("/jobs/any", content.ljust(SHORT_BYTES_MAX + 1)) == (elsewhere, 202)


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"[1,}", 400), (b'{"a":1,"a":2}', 400), (b"[]", 422), (b'{"reason":"no"}', 200)],
)
async def test_what_is_read_elsewhere_is_answered_alike(content: bytes, status: int) -> None:
    for long in (0, 1):
        content = content.ljust(long * (PLAIN_BYTES_MAX + 1))
        assert await read_elsewhere("/kinds/any/pause", content) == (long, status)


@pytest.mark.parametrize("name", ["Jos\u00e9", "Jos\\u00e9"])
@pytest.mark.parametrize(("more", "elsewhere"), [(0, 0), (2, 2)])
async def test_a_list_of_foreign_names_is_read_and_made_a_job_elsewhere(
    name: str, more: int, elsewhere: int
) -> None:
    others = (FOREIGN_MARKS_MAX + more - 6) // 2
    to = ",".join(f'"{name} <ada{n}@example.com>"' for n in range(others))
    content = f'{{"to":[{to}],"subject":"Hello"}}'.encode()
    assert content.count(b'"') == FOREIGN_MARKS_MAX + more
    assert await read_elsewhere("/jobs/email", content) == (elsewhere, 202)


def test_what_cannot_fit_a_line_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = list[Any]()
    monkeypatch.setattr(msgspec, "to_builtins", taken.append)
    as_json("x" * (LINE_BYTES_MAX - 2))
    assert len(taken) == 1
    with pytest.raises(TooLarge):
        as_json("x" * (LINE_BYTES_MAX - 1))
    assert len(taken) == 1
