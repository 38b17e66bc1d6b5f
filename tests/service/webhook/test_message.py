"""What a client may post as a webhook, how its address is read, and the bytes that come of it.

The spellings of addresses that a C library reads otherwise than people are the heart of it.
"""

from typing import Any

import msgspec
import pytest

from service.processors.webhook.message import (
    URL_CHARACTERS_MAX,
    Target,
    Webhook,
    body_of,
    sha256_of,
    target_of,
)
from tests.support.build import NOON

GOOD: dict[str, Any] = {"url": "https://example.com/hooks", "type": "a.b", "data": {}}


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/")),
        ("HTTP://Example.COM:8080/A?b=c&d", Target("http", "example.com", 8080, "/A?b=c&d")),
        ("http://a_b.x-y.example/%7Ea", Target("http", "a_b.x-y.example", 80, "/%7Ea")),
        ("https://xn--bcher-kva.example/", Target("https", "xn--bcher-kva.example", 443, "/")),
        ("http://127.0.0.1:1/", Target("http", "127.0.0.1", 1, "/")),
        ("http://[::1]:65535/", Target("http", "::1", 65535, "/")),
        ("http://[2001:db8:0::7f00:1]/", Target("http", "2001:db8::7f00:1", 80, "/")),
        ("http://example.com?x", Target("http", "example.com", 80, "/?x")),
    ],
)
def test_an_address_is_read(url: str, target: Target) -> None:
    assert target_of(url) == target


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://example.com/", "example.com"),
        ("https://example.com:443/", "example.com"),
        ("https://example.com:80/", "example.com:80"),
        ("http://[::1]/", "[::1]"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ],
)
def test_the_host_header_is_that_of_the_address(url: str, authority: str) -> None:
    assert target_of(url).authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "", "/hooks", "example.com", "//example.com/", "https:/example.com", "https://",
        "http:///x",
        "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)",
        "http://user@example.com/", "http://user:secret@example.com/", "http://@example.com/",
        "http://example.com#@evil.example/", "http://example.com/#part",
        "http://example.com\\@evil.example/", "http://exa mple.com/", "http://example.com/a b",
        "http://example.com/\r\nHost: x", "http://example.com\t/", "http://bücher.example/",
        "http://example.com/ü", "http://ⓔxample.com/", "http://example。com/",
        "http://example.com:0/", "http://example.com:65536/", "http://example.com:x/",
        "http://example.com:-1/", "http://.example.com/", "http://example..com/",
        "http://example.com./", "http://-a.example/", "http://a%2eb/", "http://[::1/",
        "http://::1/",
        "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[v1.a]/",
        "http://[127.0.0.1]/",
        f"http://{'a' * 64}.example/", f"http://{'a.' * 126}aa/",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        target_of(url)
    with pytest.raises(msgspec.ValidationError, match=r" - at `\$\.url`$"):
        msgspec.convert({**GOOD, "url": url}, Webhook)


@pytest.mark.parametrize(
    "host",
    [
        "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "127.1", "127.0.1",
        "0", "0x", "127.0.0.1.", "1.2.3.4.5", "256.0.0.1", "127.0.0.0x1", "example.127", "00.0.0.0",
        "127.0.0.01", "a.0x7f",
    ],
)  # fmt: skip
def test_an_ipv4_address_is_four_decimal_numbers_and_nothing_else(host: str) -> None:
    with pytest.raises(ValueError):
        target_of(f"http://{host}/")


@pytest.mark.parametrize("host", ["1.example", "0x7f.example", "127.0.0.1.example", "0x7g", "1a"])
def test_a_name_may_have_numbers_in_it(host: str) -> None:
    assert target_of(f"http://{host}/").address is None


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_an_address_has_so_many_characters_at_most(more: int) -> None:
    url = "https://example.com/".ljust(URL_CHARACTERS_MAX + more, "x")
    if more <= 0:
        assert msgspec.convert({**GOOD, "url": url}, Webhook).url == url
    else:
        with pytest.raises(msgspec.ValidationError, match=r"`\$\.url`"):
            msgspec.convert({**GOOD, "url": url}, Webhook)


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"type": ""}, "type"),
        ({"type": "a b"}, "type"),
        ({"type": "x" * 129}, "type"),
        ({"data": []}, "data"),
        ({"data": "text"}, "data"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2026-11-23T12:00:00"}, "timestamp"),
        ({"timestamp": 5}, "timestamp"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_else_makes_no_webhook(changes: Any, member: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=member):
        msgspec.convert({**GOOD, **changes}, Webhook)


@pytest.mark.parametrize("missing", ["url", "type", "data"])
def test_address_type_and_data_must_be_there(missing: str) -> None:
    given = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(msgspec.ValidationError, match=missing):
        msgspec.convert(given, Webhook)


def test_the_body_is_compact_json_in_the_order_of_the_standard() -> None:
    event = Webhook("https://example.com/", "invoice.paid", {"b": [1, {"ä": None}], "a": 1.5})
    assert body_of(event, NOON).decode() == (
        f'{{"type":"invoice.paid","timestamp":"{NOON}","data":{{"b":[1,{{"ä":null}}],"a":1.5}}}}'
    )


def test_the_body_is_the_same_bytes_after_a_journey_through_the_log() -> None:
    data = {
        "z": 1e22,
        "a": [0.1, -0.0, 1.0, 2**53],
        "t": "\u2028 ü \U0001f408",
        "n": {"y": {}, "b": 1},
    }
    event = Webhook("https://example.com/", "x", data, NOON)
    again = msgspec.convert(msgspec.json.decode(msgspec.json.encode(event)), Webhook)
    assert body_of(again, "later") == body_of(event, NOON)
    assert sha256_of(body_of(again, NOON)) == sha256_of(body_of(event, NOON))
