"""Which network addresses a webhook may be delivered to: public ones, checked on what the name resolved to.

The name itself proves nothing: `getaddrinfo` turns 0x7f.1, 2130706433 and 127.1 into 127.0.0.1, and a name may resolve
differently a moment later. So a delivery resolves once, judges every address, and connects to one of those judged.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from ratchet.contracts.errors import DeliveryFailed
from ratchet.domain.webhook_url import WebhookUrl

# Beyond what `is_global` knows, which differs between Python releases:
# https://www.iana.org/assignments/iana-ipv4-special-registry and the same for IPv6.
_BLOCKED_4 = (
    "192.0.0.0/24",  # protocol assignments
    "192.88.99.0/24",  # 6to4 relays
    "169.254.169.254/32",  # instance metadata
)
_BLOCKED_6 = (
    "::/96",  # IPv4-compatible
    "64:ff9b::/96",  # NAT64
    "64:ff9b:1::/48",  # NAT64, local
    "2001::/23",  # protocol assignments, Teredo among them
    "2002::/16",  # 6to4
    "3fff::/20",  # documentation
    "5f00::/16",  # segment routing
    "fd00:ec2::254/128",  # instance metadata
    "fec0::/10",  # site-local
)
_NETWORKS_4 = tuple(ipaddress.IPv4Network(block) for block in _BLOCKED_4)
_NETWORKS_6 = tuple(ipaddress.IPv6Network(block) for block in _BLOCKED_6)
_GLOBAL_UNICAST_6 = ipaddress.IPv6Network("2000::/3")


@dataclass(frozen=True, slots=True)
class Address:
    """One address to connect to."""

    family: int
    ip: str
    port: int


Resolver = Callable[[str, int], Sequence[Address]]


def resolve(host: str, port: int) -> Sequence[Address]:
    """Ask the system's resolver for A and AAAA records.

    Raises:
        OSError: the name is unknown, or no name server answered.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [Address(family, str(where[0]), port) for family, _, _, _, where in found]


def allowed_addresses(url: WebhookUrl, resolver: Resolver = resolve) -> Sequence[Address]:
    """The addresses of a webhook's host; asks the resolver exactly once.

    Raises:
        DeliveryFailed: the name does not resolve, or ANY of its addresses is not public.
    """
    try:
        addresses = resolver(url.host, url.port)
    except (OSError, UnicodeError) as exc:
        raise DeliveryFailed(f"cannot resolve {url.host}: {exc}") from exc
    if not addresses:
        raise DeliveryFailed(f"cannot resolve {url.host}: no address")
    is_allowed = is_loopback if url.is_loopback else is_public
    if not all(is_allowed(address.ip) for address in addresses):
        # Which address it was would tell a tenant about the network that we run in.
        raise DeliveryFailed(f"{url.host} does not resolve to public addresses only")
    return addresses


def is_public(text: str) -> bool:
    """Whether an address belongs to the public internet; what cannot be read does not."""
    address = _parse(text)
    if isinstance(address, IPv4Address):
        blocked = any(address in network for network in _NETWORKS_4)
    elif isinstance(address, IPv6Address):
        blocked = address not in _GLOBAL_UNICAST_6 or any(address in n for n in _NETWORKS_6)
    else:
        return False
    return address.is_global and not address.is_multicast and not blocked


def is_loopback(text: str) -> bool:
    """Whether an address is this very machine."""
    address = _parse(text)
    return address is not None and address.is_loopback


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
