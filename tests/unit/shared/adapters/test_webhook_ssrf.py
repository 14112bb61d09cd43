"""No URL, name, redirect or certificate leads a webhook into our own network: nothing is even connected to."""

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from ratchet.adapters.system import SystemClock
from ratchet.adapters.webhook import Network, WebhookAnnouncer, connect
from ratchet.adapters.webhook_address import Address
from ratchet.contracts.errors import DeliveryFailed
from ratchet.ports import Event
from ratchet.testing.raw_server import RawServer, answers, read_request
from ratchet.testing.receiver import Answer, WebhookReceiver
from tests.unit.shared.adapters.certificates import certificate

EVENT = Event("evt_1", "task.succeeded", b"{}")
SECRET = "a secret of thirty-two bytes ..."
PUBLIC = Address(socket.AF_INET, "93.184.216.34", 443)


class Wire:
    """A resolver and a connector that count, and lead every connection to one local port."""

    def __init__(self, *resolutions: Sequence[Address], port: int | None = None) -> None:
        self._resolutions = list(resolutions)
        self._port = port
        self.names: list[str] = []
        self.connected: list[Address] = []

    def resolve(self, host: str, port: int) -> Sequence[Address]:
        self.names.append(host)
        return self._resolutions.pop(0)

    def connect(self, address: Address, timeout: float) -> socket.socket:
        self.connected.append(address)
        if self._port is None:
            raise ConnectionRefusedError("nobody is there")
        return connect(Address(socket.AF_INET, "127.0.0.1", self._port), timeout)

    def network(self, tls: ssl.SSLContext | None = None) -> Network:
        return Network(resolve=self.resolve, connect=self.connect, tls=tls)


def local() -> WebhookAnnouncer:
    return WebhookAnnouncer(lambda: SECRET, SystemClock(), allow_loopback=True)


def abroad(wire: Wire, tls: ssl.SSLContext | None = None) -> WebhookAnnouncer:
    return WebhookAnnouncer(lambda: SECRET, SystemClock(), network=wire.network(tls))


def wide(text: str) -> str:
    """The text in fullwidth digits, which IDNA folds into the ASCII ones."""
    return text.translate({ord("0") + i: 0xFF10 + i for i in range(10)})


# What a name resolves to is the resolver's word; the literals below never get that far.
REFUSED_BEFORE_RESOLVING = [
    *("http://example.com/", "ftp://example.com/", "gopher://example.com/", "file:///etc/passwd"),
    *("https://example.com:8443/", "https://example.com:80/", "https://example.com:22/"),
    *("https://user@example.com/", "https://user:pw@example.com/", "https://a@127.0.0.1/"),
    *("https://example.com@127.0.0.1/", "https://127.0.0.1@example.com/"),
    *("https://example.com#@127.0.0.1/", "https://example.com\\@127.0.0.1/"),
    *("https://127.0.0.1/", "https://127.1/", "https://0x7f.1/", "https://0x7f000001/"),
    *("https://2130706433/", "https://017700000001/", "https://0177.0.0.1/", "https://0/"),
    *("https://0.0.0.0/", "https://127.0.0.1./", "https://127.0.0.1:443/", "https://10.0.0.1/"),
    *("https://192.168.0.1/", "https://172.16.0.1/", "https://169.254.169.254/latest/meta-data/"),
    *("https://2852039166/", "https://0xa9fea9fe/", "https://0251.0376.0251.0376/"),
    *(f"https://{wide('127.0.0.1')}/", "https://127。0。0。1/", "https://①②⑦.⓪.⓪.①/"),
    *(
        f"https://{wide('169.254.169.254')}/",
        "https://8.8.8.8/",
        "https://[::1]/",
        "https://[::]/",
    ),
    *("https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/"),
    *("https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://[fec0::1]/"),
    *("https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fd00:ec2::254]/"),
    *("https://[fc00::1]/", "https://[ff02::1]/", "https://[2606:4700::1111]/"),
    *("https://localhost/", "https://localhost./", "https://LOCALHOST/", "https://a.localhost/"),
    *("https://metadata/", "https://instance-data/", "https://db.local/", "https://x.internal/"),
    *("https://localhost:9001/2018-06-01/runtime/", "http://localhost:2773/secretsmanager/get"),
    *("https://%31%32%37.0.0.1/", "https://ex ample.com/", "https://example.com%00.evil.com/"),
    *("https://example.com\r\nHost:127.0.0.1/", "https:///etc", "https://", "//127.0.0.1/", ""),
]
BAD_ADDRESSES = [
    *("127.0.0.1", "0.0.0.0", "10.1.2.3", "100.64.0.1", "169.254.169.254", "169.254.170.2"),
    *("172.20.0.1", "192.0.0.8", "192.88.99.1", "192.168.1.1", "198.18.0.1", "224.0.0.1"),
    *("255.255.255.255", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2001::1", "2002:7f00:1::", "3fff::1", "5f00::1"),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1"),
]


