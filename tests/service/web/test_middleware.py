"""What holds for every route: a request id on every answer, and no answer for another host.

Problems as such are `test_problems`'s matter.
"""

import pytest

from tests.support.service import EMAIL, running_service

ROUTES = [
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/jobs"),
    ("POST", "/jobs/email"),
    ("GET", "/jobs/x"),
    ("GET", "/jobs/x/events"),
    ("POST", "/jobs/x/cancel"),
    ("POST", "/jobs/x/retry"),
    ("GET", "/nowhere"),
    ("PUT", "/jobs"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_answer_has_the_clients_request_id(method: str, path: str) -> None:
    async with running_service() as service:
        headers = {"X-Request-Id": "order-17.a_B"}
        answer = await service.http.request(method, path, headers=headers)
        assert answer.headers.get_list("x-request-id") == ["order-17.a_B"]


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, "é", "a,b", "<x>", "a\tb"])
async def test_an_unfit_request_id_is_replaced(given: str) -> None:
    async with running_service() as service:
        headers = [(b"X-Request-Id", given.encode("latin-1"))]
        answer = await service.http.get("/livez", headers=headers)
        assert len(answer.headers["x-request-id"]) == 16
        assert answer.headers["x-request-id"] != given


@pytest.mark.parametrize("given", ["a", "a" * 127, "a" * 128])
async def test_a_request_id_has_up_to_128_characters(given: str) -> None:
    async with running_service() as service:
        answer = await service.http.get("/livez", headers={"X-Request-Id": given})
        assert answer.headers["x-request-id"] == given


async def test_a_new_request_id_is_drawn_for_every_request() -> None:
    async with running_service() as service:
        drawn = {(await service.http.get("/livez")).headers["x-request-id"] for _ in range(100)}
        assert len(drawn) == 100


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_421_for_another_host_on_every_route(method: str, path: str) -> None:
    async with running_service() as service:
        headers = {"Host": "evil.example"}
        answer = await service.http.request(method, path, headers=headers)
        assert answer.status_code == 421
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/wrong-host"
        assert "x-request-id" in answer.headers


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:80",
        "localhost:65535",
        "localhost:",
        "127.0.0.1",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:8080",
        "jobs.example",
        "JOBS.example:443",
        "[fe80::1]:8080",
        "192.0.2.7",
    ],
)
async def test_this_machine_and_the_hosts_it_is_told_on_any_port(host: str) -> None:
    told = ["Jobs.Example", "FE80::1", "192.0.2.7"]
    async with running_service(allowed_hosts=told) as service:
        answer = await service.http.get("/livez", headers={"Host": host})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost.evil.example",
        "evil.localhost",
        "localhost.",
        "127.0.0.1.evil.example",
        "127.0.0.2",
        "127.1",
        "0.0.0.0",
        "2130706433",
        "::1",
        "[::1",
        "[::2]",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost:80:80",
        "localhost:http",
        "localhost:123456",
        "localhost:٣",
        "localhost/",
        "localhost localhost",
        "*",
    ],
)
async def test_421_for_everything_that_only_looks_like_it(host: str) -> None:
    async with running_service() as service:
        answer = await service.http.get("/livez", headers=[(b"Host", host.encode())])
        assert answer.status_code == 421


async def test_421_for_two_hosts_or_none() -> None:
    async with running_service() as service:
        twice = [(b"Host", b"localhost"), (b"Host", b"localhost")]
        assert (await service.http.get("/livez", headers=twice)).status_code == 421
        request = service.http.build_request("GET", "/livez")
        del request.headers["host"]
        assert (await service.http.send(request)).status_code == 421


async def test_another_host_leaves_no_trace() -> None:
    async with running_service() as service:
        head = await service.log.head()
        await service.http.post("/jobs/email", json=EMAIL, headers={"Host": "evil.example"})
        assert await service.log.head() == head
