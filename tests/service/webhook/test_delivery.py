"""Deliveries to real receivers: good ones, and such as hang, hang up, drip, never stop, redirect.

Each is one POST by a `Courier`, over a socket of this machine. What a status means in detail is
`test_verdict`'s matter.
"""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trustme
from standardwebhooks import Webhook as Verifying

from service.backoff import DEFAULT
from service.processors import Attempt, AttemptError, Permanent, RetryAfter
from service.processors.webhook import Courier, webhook_processor
from service.processors.webhook.message import Webhook
from service.processors.webhook.network import Resolve
from service.processors.webhook.verdict import ANSWER_BYTES_MAX, DeliveryError
from service.settings import WebhookSettings
from service.version import VERSION
from tests.support.build import NOON
from tests.support.receiver import (
    Behaviour,
    Receiver,
    answers,
    hangs_up,
    never_ends,
    receiving,
    sends,
)

pytestmark = pytest.mark.real_time

JOB = "01a20bc5-9325-75a2-b450-d27742b0db04"
SECRETS = ("whsec_" + "bmV3" * 12, "whsec_" + "b2xk" * 12)
CERTIFICATES = trustme.CA()


@asynccontextmanager
async def courier_of(
    resolve: Resolve | None = None, tls: ssl.SSLContext | None = None, **settings: Any
) -> AsyncIterator[Courier]:
    told = WebhookSettings(**{"allow": ("127.0.0.0/8",), "timeout_s": 10, **settings})
    courier = Courier(told, resolve=resolve, tls=tls)
    try:
        yield courier
    finally:
        await courier.aclose()


def attempt(number: int = 1, **facts: Any) -> Attempt:
    return Attempt(
        job_id=JOB,
        number=number,
        token=7,
        created_at=NOON,
        started_at=NOON,
        timeout_s=60,
        facts=facts,
    )


def event(url: str) -> Webhook:
    return Webhook(url, "invoice.paid", {"invoice": 17}, NOON)


async def deliver(behaviour: Behaviour, **settings: Any) -> Any:
    """What comes of one delivery to such a receiver: the result, or the error."""
    async with receiving(behaviour) as receiver, courier_of(**settings) as courier:
        kind = webhook_processor(courier, backoff=DEFAULT)
        try:
            return await kind.call(plain(event(receiver.url)), attempt())
        except AttemptError as error:
            return error


def plain(payload: Webhook) -> Any:
    return msgspec.to_builtins(payload)


async def failure(behaviour: Behaviour, sort: type[AttemptError], **settings: Any) -> AttemptError:
    error = await deliver(behaviour, **settings)
    assert type(error) is sort, repr(error)
    assert isinstance(error, AttemptError)
    return error


async def test_it_is_one_post_with_the_headers_of_the_standard() -> None:
    async with receiving(answers(204)) as receiver, courier_of(secrets=SECRETS) as courier:
        await courier.deliver(event(receiver.url), attempt())
        [request] = receiver.requests
        assert request.line == "POST /hooks?for=joblog HTTP/1.1"
        assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"] == f"joblog/{VERSION}"
        assert request.headers["webhook-id"] == JOB
        for secret in SECRETS:
            said = Verifying(secret).verify(request.body, request.headers)
            assert said == {"type": "invoice.paid", "timestamp": NOON, "data": {"invoice": 17}}
        assert set(request.headers) == {
            "host", "content-type", "content-length", "user-agent", "accept-encoding",
            "webhook-id", "webhook-timestamp", "webhook-signature",
        }  # fmt: skip


async def test_without_a_secret_it_is_not_signed() -> None:
    async with receiving(answers(204)) as receiver, courier_of() as courier:
        await courier.deliver(event(receiver.url), attempt())
        assert "webhook-signature" not in receiver.requests[0].headers


async def test_every_attempt_has_the_same_id_and_the_same_bytes() -> None:
    async with receiving(answers(500)) as receiver, courier_of() as courier:
        prepared = courier.prepare(Webhook(receiver.url, "a", {"b": 1}), JOB, NOON)
        for number in (1, 2, 3):
            with pytest.raises(DeliveryError):
                await courier.deliver(prepared.payload, attempt(number, **prepared.facts))
        assert len({(r.body, r.headers["webhook-id"]) for r in receiver.requests}) == 1
        body = receiver.requests[0].body
        assert prepared.facts == {"body_sha256": hashlib.sha256(body).hexdigest()}


async def test_a_body_that_is_not_what_it_was_is_sent_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with receiving(answers(204)) as receiver, courier_of() as courier:
        await courier.deliver(event(receiver.url), attempt(body_sha256="another"))
        assert len(receiver.requests) == 1
        assert "its body is not what it was at creation" in caplog.text


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_is_success_with_what_the_receiver_said(status: int) -> None:
    body = b"" if status == 204 else b"thank you"
    result = await deliver(answers(status, body))
    assert result == {"status": status, "body": body.decode(), "whole": True}