@pytest.mark.parametrize("target", REFUSED_BEFORE_RESOLVING)
def test_a_hostile_url_opens_no_socket_and_asks_no_resolver(target: str) -> None:
    wire = Wire([PUBLIC])
    with pytest.raises(DeliveryFailed, match="not accepted"):
        abroad(wire).announce(EVENT, target=target)
    assert (wire.names, wire.connected) == ([], [])


@pytest.mark.parametrize("ip", BAD_ADDRESSES)
def test_a_name_with_any_bad_address_opens_no_socket(ip: str) -> None:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    wire = Wire([PUBLIC, Address(family, ip, 443)])
    with pytest.raises(DeliveryFailed, match="public addresses only"):
        abroad(wire).announce(EVENT, target="https://hooks.example.com/")
    assert wire.connected == []


def test_the_table_is_as_long_as_promised() -> None:
    assert len({*REFUSED_BEFORE_RESOLVING}) + len({*BAD_ADDRESSES}) >= 60


def test_a_name_is_resolved_once_so_rebinding_changes_nothing() -> None:
    wire = Wire([PUBLIC], [Address(socket.AF_INET, "127.0.0.1", 443)])
    with pytest.raises(DeliveryFailed, match="nobody is there"):
        abroad(wire).announce(EVENT, target="https://hooks.example.com/")
    assert wire.names == ["hooks.example.com"]
    assert wire.connected == [PUBLIC]


def test_the_next_attempt_resolves_again_and_sees_the_bad_address() -> None:
    wire = Wire([PUBLIC], [Address(socket.AF_INET, "127.0.0.1", 443)])
    announcer = abroad(wire)
    for _ in range(2):
        with pytest.raises(DeliveryFailed):
            announcer.announce(EVENT, target="https://hooks.example.com/")
    assert wire.connected == [PUBLIC]


def test_without_the_switch_this_machine_is_out_of_reach() -> None:
    with WebhookReceiver.start() as receiver:
        with pytest.raises(DeliveryFailed, match="not accepted"):
            WebhookAnnouncer(lambda: SECRET, SystemClock()).announce(EVENT, target=receiver.url)
        assert receiver.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_failures_and_not_followed(status: int) -> None:
    with WebhookReceiver.start() as inside:
        moved = Answer(status, {"Location": inside.url})
        with WebhookReceiver.start(moved) as receiver, pytest.raises(DeliveryFailed, match="30"):
            local().announce(EVENT, target=receiver.url)
        assert inside.requests == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(answers(b"")) as proxy, WebhookReceiver.start() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        local().announce(EVENT, target=receiver.url)
        assert proxy.connections == 0


# --- TLS


def test_the_original_name_is_sent_and_checked_on_the_judged_address(tmp_path: Path) -> None:
    seen: list[bytes] = []
    names: list[str | None] = []

    def receive(connection: socket.socket) -> None:
        seen.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 202 Accepted\r\n\r\n")

    tls, pem = certificate(tmp_path, "hooks.example.com")
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    with RawServer(receive, tls) as server:
        wire = Wire([PUBLIC], port=server.port)
        trusting = ssl.create_default_context(cafile=str(pem))
        note = abroad(wire, trusting).announce(EVENT, target="https://hooks.example.com/x")
    assert note == "202 Accepted"
    assert names == ["hooks.example.com"]
    assert b"\r\nHost: hooks.example.com\r\n" in seen[0]
    assert wire.connected == [PUBLIC]


@pytest.mark.parametrize("trusted", [True, False])
def test_a_wrong_or_self_signed_certificate_gets_no_byte_of_the_event(
    tmp_path: Path, trusted: bool
) -> None:
    seen: list[bytes] = []
    tls, pem = certificate(tmp_path, "other.example.com" if trusted else "hooks.example.com")
    with RawServer(lambda connection: seen.append(read_request(connection)), tls) as server:
        wire = Wire([PUBLIC], port=server.port)
        trusting = ssl.create_default_context(cafile=str(pem)) if trusted else None
        with pytest.raises(DeliveryFailed, match="certificate"):
            abroad(wire, trusting).announce(EVENT, target="https://hooks.example.com/x")
    assert seen == []


def test_a_receiver_without_tls_gets_no_byte_of_the_event() -> None:
    received: list[bytes] = []

    def plain(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        received.extend(iter(lambda: connection.recv(65_536), b""))

    with RawServer(plain) as server:
        wire = Wire([PUBLIC], port=server.port)
        with pytest.raises(DeliveryFailed, match="SSLError"):
            abroad(wire).announce(EVENT, target="https://hooks.example.com/x")
    assert b"webhook-id" not in b"".join(received)
