"""Signed deliveries: what is sent, and how receivers of every kind are met."""

import base64
import gzip
import json
import socket
import threading
import tracemalloc
import zlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from ratchet.adapters.system import SystemClock
from ratchet.adapters.webhook import (
    Network,
    WebhookAnnouncer,
    retry_after_seconds,
    signed_headers,
)
from ratchet.contracts.errors import DeliveryFailed, ReceiverGone
from ratchet.domain.webhook_keys import WebhookKeys
from ratchet.ports import Event
from ratchet.testing.raw_server import RawServer, answers, drips
from ratchet.testing.receiver import Answer, WebhookReceiver

SECRET = "a secret of thirty-two bytes ..."
BODY = '{"type":"task.succeeded","data":"ü"}'.encode()
EVENT = Event("evt_1", "task.succeeded", BODY, {"tenant": "acme"})


class SteppingClock:
    """Real enough for signatures; each look at the monotonic clock finds it a step later."""

    def __init__(self, step: float = 0.0, now_ms: int = 1_700_000_000_999) -> None:
        self._lock = threading.Lock()
        self._step = step
        self._now = 0.0
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        with self._lock:
            self._now += self._step
            return self._now

    def sleep(self, seconds: float) -> None:
        raise AssertionError("the adapter never sleeps")


def local(step: float = 0.0) -> WebhookAnnouncer:
    return WebhookAnnouncer(lambda: SECRET, SteppingClock(step), allow_loopback=True)


def deliver_to(server: RawServer, *, step: float = 0.0) -> str:
    return local(step).announce(EVENT, target=f"http://127.0.0.1:{server.port}/hook")


# --- signatures


def test_the_library_verifies_what_we_sign() -> None:
    with WebhookReceiver.start() as receiver:
        clock = SteppingClock(now_ms=SystemClock().now_ms())  # the library refuses old signatures
        announcer = WebhookAnnouncer(lambda: SECRET, clock, allow_loopback=True)
        announcer.announce(EVENT, target=receiver.url)
        (request,) = receiver.requests
        (secret,) = WebhookKeys.parse(SECRET).secrets("acme", receiver.url, now_ms=0)
    assert request.verify(secret) == json.loads(EVENT.body)


def test_we_sign_as_the_library_signs() -> None:
    secrets = ["whsec_" + base64.b64encode(raw).decode() for raw in (b"n" * 32, b"o" * 32)]
    headers = signed_headers(EVENT, secrets, 1_700_000_000_999)
    moment = datetime.fromtimestamp(1_700_000_000, UTC)
    expected = " ".join(
        Webhook(raw).sign(EVENT.id, moment, EVENT.body.decode()) for raw in (b"n" * 32, b"o" * 32)
    )
    assert headers == {
        "webhook-id": "evt_1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": expected,
    }


def test_every_attempt_has_the_same_id_and_body_and_its_own_time() -> None:
    with WebhookReceiver.start() as receiver:
        for now_ms in (1_700_000_000_000, 1_700_000_060_000):
            clock = SteppingClock(now_ms=now_ms)
            announcer = WebhookAnnouncer(lambda: SECRET, clock, allow_loopback=True)
            announcer.announce(EVENT, target=receiver.url)
        first, second = receiver.requests
    assert first.body == second.body == EVENT.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_the_request_says_what_it_is() -> None:
    with WebhookReceiver.start() as receiver:
        note = local().announce(EVENT, target=receiver.url + "?a=b")
        (request,) = receiver.requests
    assert note == "204 No Content"
    assert (request.method, request.path) == ("POST", "/webhook?a=b")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "Ratchet-Webhooks/1"
    assert request.headers["accept-encoding"] == "identity"


def test_an_empty_secret_signs_nothing() -> None:
    announcer = WebhookAnnouncer(lambda: "", SteppingClock(), allow_loopback=True)
    with pytest.raises(DeliveryFailed, match="secret is empty"):
        announcer.announce(EVENT, target="http://127.0.0.1:9/")


# --- receivers


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_every_status_but_2xx_is_a_failure_without_the_body(status: int) -> None:
    refusal = Answer(status, body=b"canary of the receiver")
    with (
        WebhookReceiver.start(refusal) as receiver,
        pytest.raises(DeliveryFailed, match=str(status)) as caught,
    ):
        local().announce(EVENT, target=receiver.url)
    assert "canary" not in str(caught.value)


