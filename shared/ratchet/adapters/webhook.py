"""Signed webhooks (https://www.standardwebhooks.com), sent so that no URL can reach into our own network."""

import contextlib
import functools
import http.client
import io
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from ratchet.adapters.webhook_address import Address, Resolver, allowed_addresses, resolve
from ratchet.contracts import limits
from ratchet.contracts.errors import DeliveryFailed, ReceiverGone
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.webhook_keys import WebhookKeys
from ratchet.domain.webhook_url import WebhookUrl
from ratchet.ports import Clock, Event

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

USER_AGENT = "Ratchet-Webhooks/1"
_REASON_CHARS = 200

Connector = Callable[[Address, float], socket.socket]


def connect(address: Address, timeout: float) -> socket.socket:
    """Open a TCP connection to this very address: no names, no proxies.

    Raises:
        OSError: nobody accepts it in time.
    """
    connection = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect((address.ip, address.port))
    except BaseException:  # whatever happens, the socket must not leak; it goes on to the caller
        connection.close()
        raise
    return connection


@dataclass(frozen=True, slots=True)
class Network:
    """How the world is reached; tests put in their own. `tls` None: the system's trusted authorities."""

    resolve: Resolver = resolve
    connect: Connector = connect
    tls: ssl.SSLContext | None = None
    connect_seconds: float = limits.WEBHOOK_CONNECT_SECONDS
    total_seconds: float = limits.WEBHOOK_TOTAL_SECONDS


class WebhookAnnouncer:
    """An `Announcer`. The receiver's status decides: 2xx is delivered, 410 the end, all else is tried again.

    `secret` gives what `WebhookKeys.parse` reads.
    """

    channel = "webhook"

    def __init__(
        self,
        secret: Callable[[], str],
        clock: Clock,
        *,
        allow_loopback: bool = False,
        network: Network | None = None,
    ) -> None:
        self._secret = secret
        self._clock = clock
        self._allow_loopback = allow_loopback
        self._network = network or Network()

    def announce(self, event: Event, *, target: str | None) -> str:
        """POST the event to `target`, signed with a timestamp of this attempt.

        Raises:
            DeliveryFailed: the address is refused, or the receiver did not answer 2xx in time.
            ReceiverGone: it answered 410.
            SecretUnavailable: the signing secret could not be read.
        """
        now_ms = self._clock.now_ms()
        try:
            url = WebhookUrl.parse(target or "", allow_loopback=self._allow_loopback)
            keys = WebhookKeys.parse(self._secret())
            secrets = keys.secrets(event.attributes.get("tenant", ""), target or "", now_ms=now_ms)
        except InvalidRequest as exc:
            raise DeliveryFailed(str(exc)) from exc
        headers = signed_headers(event, secrets, now_ms)
        deadline = _Deadline(self._clock, self._network.total_seconds)
        addresses = allowed_addresses(url, self._network.resolve)
        try:
            with contextlib.closing(self._open(url, addresses, deadline)) as connection:
                _send(connection, _request(url, headers, event.body), deadline)
                return _outcome(connection, deadline, now_ms)
        except ssl.SSLCertVerificationError as exc:
            raise DeliveryFailed(f"the certificate is not valid: {exc.verify_message}") from exc
        except (OSError, http.client.HTTPException) as exc:
            raise DeliveryFailed(f"{type(exc).__name__}: {_printable(str(exc))}") from exc

    def _open(
        self, url: WebhookUrl, addresses: Sequence[Address], deadline: "_Deadline"
    ) -> socket.socket:
        connection = self._connect(addresses, deadline)
        if not url.is_https:
            return connection
        try:
            connection.settimeout(deadline.left())
            tls = self._network.tls or _system_tls()
            return tls.wrap_socket(connection, server_hostname=url.host)
        except BaseException:  # as above: close what was opened, hide nothing
            connection.close()
            raise

    def _connect(self, addresses: Sequence[Address], deadline: "_Deadline") -> socket.socket:
        connecting = _Deadline(self._clock, self._network.connect_seconds)
        failure = OSError("no address")
        for address in addresses:
            try:
                seconds = min(connecting.left(), deadline.left())
                return self._network.connect(address, seconds)
            except OSError as exc:
                failure = exc
        raise failure


@functools.cache
def _system_tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def signed_headers(event: Event, secrets: Sequence[str], now_ms: int) -> dict[str, str]:
    """The Standard Webhooks headers of one attempt: same id and body on every one, a new time and signatures.

    Each secret signs; a receiver takes the request if it knows one of them.
    """
    from standardwebhooks import Webhook  # noqa: PLC0415 - only the deliverer carries it

    moment, body = datetime.fromtimestamp(now_ms // 1000, UTC), event.body.decode()
    signatures = [Webhook(secret).sign(event.id, moment, body) for secret in secrets]
    return {
        "webhook-id": event.id,
        "webhook-timestamp": str(now_ms // 1000),
        "webhook-signature": " ".join(signatures),
    }


class _Deadline:
    """Counts down over the whole delivery, so that a receiver cannot gain time by answering in drips."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def left(self) -> float:
        seconds = self._end - self._clock.monotonic()
        if seconds <= 0:
            raise TimeoutError("out of time")
        return seconds


class _Answer(io.RawIOBase):
    """The bytes of an answer, each read within the deadline, no more than the limit in all."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._connection = connection
        self._deadline = deadline
        self._room = (
            2 * limits.WEBHOOK_MAX_RESPONSE_BYTES
        )  # once for the headers, once for the body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)[: self._room]
        self._connection.settimeout(self._deadline.left())
        count = self._connection.recv_into(view) if view else 0
        self._room -= count
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What http.client asks of a socket."""
        return io.BufferedReader(self)


def _request(url: WebhookUrl, headers: dict[str, str], body: bytes) -> bytes:
    lines = {
        "Host": url.authority,
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {url.target} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


def _send(connection: socket.socket, request: bytes, deadline: _Deadline) -> None:
    left = memoryview(request)
    while left:
        connection.settimeout(deadline.left())
        left = left[connection.send(left) :]


def _outcome(connection: socket.socket, deadline: _Deadline, now_ms: int) -> str:
    answer = _Answer(connection, deadline)
    response = http.client.HTTPResponse(cast(socket.socket, answer), method="POST")
    with contextlib.closing(response):
        response.begin()
        note = f"{response.status} {_printable(response.reason)}".strip()
        # Read what there is, never unpacked, so that the receiver is not cut off; the status alone decides.
        with contextlib.suppress(OSError, http.client.HTTPException):
            response.read(limits.WEBHOOK_MAX_RESPONSE_BYTES)
    if 200 <= response.status < 300:
        return note
    if response.status == HTTPStatus.GONE:
        raise ReceiverGone(f"the receiver answered {note}")
    wish = retry_after_seconds(response.headers.get("Retry-After", ""), now_ms)
    raise DeliveryFailed(f"the receiver answered {note}", wish)


def retry_after_seconds(value: str, now_ms: int) -> float:
    """What a receiver's Retry-After asks for, seconds or a date, within our bound; 0 for what is neither."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        # No receiver asks for so many digits, and Python refuses to read thousands of them.
        wish = float(text[:12])
    else:
        try:
            wish = parsedate_to_datetime(text).timestamp() - now_ms / 1000
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return min(max(wish, 0.0), float(limits.MAX_RETRY_AFTER_SECONDS))


def _printable(text: str) -> str:
    return "".join(c for c in text[:_REASON_CHARS] if c.isprintable())
