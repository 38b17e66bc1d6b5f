"""Which addresses a webhook may reach: public ones, and those the operator allows.

Whoever may post a webhook makes this machine send a request, from inside its network: to a database
on the loopback, to a printer, to the metadata service of a cloud. So every address that is not
publicly reachable is refused, unless `--webhook-allow` has its network:

| refused                     | for example |
|-----------------------------|-------------|
| loopback, this host         | 127.0.0.1, ::1, 0.0.0.0, :: |
| private, shared, local      | 10.0.0.0/8, 100.64.0.0/10, fc00::/7, fec0::/10 |
| link-local                  | 169.254.169.254, fe80::/10 |
| multicast, reserved         | 224.0.0.0/4, 240.0.0.0/4, ff00::/8, documentation and tests |
| kept for protocols, retired | 192.0.0.0/24, 192.88.99.0/24 (relays of 6to4), 3fff::/20 |
| within a site (ISATAP)      | 2001:678::5efe:7f00:1, whatever it carries |
| what carries one of these   | ::ffff:127.0.0.1, 64:ff9b::7f00:1 (NAT64), 2002:7f00:1:: (6to4) |

It judges addresses, not names: `network` asks it about the very address that it is about to connect
to, whatever a name led to before. It does not resolve, and knows no ports.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from service.processors.webhook.message import Address

_NAT64: Final = IPv6Network("64:ff9b::/96")  # the only prefix that leads to public addresses
_NO_PLACES: Final = (
    IPv6Network("64:ff9b:1::/48"),  # NAT64 within a network, RFC 8215
    IPv6Network("::/96"),  # IPv4-compatible, given up long ago
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
    IPv4Network("192.0.0.0/24"),  # protocols between neighbours, RFC 6890
    IPv4Network("192.88.99.0/24"),  # the next relay of 6to4, RFC 7526
)
_ISATAP: Final = 0x5EFE  # RFC 5214 section 6.1: before the IPv4 address, in the interface's id
_ISATAP_UNIQUE_BIT: Final = 0x0200_0000


class Guard:
    """Says which addresses are out of bounds."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """`allowed` are networks as `10.1.0.0/16` or `::1`. Raises ValueError."""
        self._allowed = [ip_network(each) for each in allowed]

    def permits(self, address: Address) -> bool:
        """Whether it may be reached."""
        inner = _carried(address)
        if self._is_allowed(address) or (inner is not None and self._is_allowed(inner)):
            return True
        return not _is_isatap(address) and _is_public(address if inner is None else inner)

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allowed)


def _carried(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_isatap(address: Address) -> bool:
    """Whether a tunnel within a site ends there, whatever network it is in."""
    if isinstance(address, IPv4Address):
        return False
    above = int(address) >> 32 & 0xFFFF_FFFF
    return above & ~_ISATAP_UNIQUE_BIT == _ISATAP


def _is_public(address: Address) -> bool:
    if any(address in network for network in _NO_PLACES):
        return False
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
