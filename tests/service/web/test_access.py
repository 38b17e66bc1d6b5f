"""Who may make a call: all there are, without a token, with a wrong one, and with each scope.

The calls are taken from the application itself, so a new one is asked here too. What a token is, is
told by `tests/service/test_access.py`.
"""

import re
from typing import Any

import httpx2
import pytest
from starlette.routing import Route

from service.access import Keyring, Scope, Token, digest_of
from service.web.access import Access
from service.web.operation import Endpoint, Operation
from tests.support.service import ACTOR, EMAIL, RunningService, running_service

OPEN = {"/", "/livez", "/readyz", "/openapi.json", "/docs", "/problems/not-found"}
KEY = {"Idempotency-Key": "order-17"}


def secret_of(*scopes: Scope) -> str:
    return "jl_" + "-".join(scope.replace(":", ".") for scope in scopes)


def token(name: str, *scopes: Scope) -> Token:
    return Token(name, digest_of(secret_of(*scopes)), frozenset(scopes))


RING = Keyring([token(scope.replace(":", "-"), scope) for scope in Scope])


def bearing(*scopes: Scope) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret_of(*scopes)}"}


def calls(service: RunningService) -> list[tuple[str, str]]:
    """Method and address of all there are."""
    named = {"{kind}": "email", "{id}": "x", "{name}": "not-found"}
    routes = [route for route in service.app.routes if isinstance(route, Route)]
    found = [
        (method, re.sub(r"{\w+}", lambda place: named.get(place[0], "x"), route.path))
        for route in routes
        for method in sorted(route.methods)
    ]
    assert len(found) >= 12
    return found


def scope_needed(answer: httpx2.Response) -> Scope:
    """The scope that a 403 names, in its header and its document."""
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="insufficient_scope", scope="')
    scope = Scope(challenge.split('"')[3])
    if answer.request.method != "HEAD":
        assert answer.json()["type"] == "/problems/insufficient-scope"
        assert f"the scope {scope}," in answer.json()["detail"]
    return scope


async def require_401s(service: RunningService) -> None:
    """Every call but the open ones, without a token and with a wrong one."""
    for method, path in calls(service):
        for headers in ({}, {"Authorization": "Bearer jl_nobody"}):
            answer = await service.http.request(method, path, headers=headers)
            if path in OPEN:
                assert answer.status_code == (302 if path == "/" else 200), path
            else:
                assert answer.status_code == 401, (method, path)
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert "x-request-id" in answer.headers


async def require_403s(service: RunningService) -> None:
    """Every call but the open ones is for one scope, and for admin."""
    for method, path in calls(service):
        if path not in OPEN:
            named, permitted = set(), set()
            for scope in Scope:
                answer = await service.http.request(method, path, headers=bearing(scope))
                assert answer.status_code != 401, (method, path, scope)
                if answer.status_code == 403:
                    named.add(scope_needed(answer))
                else:
                    permitted.add(scope)
            assert len(named) == 1, (method, path)
            assert permitted == named | {Scope.ADMIN}, (method, path)


async def test_every_call_but_the_open_ones_is_401_without_a_token_or_with_a_wrong_one() -> None:
    async with running_service(keyring=RING) as service:
        await require_401s(service)


async def test_every_call_but_the_open_ones_is_403_with_another_scope() -> None:
    async with running_service(keyring=RING) as service:
        await require_403s(service)


