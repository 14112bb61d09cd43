"""Sixty-odd hosts inside somebody's network, each in four ways: nothing there is ever connected to.

Counted where Python itself reports it: each connect and each name resolution of the process, whoever makes them.
"""

import ipaddress
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from ratchet.adapters.system import SystemClock
from ratchet.adapters.webhook import Network, WebhookAnnouncer, connect
from ratchet.adapters.webhook_address import Address
from ratchet.contracts.errors import DeliveryFailed
from ratchet.ports import Event
from ratchet.testing.receiver import Answer, WebhookReceiver

EVENT = Event("evt_1", "task.succeeded", b"{}", {"tenant": "acme"})
SECRET = "a secret of thirty-two bytes ..."
PUBLIC = Address(socket.AF_INET, "93.184.216.34", 443)

HOSTS_4 = [
    *("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "0.0.0.0", "0.1.2.3"),
    *("10.0.0.1", "10.1.2.3", "10.255.255.255", "172.16.0.1", "172.20.10.5", "172.31.255.255"),
    *("192.168.0.1", "192.168.1.254", "192.168.255.255", "100.64.0.1", "100.127.255.255"),
    *("169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.169.123", "169.254.0.1"),
    *("192.0.0.1", "192.0.0.8", "192.0.0.170", "192.0.0.192", "192.0.2.1", "198.51.100.7"),
    *("203.0.113.9", "198.18.0.1", "198.19.255.255", "192.88.99.1", "224.0.0.1", "239.1.2.3"),
    *("240.0.0.1", "255.255.255.255"),
]
HOSTS_6 = [
    *("::", "::1", "::127.0.0.1", "::10.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
    *("::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"),
    *("100::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2001:10::1", "2002:7f00:1::"),
    *("2002:a9fe:a9fe::", "3fff::1", "5f00::1", "fc00::1", "fd00::1", "fd00:ec2::254"),
    *("fd20:ce::254", "fe80::1", "fe80::a9fe:a9fe", "fec0::1", "ff02::1", "ff05::1:3"),
]
HOSTS = HOSTS_4 + HOSTS_6
_EVENTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}


class Watch:
    """What the process did on the network while it was switched on."""

    def __init__(self) -> None:
        self.is_on = False
        self.seen: list[tuple[str, Any]] = []

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and event in _EVENTS:
            where = arguments[1] if event in {"socket.connect", "socket.sendto"} else arguments[0]
            self.seen.append((event, where))


_WATCH = Watch()
sys.addaudithook(_WATCH.hear)  # for the life of the process; it is deaf unless switched on


@contextmanager
def watching() -> Iterator[list[tuple[str, Any]]]:
    _WATCH.seen, _WATCH.is_on = [], True
    try:
        yield _WATCH.seen
    finally:
        _WATCH.is_on = False


def address(ip: str) -> Address:
    return Address(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip, 443)


def encodings(ip: str) -> list[str]:
    """Other ways to write an address into a URL, that some parser takes for it."""
    parsed = ipaddress.ip_address(ip)
    number = int(parsed)
    if isinstance(parsed, ipaddress.IPv6Address):
        return [f"[{parsed.exploded}]", f"[{ip.upper()}]", f"[{ip}%25eth0]", f"%5B{ip}%5D"]
    parts = ip.split(".")
    wide = ip.translate({ord("0") + i: 0xFF10 + i for i in range(10)})
    return [
        *(str(number), hex(number), f"0{number:o}", f"{ip}.", f"[::ffff:{ip}]"),
        ".".join(hex(int(p)) for p in parts),
        ".".join(f"0{int(p):o}" for p in parts),
        f"{parts[0]}.{number & 0xFFFFFF}",
        f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
        "".join(f"%{ord(c):02x}" for c in ip),
        *(wide, wide.replace(".", "。")),
        f"example.com@{ip}",
    ]


def in_url(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def refused(announcer: WebhookAnnouncer, url: str) -> str:
    with pytest.raises(DeliveryFailed) as caught:
        announcer.announce(EVENT, target=url)
    return str(caught.value)


def test_the_watch_sees_a_connection() -> None:
    with WebhookReceiver.start() as receiver, watching() as seen:
        announcer = WebhookAnnouncer(lambda: SECRET, SystemClock(), allow_loopback=True)
        announcer.announce(EVENT, target=receiver.url)
        assert [event for event, _ in seen] == ["socket.getaddrinfo", "socket.connect"]


def test_the_table_is_as_long_as_promised() -> None:
    assert len(set(HOSTS)) == len(HOSTS) >= 60


@pytest.mark.parametrize("ip", HOSTS)
def test_as_a_literal_and_encoded_nothing_is_resolved_or_connected(ip: str) -> None:
    announcer = WebhookAnnouncer(lambda: SECRET, SystemClock())
    with watching() as seen:
        for host in (in_url(ip), *encodings(ip)):
            for suffix in ("/", ":443/", "/latest/meta-data/"):
                assert "not accepted" in refused(announcer, f"https://{host}{suffix}")
    assert seen == []


@pytest.mark.parametrize("ip", HOSTS)
def test_as_what_a_name_resolves_to_alone_or_among_public_ones_nothing_is_connected(
    ip: str,
) -> None:
    for found in ([address(ip)], [PUBLIC, address(ip)], [address(ip), PUBLIC]):
        network = Network(resolve=lambda _host, _port, _found=found: _found)  # type: ignore[misc]
        announcer = WebhookAnnouncer(lambda: SECRET, SystemClock(), network=network)
        with watching() as seen:
            assert "public addresses only" in refused(announcer, "https://hooks.example.com/")
        assert seen == []


@pytest.mark.parametrize("ip", HOSTS)
def test_a_name_that_is_bound_anew_leads_only_to_the_address_that_was_judged(ip: str) -> None:
    answers: list[Sequence[Address]] = [[PUBLIC], [address(ip)], [address(ip)]]

    def to_a_closed_port(judged: Address, timeout: float) -> socket.socket:
        assert judged == PUBLIC
        return connect(Address(socket.AF_INET, "127.0.0.1", closed), timeout)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    network = Network(resolve=lambda _host, _port: answers.pop(0), connect=to_a_closed_port)
    announcer = WebhookAnnouncer(lambda: SECRET, SystemClock(), network=network)
    with watching() as seen:
        assert "refused" in refused(announcer, "https://hooks.example.com/")
        for _ in range(2):
            assert "public addresses only" in refused(announcer, "https://hooks.example.com/")
    assert seen == [("socket.connect", ("127.0.0.1", closed))]


@pytest.fixture(scope="module")
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver.start() as running:
        yield running


@pytest.mark.parametrize("ip", HOSTS)
def test_a_redirect_to_it_is_a_failure_and_not_followed(receiver: WebhookReceiver, ip: str) -> None:
    announcer = WebhookAnnouncer(lambda: SECRET, SystemClock(), allow_loopback=True)
    targets = [f"https://{in_url(ip)}/", f"http://{in_url(ip)}/latest/meta-data/", f"//{ip}/"]
    receiver.answer_with(
        *(Answer(status, {"Location": t}) for t in targets for status in (302, 307))
    )
    port = int(receiver.url.split(":")[2].split("/")[0])
    with watching() as seen:
        for _ in range(6):
            assert "the receiver answered 30" in refused(announcer, receiver.url)
    connects = [where for event, where in seen if event == "socket.connect"]
    assert connects == [("127.0.0.1", port)] * 6
    assert {host for event, host in seen if event == "socket.getaddrinfo"} == {"127.0.0.1"}