async def test_an_answer_that_is_no_text_is_kept_as_far_as_it_is() -> None:
    result = await deliver(answers(200, b"\xff\x00ok"))
    assert result["body"] == "\N{REPLACEMENT CHARACTER}\x00ok"


@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_of_an_answer_the_beginning_is_kept(more: int) -> None:
    result = await deliver(answers(200, b"x" * (ANSWER_BYTES_MAX + more)))
    assert len(result["body"]) == min(ANSWER_BYTES_MAX, ANSWER_BYTES_MAX + more)
    assert result["whole"] is (more <= 0)


@pytest.mark.parametrize("piece", [b"x" * 65_536, b"x"])
async def test_an_answer_that_never_ends_is_read_so_far_and_no_further(piece: bytes) -> None:
    endless = never_ends(b"HTTP/1.1 200 OK\r\n\r\n", piece, pause_s=0)
    result = await deliver(endless, timeout_s=5)
    assert result == {"status": 200, "body": "x" * ANSWER_BYTES_MAX, "whole": False}


async def test_an_answer_whose_body_drips_is_an_answer_all_the_same() -> None:
    dripping = never_ends(b"HTTP/1.1 200 OK\r\n\r\n", b"x", pause_s=0.05)
    result = await deliver(dripping, timeout_s=0.3)
    assert (result["status"], result["whole"]) == (200, False)


@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_whose_body_breaks_off_is_an_answer_all_the_same(status: int) -> None:
    raw = b"HTTP/1.1 %d OK\r\nContent-Length: 100\r\n\r\nbut" % status
    result = await deliver(hangs_up(raw))
    if status == 200:
        assert result == {"status": 200, "body": "but", "whole": False}
    else:
        assert result.facts == {"phase": "answer", "status": 500}


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
async def test_4xx_is_permanent(status: int) -> None:
    error = await failure(answers(status, b"go away"), Permanent)
    assert str(error).startswith(f"{status} ")
    assert str(error).endswith("go away")
    assert error.facts == {"phase": "answer", "status": status}


async def test_a_receiver_says_when_it_will_be_back() -> None:
    error = await failure(answers(503, b"later", Retry_After="120"), RetryAfter)
    assert isinstance(error, RetryAfter)
    assert error.seconds == 120


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """To a private address least of all."""
    async with receiving(answers(200)) as private:
        error = await failure(answers(status, Location=private.url), Permanent)
        assert "redirects are not followed" in str(error)
        assert private.url in str(error)
        assert private.connections == 0


async def test_a_receiver_that_hangs_is_given_up() -> None:
    async def hang(_: Any) -> None:
        await asyncio.Event().wait()

    error = await failure(hang, DeliveryError, timeout_s=0.2)
    assert str(error) == "receive: no answer within 0.2 s"
    assert error.facts == {"phase": "receive"}


async def test_a_receiver_whose_head_drips_is_given_up() -> None:
    """A limit between two bytes alone would be met for ever."""
    dripping = never_ends(b"HTTP/1.1 200 OK\r\nX: ", b"x", pause_s=0.02)
    error = await failure(dripping, DeliveryError, timeout_s=0.3)
    assert error.facts == {"phase": "receive"}


async def test_a_head_that_never_ends_is_given_up() -> None:
    endless = never_ends(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65_536, pause_s=0)
    error = await failure(endless, DeliveryError, timeout_s=5)
    assert error.facts == {"phase": "receive"}