@pytest.mark.parametrize("require", [require_401s, require_403s])
async def test_a_call_that_forgot_to_ask_would_be_found(
    monkeypatch: pytest.MonkeyPatch, require: Any
) -> None:
    guarding = Access.guarding

    def forgetful(access: Access, operation: Operation) -> Endpoint:
        forgotten = operation.name == "retryJob"
        return operation.endpoint if forgotten else guarding(access, operation)

    monkeypatch.setattr(Access, "guarding", forgetful)
    async with running_service(keyring=RING) as service:
        with pytest.raises(AssertionError, match="/jobs/x/retry"):
            await require(service)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/jobs", Scope.READ),
        ("GET", "/jobs/x", Scope.READ),
        ("HEAD", "/jobs/x", Scope.READ),
        ("GET", "/jobs/x/events", Scope.READ),
        ("POST", "/jobs/email", Scope.WRITE),
        ("POST", "/jobs/x/cancel", Scope.WRITE),
        ("POST", "/jobs/x/retry", Scope.WRITE),
    ],
)
async def test_looking_is_one_scope_and_changing_another(
    method: str, path: str, scope: Scope
) -> None:
    async with running_service(keyring=RING) as service:
        for other in Scope:
            answer = await service.http.request(method, path, headers=bearing(other))
            assert (answer.status_code == 403) is (other not in {scope, Scope.ADMIN})


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        "jl_admin",
        "Basic jl_admin",
        "Bearer jl_admin x",
        "Bearer jl_admin,Bearer jl_admin",
        "Bearer\tjl_admin",
        "Bearer é",
        "Bearer jl_Admin",
        "Bearer jl_admi",
        "Bearer jl_adminn",
        "Bearer " + "x" * 10_000,
    ],
)
async def test_what_is_none_of_ours_is_401_and_not_said_back(given: str) -> None:
    async with running_service(keyring=RING) as service:
        headers = [(b"Authorization", given.encode("latin-1"))]
        answer = await service.http.get("/jobs", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["type"] == "/problems/unauthenticated"
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert answer.json()["detail"] == "this is none of our tokens"


async def test_two_credentials_are_none() -> None:
    async with running_service(keyring=RING) as service:
        both = [(b"Authorization", b"Bearer jl_admin"), (b"Authorization", b"Bearer jl_work")]
        assert (await service.http.get("/jobs", headers=both)).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
async def test_the_scheme_has_no_case(scheme: str) -> None:
    async with running_service(keyring=RING) as service:
        headers = {"Authorization": f"{scheme}jl_admin"}
        assert (await service.http.get("/jobs", headers=headers)).status_code == 200


async def test_without_tokens_nobody_is_asked_and_whoever_asks_is_the_local_user() -> None:
    async with running_service() as service:
        answer = await service.http.post("/jobs/email", json=EMAIL, headers=bearing(Scope.WORK))
        assert answer.status_code == 202
        assert await actors(service) == [ACTOR]


async def actors(service: RunningService) -> list[Any]:
    return [event.meta.get("actor") for event in await service.log.read(1)]


async def test_the_log_says_whose_token_it_was() -> None:
    async with running_service(keyring=RING) as service:
        made = await service.http.post("/jobs/email", json=EMAIL, headers=bearing(Scope.WRITE))
        path = f"/jobs/{made.json()['id']}/cancel"
        done = await service.http.post(path, headers=bearing(Scope.ADMIN))
        assert done.status_code == 200
        assert await actors(service) == ["key:jobs-write", "key:admin"]


async def test_the_keys_of_two_tokens_are_not_the_same() -> None:
    async with running_service(keyring=RING) as service:
        ids = set()
        for scope in (Scope.WRITE, Scope.ADMIN):
            for _ in range(2):
                answer = await service.http.post(
                    "/jobs/email", json=EMAIL | {"subject": scope}, headers=bearing(scope) | KEY
                )
                assert answer.status_code == 202
                ids.add(answer.json()["id"])
        assert len(ids) == 2


async def test_a_new_secret_of_a_name_has_its_keys() -> None:
    ring = Keyring([token("billing", Scope.WRITE)])
    async with running_service(keyring=ring) as service:
        first = await service.http.post(
            "/jobs/email", json=EMAIL, headers=bearing(Scope.WRITE) | KEY
        )
        ring.replace([token("billing", Scope.ADMIN)])
        again = await service.http.post(
            "/jobs/email", json=EMAIL, headers=bearing(Scope.ADMIN) | KEY
        )
        assert again.content == first.content
        assert again.headers["idempotency-replayed"] == "true"
        old = await service.http.get("/jobs", headers=bearing(Scope.WRITE))
        assert old.status_code == 401


async def test_who_is_refused_leaves_no_trace_and_is_not_read() -> None:
    async with running_service(keyring=RING) as service:
        head = await service.log.head()
        for headers in ({}, bearing(Scope.READ)):
            answer = await service.http.post("/jobs/email", content=b"{", headers=headers)
            assert answer.status_code in (401, 403)
        assert await service.log.head() == head


async def test_another_host_is_refused_with_a_token_too() -> None:
    async with running_service(keyring=RING) as service:
        headers = bearing(Scope.ADMIN) | {"Host": "evil.example"}
        assert (await service.http.get("/jobs", headers=headers)).status_code == 421


async def test_what_is_not_there_is_404_and_another_method_405_for_everybody() -> None:
    async with running_service(keyring=RING) as service:
        assert (await service.http.get("/nowhere")).status_code == 404
        assert (await service.http.put("/jobs")).status_code == 405
