"""What a client posts to `/jobs/webhook`, where it goes, and the bytes that are delivered.

    {"url": "https://example.com/hooks", "type": "invoice.paid", "data": {"id": 17}}
    ->  {"type":"invoice.paid","timestamp":"2026-11-23T23:37:42.130112Z","data":{"id":17}}

The body is that of Standard Webhooks 1.0, as compact JSON. Its `timestamp` is when the thing
happened: the client's, or else the job's creation, and fixed there. So every attempt sends the same
bytes, and their SHA-256 is in the log (`body_sha256`).

An address is written in one way only, so that nobody can read it otherwise than we do: ASCII (a
name in another script in its `xn--` form), no user and no password, an IPv4 address as four decimal
numbers. `http://0x7f.1/` and `http://2130706433/`, which C libraries take for 127.0.0.1, are
refused here. Whether an address may be reached is `guard`'s matter.
"""

import hashlib
import re
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from eventstore.timestamp import Timestamp, parse

URL_CHARACTERS_MAX = 2048
HOST_CHARACTERS_MAX = 253
PORTS = {"http": 80, "https": 443}

Address: TypeAlias = IPv4Address | IPv6Address

_URL = re.compile(
    r"[!#-;=?-\[\]_a-z~]+"
)  # RFC 3986's characters: no space, quote, <, >, \, ^, `, {
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event to be delivered: `type` names it, `data` is what is told of it, `timestamp` when it
    happened (RFC 3339; the job's creation unless given).
    """

    url: Annotated[
        str,
        Meta(
            max_length=URL_CHARACTERS_MAX,
            description="Where it is posted: `http` or `https`, without user or fragment, at a"
            " public address.",
        ),
    ]
    type: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_.:/-]{1,128}$",
            description="The event's name, as `invoice.paid`.",
        ),
    ]
    data: Annotated[dict[str, Any], Meta(description="What is told of it: any JSON object.")]
    timestamp: Annotated[
        str | None,
        Meta(description="When it happened (RFC 3339). The job's creation unless given."),
    ] = None

    def __post_init__(self) -> None:
        try:
            target_of(self.url)
        except ValueError as error:
            raise ValueError(f"{error} - at `$.url`") from error
        if self.timestamp is not None:
            try:
                parse(self.timestamp)
            except ValueError as error:
                raise ValueError(f"{error} - at `$.timestamp`") from error


class Target(NamedTuple):
    """Where a webhook goes. `host` is a name, or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str  # and query

    @property
    def authority(self) -> str:
        """What the `Host` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """The address that the host is; None for a name."""
        if ":" in self.host:
            return IPv6Address(self.host)
        return IPv4Address(self.host) if _is_number(self.host) else None


def target_of(url: str) -> Target:
    """Where a URL leads. Raises ValueError."""
    if not _URL.fullmatch(url):
        raise ValueError("holds a character that must be %-encoded, or in a host written xn--")
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.netloc:
        raise ValueError("not an absolute http or https URL")
    if "@" in parts.netloc:
        raise ValueError("a user or password in a URL ends up in logs: leave it out")
    if "#" in url:
        raise ValueError("a fragment is never sent: leave it out")
    port = parts.port if parts.port is not None else PORTS[parts.scheme]
    if port == 0:
        raise ValueError("there is no port 0")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, _host(parts.netloc, parts.hostname or ""), port, path)


def body_of(event: Webhook, created_at: Timestamp) -> bytes:
    """The bytes to deliver, the same at every call."""
    timestamp = created_at if event.timestamp is None else event.timestamp
    said = {"type": event.type, "timestamp": timestamp, "data": event.data}
    return msgspec.json.encode(said)


def sha256_of(body: bytes) -> str:
    """The digest that goes into the log."""
    return hashlib.sha256(body).hexdigest()


def _host(netloc: str, host: str) -> str:
    if netloc.startswith("["):
        if "%" in host:
            raise ValueError("an address with a zone is nobody else's")
        return str(IPv6Address(host))
    labels = host.split(".")
    if len(host) > HOST_CHARACTERS_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("its host is no name")
    if _is_number(host):
        try:
            return str(IPv4Address(host))
        except ValueError as error:
            raise ValueError("write an IPv4 address as four decimal numbers") from error
    return host


def _is_number(host: str) -> bool:
    """Whether a C library would take it for an IPv4 address, or try to."""
    return _NUMBER.fullmatch(host.rpartition(".")[2]) is not None
