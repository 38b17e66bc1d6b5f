"""TLS and login: that nothing goes out in the clear that must not, and that a refused login is the
settings' fault and not the job's.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from service.processors import AttemptError, Misconfigured
from service.processors.email.smtp import Deferred, SmtpTransport
from tests.support.letters import attempt, letter
from tests.support.smtp import (
    DROP,
    HANG,
    PASSWORD,
    USER,
    MailServer,
    mail_server,
    smtp_transport,
)

pytestmark = pytest.mark.real_time

SHORT_S = 0.2
AUTHORITY = trustme.CA()
STRANGER = trustme.CA()
LOGIN = {"username": USER, "password": PASSWORD}


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@asynccontextmanager
async def secure(
    tls: str = "starttls", *, name: str = "127.0.0.1", trust: trustme.CA = AUTHORITY, **more
) -> AsyncIterator[tuple[MailServer, SmtpTransport]]:
    """A server with a certificate of this name, and a transport that trusts an authority."""
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert(name).configure_cert(theirs)
    async with mail_server(tls_context=theirs, implicit_tls=tls == "implicit") as server:
        carrier = smtp_transport(server, tls=tls, tls_context=trusting(trust), **more)
        yield server, carrier
        await carrier.aclose()


async def failure(carrier: SmtpTransport) -> AttemptError:
    with pytest.raises(AttemptError) as failed:
        await carrier(letter(), attempt())
    return failed.value


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_line_is_encrypted_and_the_result_says_how(tls):
    async with secure(tls) as (server, carrier):
        for number in (1, 2):
            result = await carrier(letter(), attempt(number))
            assert result["tls"] == "TLSv1.3"
        assert (server.connections, len(server.received)) == (1, 2)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize(
    "wrong", [{"trust": STRANGER}, {"name": "mail.example"}], ids=["issuer", "name"]
)
async def test_a_certificate_that_is_not_right_ends_it_before_anything_is_said(tls, wrong):
    async with secure(tls, **wrong) as (server, carrier):
        failed = await failure(carrier)
        assert server.received == []
    assert type(failed) is Deferred
    assert failed.facts["trouble"] == "tls"
    assert failed.facts["phase"] == {"starttls": "starttls", "implicit": "connect"}[tls]


async def test_a_server_without_starttls_is_not_spoken_to_in_the_clear():
    async with mail_server() as server:
        carrier = smtp_transport(server, tls="starttls", tls_context=trusting(AUTHORITY), **LOGIN)
        failed = await failure(carrier)
    assert type(failed) is Misconfigured
    assert failed.facts["phase"] == "starttls"
    assert server.commands == []


@pytest.mark.parametrize(
    ("action", "trouble"), [(DROP, "dropped"), (HANG, "timeout"), ("220 go\r\nnonsense", "tls")]
)
async def test_a_starttls_that_goes_wrong_is_deferred(action, trouble):
    async with secure(command_s=SHORT_S) as (server, carrier):
        server.script("starttls", action)
        failed = await failure(carrier)
    assert type(failed) is Deferred
    assert failed.facts["phase"] == "starttls"
    assert failed.facts["trouble"] in {trouble, "timeout"}


@pytest.mark.parametrize("reply", ["454 4.7.0 not now", "501 what?"])
async def test_a_starttls_that_is_refused_is_deferred(reply):
    async with secure() as (server, carrier):
        server.script("starttls", reply)
        failed = await failure(carrier)
    assert type(failed) is Deferred
    assert failed.facts["code"] == int(reply[:3])


async def test_who_logs_in_may_send():
    async with secure(**LOGIN) as (server, carrier):
        result = await carrier(letter(), attempt())
    assert "auth" in result["durations_ms"]
    assert [command for command in server.commands if "AUTH" in command] == ["AUTH PLAIN"]


async def test_a_wrong_password_is_for_the_settings():
    async with secure(username=USER, password="wrong") as (server, carrier):
        failed = await failure(carrier)
        assert server.received == []
    assert type(failed) is Misconfigured
    assert (failed.facts["phase"], failed.facts["code"]) == ("auth", 535)
    assert "wrong" not in str(failed)


@pytest.mark.parametrize("reply", ["534 5.7.9 too weak", "535 5.7.8 no", "538 encrypt", "504 no"])
async def test_whatever_a_server_says_against_a_login_is(reply):
    async with secure(**LOGIN) as (server, carrier):
        server.script("auth", reply)
        failed = await failure(carrier)
    assert type(failed) is Misconfigured
    assert failed.facts["code"] == int(reply[:3])


async def test_a_server_that_offers_a_way_it_does_not_have_is_asked_for_another():
    async with secure(**LOGIN) as (server, carrier):
        server.script("auth", "504 5.5.4 not really", about="PLAIN")
        await carrier(letter(), attempt())
    assert [each for each in server.commands if "AUTH" in each] == ["AUTH PLAIN", "AUTH LOGIN"]


async def test_a_refusal_counts_even_if_the_server_hangs_up_on_the_next_try():
    async with secure(**LOGIN) as (server, carrier):
        server.script("auth", "535 5.7.8 no", about="PLAIN")
        server.script("auth", DROP, about="LOGIN")
        failed = await failure(carrier)
    assert type(failed) is Misconfigured
    assert failed.facts["code"] == 535


@pytest.mark.parametrize(("action", "facts"), [(DROP, "dropped"), (HANG, "timeout")])
async def test_a_login_that_is_not_answered_is_deferred(action, facts):
    async with secure(command_s=SHORT_S, **LOGIN) as (server, carrier):
        server.script("auth", action)
        failed = await failure(carrier)
    assert type(failed) is Deferred
    assert (failed.facts["phase"], failed.facts["trouble"]) == ("auth", facts)


@pytest.mark.parametrize("reply", ["454 4.7.0 not now", "421 4.7.0 too many"])
async def test_a_login_that_cannot_be_checked_is_deferred(reply):
    async with secure(**LOGIN) as (server, carrier):
        server.script("auth", reply)
        failed = await failure(carrier)
    assert type(failed) is Deferred


async def test_a_server_without_logins_is_for_the_settings():
    async with mail_server(auth_exclude_mechanism=["PLAIN", "LOGIN"]) as server:
        failed = await failure(smtp_transport(server, **LOGIN))
    assert type(failed) is Misconfigured
    assert failed.facts["trouble"] == "unsupported"


def test_a_password_is_in_no_representation():
    server = smtp_transport(MailServer(), **LOGIN)._pool._server
    assert server.password == PASSWORD
    assert PASSWORD not in repr(server)
