"""Where a request goes: to its route, however many others were asked for before.

What the routes do is told elsewhere; which there are is `test_calls`'s matter.
"""

import pytest

from service.web import app
from tests.support.service import EMAIL, running_service


async def test_paths_beyond_those_that_are_remembered_lead_where_they_should(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "REMEMBERED_MAX", 2)
    async with running_service() as service:
        paths = [
            (await service.http.post("/jobs/email", json=EMAIL)).headers["location"]
            for _ in range(5)
        ]
        for _ in range(2):
            for path in paths:
                assert (await service.http.get(path)).json()["links"]["self"] == path
        assert len(service.app._remembered) <= 2


async def test_what_is_not_there_and_what_is_not_allowed_are_not_remembered() -> None:
    async with running_service() as service:
        for _ in range(2):
            assert (await service.http.get("/nowhere")).status_code == 404
            answer = await service.http.put("/jobs/email", json=EMAIL)
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
        assert service.app._remembered == {}


async def test_a_path_that_was_found_by_one_method_is_not_by_another() -> None:
    async with running_service() as service:
        assert (await service.http.get("/jobs")).status_code == 200
        assert (await service.http.delete("/jobs")).status_code == 405