NOW_MS = 1_700_000_000_000  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("Tue, 14 Nov 2023 22:15:20 GMT", 120),
        ("Tue, 14 Nov 2023 22:13:19 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 43_200),
        ("43201", 43_200),
        ("9" * 60_000, 43_200),
        *(
            (nonsense, 0)
            for nonsense in ("", "-5", "1.5", "soon", "٣٠", "1e9", "nan", "inf", "\x00")
        ),
        ("Tue, 14 Nov 99999999999999 22:15:20 GMT", 0),
        ("Tue, 99 Nov 2023 22:15:20 GMT", 0),
    ],
)
def test_a_wish_to_be_asked_later_is_taken_within_bounds(value: str, seconds: float) -> None:
    assert retry_after_seconds(value, NOW_MS) == seconds


@pytest.mark.parametrize("status", [429, 503, 301])
def test_a_refusal_says_when_the_receiver_lets_itself_be_asked_again(status: int) -> None:
    later = Answer(status, {"Retry-After": "3600"})
    with WebhookReceiver.start(later) as receiver, pytest.raises(DeliveryFailed) as caught:
        local().announce(EVENT, target=receiver.url)
    assert caught.value.retry_after_seconds == 3600


def test_gone_is_told_apart_from_other_refusals() -> None:
    with (
        WebhookReceiver.start(Answer(410)) as receiver,
        pytest.raises(ReceiverGone, match="410 Gone"),
    ):
        local().announce(EVENT, target=receiver.url)


def test_a_receiver_that_never_shakes_hands_is_left_at_the_deadline() -> None:
    def stare(connection: socket.socket) -> None:
        stop.wait()

    stop = threading.Event()
    with RawServer(stare) as server:
        network = Network(total_seconds=0.1)
        announcer = WebhookAnnouncer(
            lambda: SECRET, SteppingClock(), allow_loopback=True, network=network
        )
        with pytest.raises(DeliveryFailed, match="TimeoutError"):
            announcer.announce(EVENT, target=f"https://127.0.0.1:{server.port}/")
        stop.set()


def test_a_gzip_bomb_of_a_gigabyte_takes_less_than_a_megabyte_of_memory() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(1_000)) + packer.flush()
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    with RawServer(answers(head + bomb)) as server:
        deliver_to(server)  # what is loaded once is no part of it
        tracemalloc.start()
        try:
            assert deliver_to(server) == "200 OK"
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 1_000_000, f"{len(bomb)} bytes on the wire took {peak} bytes"


def test_a_reason_is_cut_and_made_printable() -> None:
    response = b"HTTP/1.1 500 \x1b[31m" + b"x" * 5000 + b"\r\n\r\n"
    with RawServer(answers(response)) as server, pytest.raises(DeliveryFailed) as caught:
        deliver_to(server)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"SMTP ready\r\n",
        b"HTTP/1.1 ???\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"HTTP/1.1 102 Processing\r\n\r\n",
    ],
)
def test_an_answer_that_is_no_http_is_a_failure(response: bytes) -> None:
    with RawServer(answers(response)) as server, pytest.raises(DeliveryFailed):
        deliver_to(server)


@pytest.mark.parametrize("drop", [b"a", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_dripping_answer_is_cut_off_at_the_deadline(drop: bytes) -> None:
    start = b"HTTP/1.1 200 OK\r\nX-Slow: " if drop == b"a" else b""
    with RawServer(drips(start, drop)) as server, pytest.raises(DeliveryFailed, match="time"):
        deliver_to(server, step=1.0)


def test_a_receiver_that_hangs_is_left_at_the_deadline() -> None:
    with WebhookReceiver.start(Answer(hangs=True)) as receiver:
        clock, network = SteppingClock(), Network(total_seconds=0.05)
        announcer = WebhookAnnouncer(lambda: SECRET, clock, allow_loopback=True, network=network)
        with pytest.raises(DeliveryFailed, match="TimeoutError"):
            announcer.announce(EVENT, target=receiver.url)


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(10_000_000)),
    ],
)
def test_an_endless_body_is_not_read_and_takes_nothing_from_the_delivery(start: bytes) -> None:
    with RawServer(drips(start, b"x" * 1000)) as server:
        assert deliver_to(server) == "200 OK"


def test_a_body_that_drips_past_the_deadline_was_delivered_all_the_same() -> None:
    with RawServer(drips(b"HTTP/1.1 200 OK\r\n\r\n", b"x")) as server:
        assert deliver_to(server, step=1.0) == "200 OK"


def test_a_receiver_that_does_not_read_is_left_at_the_deadline() -> None:
    def stare(connection: socket.socket) -> None:
        stop.wait()

    stop = threading.Event()
    big = replace(EVENT, body=b"x" * 20_000_000)
    with RawServer(stare) as server:
        target = f"http://127.0.0.1:{server.port}/"
        network = Network(total_seconds=0.2)
        announcer = WebhookAnnouncer(
            lambda: SECRET, SteppingClock(), allow_loopback=True, network=network
        )
        with pytest.raises(DeliveryFailed, match="TimeoutError"):
            announcer.announce(big, target=target)
        stop.set()
