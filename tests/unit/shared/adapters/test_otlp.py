"""OTLP as a backend reads it, over real HTTP."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from ratchet.adapters.otlp import OtlpSpans, encode, parse_headers
from ratchet.contracts.errors import SecretUnavailable
from ratchet.contracts.limits import SPANS_PAUSE_SECONDS
from ratchet.domain.spans import SCHEMA_URL, Kind, Place, Span
from ratchet.testing.clock import FakeClock
from ratchet.testing.raw_server import RawServer
from tests.spans import OtlpReceiver, attributes, decode

PLACE = Place("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
SPAN = Span(
    PLACE.below("chat", 1),
    "chat gpt-4o",
    Kind.CLIENT,
    1_760_000_000_123,
    1_760_000_000_456,
    {"text": "é", "count": 2**40, "cost": 0.25, "ok": True, "reasons": ("stop",)},
    "model_throttled",
)


@contextmanager
def sink(
    endpoint: str, clock: FakeClock | None = None, seconds: float = 5.0
) -> Iterator[OtlpSpans]:
    spans = OtlpSpans(
        endpoint,
        headers=lambda: "x-key=a%20b",
        service="step_executor",
        monotonic=(clock or FakeClock()).monotonic,
        seconds=seconds,
    )
    with closing(spans):
        yield spans


def test_the_reference_decoder_reads_what_is_encoded() -> None:
    request = decode(encode([SPAN], "step_executor"))
    (resource,) = request.resource_spans
    assert resource.schema_url == SCHEMA_URL
    assert {a.key: a.value.string_value for a in resource.resource.attributes} == {
        "service.name": "step_executor"
    }
    (span,) = resource.scope_spans[0].spans
    assert span.trace_id.hex() == PLACE.trace_id
    assert span.parent_span_id.hex() == PLACE.span_id
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (
        1_760_000_000_123_000_000,
        1_760_000_000_456_000_000,
    )
    assert (span.name, span.kind, span.status.code) == ("chat gpt-4o", 3, 2)
    told = attributes(span)
    assert [v.string_value for v in told.pop("reasons").values] == ["stop"]
    assert told == {"text": "é", "count": 2**40, "cost": 0.25, "ok": True}


def test_spans_arrive_with_the_headers_that_the_backend_wants_and_on_one_connection() -> None:
    with OtlpReceiver() as receiver, sink(receiver.endpoint) as spans:
        assert spans.send([SPAN])
        assert spans.send([SPAN, SPAN])
        assert len(receiver.spans) == 3
        assert receiver.headers[0]["x-key"] == "a b"
        assert len(receiver.peers) == 1


def test_a_connection_that_was_closed_meanwhile_is_opened_again() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def once(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(answer)
        connection.recv(0)
        connection.close()

    with RawServer(once) as server, sink(f"http://127.0.0.1:{server.port}/") as spans:
        assert spans.send([SPAN])
        assert spans.send([SPAN])
        assert server.connections == 2


@pytest.mark.parametrize("status", [301, 307, 400, 401, 503])
def test_what_is_refused_is_lost_and_the_backend_left_alone_for_a_while(status: int) -> None:
    clock = FakeClock()
    with OtlpReceiver(status) as receiver, sink(receiver.endpoint, clock) as spans:
        assert not spans.send([SPAN])
        assert not spans.send([SPAN])
        assert len(receiver.requests) == 1
        receiver.status = 200
        clock.advance(SPANS_PAUSE_SECONDS)
        assert spans.send([SPAN])


def test_nobody_who_listens_is_a_loss_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with sink(f"http://127.0.0.1:{port}/v1/traces") as spans:
        assert not spans.send([SPAN])


def test_a_backend_that_answers_in_drips_cannot_hold_the_invocation() -> None:
    released = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(65_536)
        while not released.wait(0.01):
            try:
                connection.sendall(b"H")
            except OSError:
                return

    with (
        RawServer(drip) as server,
        sink(f"http://127.0.0.1:{server.port}/", seconds=0.2) as spans,
    ):
        assert not spans.send([SPAN])
        released.set()


def test_a_key_that_cannot_be_read_loses_the_spans_and_nothing_else() -> None:
    def unreadable() -> str:
        raise SecretUnavailable("not now")

    with OtlpReceiver() as receiver:
        spans = OtlpSpans(receiver.endpoint, headers=unreadable, service="x")
        assert not spans.send([SPAN])
        assert receiver.requests == []


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("NothingWasPutThereYet", {}),
        ("Authorization=Basic%20cGs6c2s=", {"Authorization": "Basic cGs6c2s="}),
        (" a=1 , b=2", {"a": "1", "b": "2"}),
    ],
)
def test_headers_are_written_as_in_the_environment_of_an_sdk(
    text: str, headers: dict[str, str]
) -> None:
    assert parse_headers(text) == headers


@pytest.mark.parametrize("function", ["step_executor", "deliverer"])
def test_the_exporter_is_not_even_imported_while_no_endpoint_is_set(function: str) -> None:
    code = (
        f"import sys, functions.{function}.handler; print('ratchet.adapters.otlp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
