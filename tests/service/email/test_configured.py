"""What the settings make: a transport and a sender, or a refusal that names what must change."""

from dataclasses import replace

import pytest

from service.processors.email import SENDER, Stationery
from service.processors.email.configured import stationery_of, transport_of
from service.processors.email.file import FileTransport
from service.processors.email.simulated import SimulatedTransport
from service.processors.email.smtp import SmtpTransport
from service.settings import EmailSettings
from tests.service.cli.runner import refused

SMTP = EmailSettings(transport="smtp")


@pytest.mark.parametrize(
    ("name", "class_"),
    [("simulated", SimulatedTransport), ("file", FileTransport), ("smtp", SmtpTransport)],
)
def test_there_are_three_transports(name, class_):
    assert type(transport_of(EmailSettings(transport=name), seed=1)) is class_


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("implicit", 465), ("none", 25)])
def test_the_port_follows_from_the_encryption(tls, port):
    server = transport_of(replace(SMTP, smtp_tls=tls), seed=1)._pool._server
    assert server.port == port
    assert (server.tls_context is None) is (tls == "none")
    given = transport_of(replace(SMTP, smtp_tls=tls, smtp_port=2525), seed=1)._pool._server
    assert given.port == 2525


def test_an_attempt_may_take_as_long_as_the_answer_to_a_message():
    """RFC 5321 wants ten minutes of patience."""
    assert transport_of(SMTP, seed=1).timeout_s > SMTP.smtp_answer_s == 600


LOGIN = replace(SMTP, smtp_username="joblog", smtp_password="secret")


@pytest.mark.parametrize("host", ["mail.example", "10.0.0.1", "2001:db8::1"])
def test_a_password_does_not_go_out_in_the_clear(host):
    with pytest.raises(ValueError, match=f"{host} in the clear"):
        transport_of(replace(LOGIN, smtp_host=host, smtp_tls="none"), seed=1)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_but_to_this_machine_it_may(host):
    transport_of(replace(LOGIN, smtp_host=host, smtp_tls="none"), seed=1)


def test_a_name_needs_a_password():
    with pytest.raises(ValueError, match="--smtp-password-file"):
        transport_of(replace(LOGIN, smtp_password=None), seed=1)


@pytest.mark.parametrize(
    ("settings", "stationery"),
    [
        (EmailSettings(), Stationery(SENDER)),
        (EmailSettings(transport="file"), Stationery(SENDER)),
        (SMTP, Stationery(None)),
        (replace(SMTP, sender="a@x.example"), Stationery("a@x.example")),
        (replace(SMTP, message_id_domain="x.example"), Stationery(None, "x.example")),
    ],
)
def test_over_smtp_only_who_was_named_sends(settings, stationery):
    assert stationery_of(settings) == stationery


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--email-from", "nobody"), "An email address must have an @-sign"),
        (("--email-message-id-domain", "no domain"), "invalid characters"),
        (("--email-transport", "smtp", "--smtp-username", "joblog"), "--smtp-password-file"),
    ],
)
def test_a_service_does_not_start_on_settings_that_cannot_work(tmp_path, wrong, said):
    refusal = refused(2, "serve", "--data", tmp_path / "data", *wrong)
    assert "e-mail: " in refusal
    assert said in refusal
    assert list(tmp_path.iterdir()) == []
