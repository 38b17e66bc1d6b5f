"""Signatures: as the standard's own library verifies them, and secrets that nobody gets to see.

The example at the top is the standard's: its secret, id, time and body, and the signature that must
come out.
"""

import base64

import pytest
from standardwebhooks import Webhook as Verifying
from standardwebhooks import WebhookVerificationError

from eventstore import clock
from service.processors.webhook.signature import SECRET_BYTES_MAX, SECRET_BYTES_MIN, Signer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'


def secret_of(number: int, byte: bytes = b"k") -> str:
    return "whsec_" + base64.b64encode(byte * number).decode()


def test_the_example_of_the_standard() -> None:
    headers = Signer([SECRET]).headers(ID, BODY, "2021-02-25T15:02:10.000000Z")
    assert headers == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_timestamp_is_whole_seconds_and_what_was_signed() -> None:
    one = Signer([SECRET]).headers(ID, BODY, "2026-11-23T12:00:00.000000Z")
    other = Signer([SECRET]).headers(ID, BODY, "2026-11-23T12:00:00.999999Z")
    assert one == other
    assert one["webhook-timestamp"] == "1795435200"


async def test_each_secret_signs_and_a_receiver_needs_only_one() -> None:
    old, new = secret_of(32, b"o"), secret_of(32, b"n")
    body = '{"data":"ä"}'.encode()
    headers = Signer([new, old]).headers(ID, body, clock.now())
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        assert Verifying(secret).verify(body, headers) == {"data": "ä"}
    with pytest.raises(WebhookVerificationError):
        Verifying(secret_of(32, b"x")).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Verifying(new).verify(body + b" ", headers)


def test_without_a_secret_nothing_is_signed() -> None:
    assert list(Signer().headers(ID, BODY, clock.now())) == ["webhook-id", "webhook-timestamp"]


@pytest.mark.parametrize(
    ("number", "fits"),
    [
        (SECRET_BYTES_MIN - 1, False),
        (SECRET_BYTES_MIN, True),
        (SECRET_BYTES_MIN + 1, True),
        (SECRET_BYTES_MAX - 1, True),
        (SECRET_BYTES_MAX, True),
        (SECRET_BYTES_MAX + 1, False),
    ],
)
def test_a_secret_has_so_many_bytes(number: int, fits: bool) -> None:
    for secret in (secret_of(number), secret_of(number).rstrip("=")):
        if fits:
            Signer([secret])
        else:
            with pytest.raises(ValueError, match="24 to 64 bytes"):
                Signer([secret])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "secret",
        SECRET.removeprefix("whsec_"),
        SECRET + "!",
        SECRET[:-1] + " ",
        "whsec_ü",
    ],
)
def test_what_is_no_secret_is_refused_without_being_told(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        Signer([text])
    for error in (refused.value, refused.value.__cause__, refused.value.__context__):
        assert len(text) < 8 or text[6:] not in str(error)


def test_a_signer_does_not_show_its_secrets() -> None:
    assert SECRET.removeprefix("whsec_") not in repr(vars(Signer([SECRET])))
