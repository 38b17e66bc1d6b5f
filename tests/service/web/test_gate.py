"""What holds for every route: a request id on every answer, no answer for another host, no order
taken from another site's page.

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


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        (8191, 0, 404), (8192, 0, 404), (8193, 0, 414), (8191, 1, 404), (8192, 1, 414),
        (6, 8185, 404), (6, 8186, 404), (6, 8187, 414), (60_000, 0, 414), (6, 60_000, 414),
    ],
)  # fmt: skip
async def test_414_for_more_than_8_kib_of_path_and_query(
    path: int, query: int, status: int
) -> None:
    async with running_service() as service:
        answer = await service.http.get("/" + "p" * (path - 1) + "?" + "q" * query)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("fields", "status"), [(99, 200), (100, 200), (101, 431)])
async def test_431_for_more_than_a_hundred_fields(fields: int, status: int) -> None:
    async with running_service() as service:
        host = [(b"Host", b"localhost")]
        headers = host + [(b"X", b"y")] * (fields - 1)
        request = service.http.build_request("GET", "/livez", headers=headers)
        for name in set(request.headers) - {"host", "x"}:
            del request.headers[name]
        answer = await service.http.send(request)
        assert answer.status_code == status


@pytest.mark.parametrize(("size", "status"), [(16_383, 200), (16_384, 200), (16_385, 431)])
async def test_431_for_more_than_16_kib_of_header(size: int, status: int) -> None:
    async with running_service() as service:
        bare = [(b"host", b"localhost"), (b"x", b"")]
        filled = size - sum(len(name) + len(value) + 4 for name, value in bare)
        request = service.http.build_request("GET", "/livez", headers={"X": "y" * filled})
        for name in set(request.headers) - {"host", "x"}:
            del request.headers[name]
        request.headers["host"] = "localhost"
        answer = await service.http.send(request)
        assert answer.status_code == status
        if status == 431:
            assert answer.json()["type"] == "/problems/header-too-large"


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


ORDERS = [
    ("POST", "/jobs/email"),
    ("POST", "/kinds/email/pause"),
    ("POST", "/jobs/x/cancel"),
    ("PUT", "/kinds/email/limits"),
    ("DELETE", "/nowhere"),
]


@pytest.mark.parametrize(("method", "path"), ORDERS)
@pytest.mark.parametrize(
    "said",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port of this machine
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8080"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:8081"},
        {"Origin": "null"},
    ],
)
async def test_403_for_an_order_of_another_sites_page(
    method: str, path: str, said: dict[str, str]
) -> None:
    async with running_service() as service:
        head = await service.log.head()
        answer = await service.http.request(method, path, headers=said)
        assert answer.status_code == 403
        assert answer.json()["type"] == "/problems/cross-site"
        assert await service.log.head() == head


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8080"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "https://localhost:8080"},  # a proxy in front speaks TLS
    ],
)
async def test_orders_of_programs_and_of_its_own_pages_are_taken(said: dict[str, str]) -> None:
    async with running_service() as service:
        answer = await service.http.post("/kinds/email/pause", headers=said)
        assert answer.status_code == 200


async def test_whoever_only_looks_is_not_asked_where_he_comes_from() -> None:
    async with running_service() as service:
        said = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
        assert (await service.http.get("/kinds", headers=said)).status_code == 200