async def test_informational_answers_without_end_are_given_up() -> None:
    endless = never_ends(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", pause_s=0.001)
    error = await failure(endless, DeliveryError, timeout_s=0.3)
    assert error.facts == {"phase": "receive"}


@pytest.mark.parametrize(
    "behaviour",
    [
        hangs_up(),
        hangs_up(b"HTTP/1.1 20"),
        sends(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        sends(b"HTTP/1.1 two OK\r\n\r\n"),
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        sends(b"\x00" * 100 + b"\r\n\r\n"),
    ],
)
async def test_no_answer_or_no_http_is_tried_again(behaviour: Behaviour) -> None:
    error = await failure(behaviour, DeliveryError)
    assert error.facts == {"phase": "receive"}


async def test_nobody_there_is_tried_again() -> None:
    async with receiving(answers(200)) as receiver:
        url = receiver.url
    async with courier_of() as courier:
        with pytest.raises(DeliveryError) as failed:
            await courier.deliver(event(url), attempt())
        assert failed.value.facts == {"phase": "connect"}
        assert str(failed.value).startswith("connect: ")


async def to(name: str, receiver: Receiver, scheme: str = "http") -> Webhook:
    return event(f"{scheme}://{name}:{receiver.port}/")


def leads_to(*addresses: str) -> Resolve:
    left = list(addresses)

    async def resolve(_: str, __: int) -> list[str]:
        return [left.pop(0) if len(left) > 1 else left[0]]

    return resolve


async def test_a_name_that_leads_to_a_private_address_is_refused_for_good() -> None:
    async with receiving(answers(200)) as receiver:
        async with courier_of(leads_to("127.0.0.1"), allow=()) as courier:
            with pytest.raises(Permanent, match="--webhook-allow") as refused:
                await courier.deliver(await to("a.example", receiver), attempt())
        assert refused.value.facts == {"phase": "resolve"}
        assert receiver.connections == 0


async def test_a_name_that_is_rebound_between_two_attempts_is_refused() -> None:
    async with receiving(answers(500, Connection="close")) as receiver:
        resolve = leads_to("127.0.0.1", "127.0.0.2")
        async with courier_of(resolve, allow=("127.0.0.1/32",)) as courier:
            with pytest.raises(DeliveryError):
                await courier.deliver(await to("a.example", receiver), attempt(1))
            with pytest.raises(Permanent):
                await courier.deliver(await to("a.example", receiver), attempt(2))
        assert receiver.connections == 1


async def test_a_name_that_does_not_exist_is_tried_again() -> None:
    async with courier_of() as courier:
        with pytest.raises(DeliveryError) as failed:
            await courier.deliver(event("http://does-not-exist.invalid/"), attempt())
        assert failed.value.facts == {"phase": "resolve"}


async def test_nothing_in_the_environment_is_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving(answers(502)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert (await deliver(answers(204)))["status"] == 204
        assert proxy.connections == 0


async def test_a_connection_is_kept_for_the_next_webhook() -> None:
    async with receiving(answers(200, b"ok")) as receiver, courier_of() as courier:
        for _ in range(3):
            await courier.deliver(event(receiver.url), attempt())
        assert (len(receiver.requests), receiver.connections) == (3, 1)


async def test_an_attempt_that_is_cancelled_leaves_no_connection() -> None:
    reached = asyncio.Event()

    async def hang(_: Any) -> None:
        reached.set()
        await asyncio.Event().wait()

    async with receiving(hang) as receiver, courier_of() as courier:
        delivering = asyncio.create_task(courier.deliver(event(receiver.url), attempt()))
        await reached.wait()
        delivering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivering
        receiver.behaviour = answers(204)
        await courier.deliver(event(receiver.url), attempt())


def speaking_tls(*names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CERTIFICATES.issue_cert(*names).configure_cert(context)
    return context


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CERTIFICATES.configure_trust(context)
    return context


async def test_tls_verifies_the_name_and_not_the_address() -> None:
    async with receiving(answers(204), tls=speaking_tls("a.example")) as receiver:
        async with courier_of(leads_to("127.0.0.1"), tls=trusting()) as courier:
            await courier.deliver(await to("a.example", receiver, "https"), attempt())
            assert len(receiver.requests) == 1
            with pytest.raises(DeliveryError, match="mismatch") as failed:
                await courier.deliver(await to("b.example", receiver, "https"), attempt())
            assert failed.value.facts == {"phase": "tls"}
        assert len(receiver.requests) == 1


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    async with receiving(answers(204), tls=speaking_tls("a.example")) as receiver:
        async with courier_of(leads_to("127.0.0.1")) as courier:
            with pytest.raises(DeliveryError, match=r"^tls: .*CERTIFICATE_VERIFY_FAILED"):
                await courier.deliver(await to("a.example", receiver, "https"), attempt())
        assert receiver.requests == []


async def test_tls_to_who_speaks_none_is_tried_again() -> None:
    async with receiving(sends(b"")) as receiver:
        async with courier_of(leads_to("127.0.0.1"), tls=trusting(), timeout_s=0.5) as courier:
            with pytest.raises(DeliveryError) as failed:
                await courier.deliver(await to("a.example", receiver, "https"), attempt())
        assert failed.value.facts == {"phase": "tls"}


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://[::ffff:10.0.0.1]/", "http://[::1]/"])
async def test_a_private_address_is_refused_when_the_job_is_made(url: str) -> None:
    async with courier_of(allow=()) as courier:
        with pytest.raises(ValueError, match=r"is not public.* - at `\$\.url`$"):
            courier.prepare(Webhook(url, "a", {}), JOB, NOON)
    async with courier_of(allow=("127.0.0.0/8", "10.0.0.0/8", "::1/128")) as courier:
        courier.prepare(Webhook(url, "a", {}), JOB, NOON)


@pytest.mark.parametrize(
    ("given", "fixed"), [(None, NOON), ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.000000Z")]
)
async def test_the_time_is_fixed_when_the_job_is_made(given: str | None, fixed: str) -> None:
    async with courier_of() as courier:
        prepared = courier.prepare(Webhook("http://127.0.0.1/", "a", {}, given), JOB, NOON)
        assert prepared.payload.timestamp == fixed


async def test_a_courier_that_delivered_nothing_closes_too() -> None:
    await Courier(WebhookSettings()).aclose()
