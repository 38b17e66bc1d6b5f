"""Signatures of Standard Webhooks 1.0: who receives a webhook can tell that it is ours and fresh.

    webhook-id         the job's id, the same at every attempt: what a receiver tells repeats by
    webhook-timestamp  when this attempt was made, in seconds since 1970
    webhook-signature  v1,<base64 of HMAC-SHA256 over "id.timestamp.body">, one for each secret

A secret is `whsec_` and the base64 of 24 to 64 bytes. With several, each signs: a receiver that
knows one of them is content, so a secret is rotated by adding the new one, and taking the old one
away once everybody knows the new. Without any nothing is signed.

The signing itself is the `standardwebhooks` package's: small, without dependencies, and by those
who wrote the standard. A secret is never shown, in no message and no `repr`.
"""

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime

from standardwebhooks import Webhook as Signing

from eventstore.timestamp import Timestamp

PREFIX = "whsec_"
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64


class Signer:
    """Signs with every secret."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Raises ValueError for what is no secret, without saying it."""
        self._signings = [Signing(_key(secret)) for secret in secrets]

    def headers(self, job_id: str, body: bytes, now: Timestamp) -> dict[str, str]:
        """The headers of one attempt."""
        moment = datetime.fromisoformat(now)
        headers = {"webhook-id": job_id, "webhook-timestamp": str(int(moment.timestamp()))}
        if self._signings:
            text = body.decode()
            signatures = [each.sign(job_id, moment, text) for each in self._signings]
            headers["webhook-signature"] = " ".join(signatures)
        return headers


def _key(secret: str) -> bytes:
    encoded = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):  # whose words would hold a part of it
        key = b""
    if not secret.startswith(PREFIX) or not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise ValueError(
            f"a secret is {PREFIX} and the base64 of"
            f" {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes; this one is not"
        )
    return key
