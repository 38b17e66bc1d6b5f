"""Which addresses webhooks may reach, family by family, at the borders of the networks.

Names and their resolution are `test_network`'s matter.
"""

from ipaddress import ip_address

import pytest

from service.processors.webhook import guard as guard_module
from service.processors.webhook.guard import Guard

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255",
    "172.32.0.0", "192.167.255.255", "192.169.0.0", "223.255.255.255",
    "2606:4700::1111", "2a00:1450:4001::1", "2003::1",
    "191.255.255.255", "192.0.1.0", "192.88.98.255", "192.88.100.0",
    "2a00::5efd:7f00:1", "2a00::5eff:7f00:1", "2a00::1:5efe:7f00:1", "2a00::5efe:0:7f00:1",
    "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1",
]  # fmt: skip
PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255",
    "127.0.0.0", "127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.169.254",
    "172.16.0.0", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.0.0", "192.168.255.255",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255",
    "::", "::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
    "ff0e::1", "2001:db8::1", "2001::1", "100::1", "5f00::1", "4000::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0",
    "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::8.8.8.8", "2002:7f00:1::", "2002:a00:1::1",
    "::127.0.0.1", "::8.8.8.8",
    "192.0.0.0", "192.0.0.8", "192.0.0.9", "192.0.0.255", "192.88.99.0", "192.88.99.1",
    "192.88.99.255", "::ffff:192.88.99.1", "64:ff9b::192.0.0.8", "2002:c058:6301::1",
    "3fff::", "3fff::1", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2a00::5efe:7f00:1", "2a00::200:5efe:7f00:1", "2a00::5efe:808:808", "fe80::5efe:808:808",
    "2002:808:808::5efe:7f00:1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_reached(address: str) -> None:
    assert Guard().permits(ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_may_not(address: str) -> None:
    assert not Guard().permits(ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_unless_it_is_allowed(address: str) -> None:
    alone = address.partition("%")[0]
    assert Guard([alone]).permits(ip_address(alone))
    assert not Guard(["10.99.0.0/16", "fd99::/64"]).permits(ip_address(address))


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True),
        ("::ffff:127.0.0.1", True),  # the same place
        ("64:ff9b::127.0.0.1", True),
        ("::1", False),
        ("10.1.2.3", True),
        ("10.1.3.0", False),
        ("10.1.1.255", False),
    ],
)
def test_a_network_allows_its_addresses_and_no_other(address: str, allowed: bool) -> None:
    assert Guard(["127.0.0.0/8", "10.1.2.0/24"]).permits(ip_address(address)) is allowed


@pytest.mark.parametrize("text", ["", "localhost", "127.0.0.1/33", "10.0.0.1/8", "example.com/8"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Guard([text])


def test_a_guard_that_forgets_what_an_address_carries_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By an address that is public for what it carries alone, to every Python's `ipaddress`."""
    assert Guard().permits(ip_address("64:ff9b::808:808"))
    monkeypatch.setattr(guard_module, "_carried", lambda _: None)
    assert not Guard().permits(ip_address("64:ff9b::808:808"))
