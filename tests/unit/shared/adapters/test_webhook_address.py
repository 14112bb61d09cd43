"""Which network addresses a webhook may reach."""

import socket

import pytest

from ratchet.adapters.webhook_address import (
    Address,
    allowed_addresses,
    is_loopback,
    is_public,
    resolve,
)
from ratchet.contracts.errors import DeliveryFailed
from ratchet.domain.webhook_url import WebhookUrl

URL = WebhookUrl("hooks.example.com", 443, "/")
GOOD = Address(socket.AF_INET, "93.184.216.34", 443)


@pytest.mark.parametrize("ip", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_allowed(ip: str) -> None:
    assert is_public(ip)


@pytest.mark.parametrize(
    "ip",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1"),
        *("127.255.255.254", "169.254.169.254", "169.254.0.1", "169.254.170.2", "172.16.0.1"),
        *("172.31.255.255", "192.0.0.1", "192.0.0.9", "192.0.0.171", "192.0.2.1", "192.88.99.1"),
        *("192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1"),
        *("240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::ffff:10.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::1.1.1.1", "64:ff9b:1::1", "100::1", "2001::1", "2001:2::1"),
        *("2001:db8::1", "2001:10::1", "2001:20::1", "2002:7f00:1::", "2002:101:101::1"),
        *("3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0"),
        *("fec0::1", "ff02::1", "ff0e::1", "not an address", "", "1.1.1", "01.1.1.1"),
    ],
)
def test_all_other_addresses_are_not(ip: str) -> None:
    assert not is_public(ip)


def test_one_bad_address_among_good_ones_refuses_the_host() -> None:
    with pytest.raises(DeliveryFailed, match="public addresses only") as caught:
        allowed_addresses(URL, lambda host, port: [GOOD, Address(socket.AF_INET, "10.0.0.7", 443)])
    assert "10.0.0.7" not in str(caught.value)


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
def test_a_name_that_does_not_resolve_is_a_failed_delivery(error: Exception) -> None:
    def fail(host: str, port: int) -> list[Address]:
        raise error

    with pytest.raises(DeliveryFailed, match="cannot resolve"):
        allowed_addresses(URL, fail)


def test_a_name_without_addresses_is_a_failed_delivery() -> None:
    with pytest.raises(DeliveryFailed, match="no address"):
        allowed_addresses(URL, lambda host, port: [])


def test_a_loopback_name_may_only_resolve_to_this_machine() -> None:
    local = WebhookUrl("localhost", 8080, "/", is_https=False)
    here = [Address(socket.AF_INET, "127.0.0.1", 8080)]
    assert allowed_addresses(local, lambda host, port: here) == here
    with pytest.raises(DeliveryFailed):
        allowed_addresses(local, lambda host, port: [GOOD])


def test_what_the_system_makes_of_numbers_is_seen_through() -> None:
    for spelling in ("127.1", "0x7f.1", "2130706433", "017700000001"):
        addresses = resolve(spelling, 443)
        assert addresses
        assert all(is_loopback(address.ip) for address in addresses)
