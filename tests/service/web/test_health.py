"""`/livez` and `/readyz`: alive whatever happens, ready only when every check is well.

The checks themselves belong to whoever puts a service together; here they say what they are told.
"""

from dataclasses import dataclass, field

import pytest

from tests.support.service import running_service


@dataclass
class Told:
    found: dict[str, str | None] = field(default_factory=dict)

    def checks(self) -> dict[str, str | None]:
        return self.found


async def test_alive_is_always_200() -> None:
    async with running_service(health=Told({"log": "gone"}), free_bytes=0) as service:
        answer = await service.http.get("/livez")
        assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
        assert answer.headers["cache-control"] == "no-store"


async def test_ready_is_200_when_every_check_is_well() -> None:
    async with running_service(health=Told({"log": None, "worker": None})) as service:
        answer = await service.http.get("/readyz")
        assert answer.status_code == 200
        assert answer.json() == {"status": "ready", "checks": {"log": "ok", "worker": "ok"}}


async def test_not_ready_is_503_and_names_what_fails() -> None:
    health = Told({"log": None, "worker": "no claim for 60 s", "disk": "full"})
    async with running_service(health=health) as service:
        answer = await service.http.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == {
            "type": "/problems/not-ready",
            "title": "The service is not ready",
            "status": 503,
            "detail": "worker: no claim for 60 s; disk: full",
            "instance": "/readyz",
            "checks": {"log": "ok", "worker": "no claim for 60 s", "disk": "full"},
        }


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_head_has_no_body_and_a_query_does_no_harm(path: str) -> None:
    async with running_service() as service:
        answer = await service.http.head(f"{path}?now")
        assert (answer.status_code, answer.content) == (200, b"")
