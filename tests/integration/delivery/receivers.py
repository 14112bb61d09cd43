"""Receivers of every kind on a virtual clock: the real sender talks to them through sockets that take no real time."""

import socket
import ssl
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, cast

from ratchet.adapters.webhook import Network
from ratchet.adapters.webhook_address import Address
from ratchet.testing.clock import FakeClock
from ratchet.testing.receiver import ReceivedWebhook

PUBLIC = Address(socket.AF_INET, "93.184.216.34", 443)
INSIDE = Address(socket.AF_INET, "169.254.169.254", 443)
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


class VirtualSocket:
    """What the sender sees of one connection; waiting moves the clock, and no further than its timeout."""

    def __init__(self, receiver: "Receiver", clock: FakeClock) -> None:
        self._receiver, self._clock = receiver, clock
        self._timeout = 0.0
        self._sent = b""
        self._answer: Iterator[bytes] | None = None
        self._left = b""

    def settimeout(self, seconds: float) -> None:
        self._timeout = seconds

    def send(self, data: bytes) -> int:
        if self._receiver.never_reads:
            self._wait_in_vain()
        self._sent += bytes(data)
        return len(data)

    def recv_into(self, buffer: Any) -> int:
        if self._answer is None:
            self._receiver.take(self._sent, self._clock.now_ms())
            self._answer = self._receiver.answer(self._clock)
        drop = self._left or next(self._answer, b"")
        if drop == HANG:
            self._wait_in_vain()
        self._clock.advance(min(self._receiver.seconds_per_drop, self._timeout))
        part = drop[: len(buffer)]
        buffer[: len(part)] = part
        self._left = drop[len(part) :]
        return len(part)

    def close(self) -> None:
        """Nothing is held."""

    def _wait_in_vain(self) -> None:
        self._clock.advance(self._timeout)
        raise TimeoutError("timed out")


HANG = b"hang"
Answers = Callable[[FakeClock, int], Iterator[bytes]]


@dataclass
class Receiver:
    """One endpoint. `answers` gives the bytes of its answer to its n-th request (from 1)."""

    name: str
    answers: Answers
    resolved: Sequence[Address] = (PUBLIC,)
    unknown_name: bool = False
    refuses: bool = False
    never_reads: bool = False
    certificate_error: bool = False
    seconds_per_drop: float = 0.0
    down_until_ms: int = 0
    requests: list[ReceivedWebhook] = field(default_factory=list)
    at_ms: list[int] = field(default_factory=list)
    attempted_at_ms: list[int] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"{self.name}.example.com"

    @property
    def url(self) -> str:
        return f"https://{self.host}/hook"

    def take(self, request: bytes, now_ms: int) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        method, path, _ = first.split(" ")
        self.requests.append(ReceivedWebhook(method, path, headers, body))
        self.at_ms.append(now_ms)

    def answer(self, clock: FakeClock) -> Iterator[bytes]:
        return self.answers(clock, len(self.requests))


class Internet:
    """Leads each name to its receiver; what was connected to is on record."""

    def __init__(self, clock: FakeClock, receivers: Sequence[Receiver]) -> None:
        self._clock = clock
        self._by_host = {r.host: r for r in receivers}
        self._last = receivers[0]
        self.connected: list[Address] = []

    def resolve(self, host: str, port: int) -> Sequence[Address]:
        self._last = self._by_host[host]
        self._last.attempted_at_ms.append(self._clock.now_ms())
        if self._last.unknown_name:
            raise socket.gaierror(-2, "Name or service not known")
        return self._last.resolved

    def connect(self, address: Address, timeout: float) -> socket.socket:
        self.connected.append(address)
        if self._last.refuses or self._clock.now_ms() < self._last.down_until_ms:
            raise ConnectionRefusedError("connection refused")
        return cast("socket.socket", VirtualSocket(self._last, self._clock))

    def wrap_socket(self, connection: socket.socket, *, server_hostname: str) -> socket.socket:
        assert server_hostname == self._last.host
        if self._last.certificate_error:
            error = ssl.SSLCertVerificationError(1, "certificate verify failed")
            error.verify_message = "self-signed certificate"
            raise error
        return connection

    def network(self) -> Network:
        return Network(self.resolve, self.connect, cast("ssl.SSLContext", self))


def always(*drops: bytes) -> Answers:
    return lambda _clock, _n: iter(drops)


def status(line: str, *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {line}", *headers, "", "")).encode()


def fails_first(times: int, drop: bytes) -> Answers:
    return lambda _clock, n: iter([drop if n <= times else OK])


def in_two_hours(clock: FakeClock, n: int) -> Iterator[bytes]:
    when = datetime.fromtimestamp(clock.now_ms() // 1000 + 7_200, UTC)
    date = format_datetime(when, usegmt=True)
    return iter([status("503 Busy", f"Retry-After: {date}") if n == 1 else OK])


def dripping(_clock: FakeClock, _n: int) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X: y\r\n"


def endless(_clock: FakeClock, _n: int) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    while True:
        yield b"x" * 4096


def bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    packed = packer.compress(bytes(50_000_000)) + packer.flush()
    return status("200 OK", "Content-Encoding: gzip") + packed


def receivers(start_ms: int) -> list[Receiver]:
    """One of each listed kind; their names say which."""
    hour = 3_600_000
    return [
        Receiver("well", always(OK)),
        Receiver("slow-within-the-deadline", always(OK), seconds_per_drop=14.0),
        Receiver("down", always(OK), refuses=True),
        Receiver("down-for-a-while", always(OK), down_until_ms=start_ms + 70 * hour),
        Receiver("hanging", always(HANG)),
        Receiver("not-reading", always(OK), never_reads=True),
        Receiver("dripping", dripping, seconds_per_drop=1.0),
        Receiver("flapping", fails_first(4, status("500 Oops"))),
        Receiver("last-minute", fails_first(9, status("502 Bad Gateway"))),
        Receiver("too-late", fails_first(10, status("502 Bad Gateway"))),
        Receiver("broken", always(status("500 Oops"))),
        Receiver("forbidding", always(status("403 Forbidden"))),
        Receiver("throttling", fails_first(3, status("429 Slow", "Retry-After: 4000"))),
        Receiver("busy-until", in_two_hours),
        Receiver("greedy", always(status("503 Busy", "Retry-After: 99999999999"))),
        Receiver("gone", always(status("410 Gone"))),
        Receiver("moved", always(status("302 Found", "Location: https://well.example.com/hook"))),
        Receiver("resetting", always()),
        Receiver("mute-then-garbage", always(b"SSH-2.0-OpenSSH_9.0\r\n")),
        Receiver("huge-headers", always(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 90_000)),
        Receiver("endless", endless),
        Receiver("bomb", always(bomb())),
        Receiver("bad-tls", always(OK), certificate_error=True),
        Receiver("unknown", always(OK), unknown_name=True),
        Receiver("inside", always(OK), resolved=(PUBLIC, INSIDE)),
    ]


DELIVERING = {
    *("well", "slow-within-the-deadline", "down-for-a-while", "flapping", "last-minute"),
    *("throttling", "busy-until", "endless", "bomb"),
}
