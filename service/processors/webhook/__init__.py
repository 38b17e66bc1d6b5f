"""The built-in kind `webhook`: an event, delivered by HTTP to whoever wants to know of it.

Each attempt is one POST of the same bytes, with the headers of Standard Webhooks 1.0. The job's id
is the `webhook-id`: delivery is at least once, and by it a receiver tells a repeat.

    message   what a client posts, the bytes, the address     verdict   what an answer means
    signature the headers that prove whose it is              delivery  one POST, step by step
    guard     which addresses may be reached                  network   resolve, check, connect

httpcore is imported with the first delivery: a service without webhooks starts without it.
"""

import logging
import ssl
from typing import TYPE_CHECKING, Any

from eventstore import clock
from eventstore.timestamp import Timestamp, parse
from projections.events import BackoffPolicy
from service.processors import Attempt, Prepared, Processor, processor
from service.processors.webhook.guard import Guard
from service.processors.webhook.message import Webhook, body_of, sha256_of, target_of
from service.processors.webhook.signature import Signer
from service.processors.webhook.verdict import Answer, error_of
from service.settings import WebhookSettings
from service.version import VERSION

if TYPE_CHECKING:
    from service.processors.webhook.delivery import Delivery
    from service.processors.webhook.network import Resolve

EXAMPLE = {"url": "https://example.com/hooks", "type": "invoice.paid", "data": {"invoice": 17}}
RECORD_S = 5.0  # beyond a delivery's own limit, so that it is that which ends an attempt

logger = logging.getLogger("joblog.webhook")


class Courier:
    """Delivers as the settings say. Close it when nothing is delivered any more."""

    def __init__(
        self,
        settings: WebhookSettings,
        *,
        resolve: "Resolve | None" = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`resolve` and `tls` stand in for the system's. Raises ValueError."""
        self.timeout_s = settings.timeout_s
        self._guard = Guard(settings.allow)
        self._signer = Signer(settings.secrets)
        self._resolve = resolve
        self._tls = tls
        self._delivery: Delivery | None = None

    def prepare(self, payload: Webhook, _: str, now: Timestamp) -> Prepared:
        """The event with its time, and the digest of its body. Raises ValueError for an address
        that may not be reached.
        """
        address = target_of(payload.url).address
        if address is not None and not self._guard.permits(address):
            raise ValueError(f"{address} is not public: ask the operator - at `$.url`")
        happened_at = now if payload.timestamp is None else parse(payload.timestamp)
        event = Webhook(payload.url, payload.type, payload.data, happened_at)
        return Prepared(event, {"body_sha256": sha256_of(body_of(event, now))})

    async def deliver(self, event: Webhook, attempt: Attempt) -> Answer:
        """One POST. Raises an AttemptError unless the receiver took it."""
        body = body_of(event, attempt.created_at)
        if attempt.facts.get("body_sha256", sha256_of(body)) != sha256_of(body):
            logger.warning("job %s: its body is not what it was at creation", attempt.job_id)
        now = clock.now()
        headers = {
            **self._signer.headers(attempt.job_id, body, now),
            "Content-Type": "application/json",
            "User-Agent": f"joblog/{VERSION}",
            "Accept-Encoding": "identity",
        }
        answer = await self._ready().post(target_of(event.url), headers, body)
        error = error_of(answer, now)
        if error is not None:
            raise error
        return answer

    async def aclose(self) -> None:
        """Close the connections."""
        if self._delivery is not None:
            await self._delivery.aclose()

    def _ready(self) -> "Delivery":
        if self._delivery is None:
            from service.processors.webhook.delivery import (  # noqa: PLC0415  see the module
                Delivery,
            )

            self._delivery = Delivery(
                self._guard, timeout_s=self.timeout_s, resolve=self._resolve, tls=self._tls
            )
        return self._delivery


def webhook_processor(courier: Courier, *, backoff: BackoffPolicy) -> Processor:
    """The processor of kind `webhook`."""

    @processor(
        "webhook",
        timeout=courier.timeout_s + RECORD_S,
        backoff=backoff,
        prepare=courier.prepare,
        example=EXAMPLE,
    )
    async def webhook(payload: Webhook, attempt: Attempt) -> dict[str, Any]:
        """Deliver an event by HTTP POST, signed as Standard Webhooks has it."""
        answer = await courier.deliver(payload, attempt)
        return {"status": answer.status, "body": answer.text, "whole": answer.whole}

    return webhook
