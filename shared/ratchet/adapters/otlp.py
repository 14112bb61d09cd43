"""Spans as OTLP over HTTP, in its JSON encoding: what collectors, Langfuse, Honeycomb and CloudWatch take.

By hand, not by the OpenTelemetry SDK: that brings 14 MB and 0.11 s of CPU to every cold start for what is one POST.
https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

import gzip
import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from ratchet.contracts.errors import RatchetError
from ratchet.contracts.limits import SPANS_PAUSE_SECONDS, SPANS_SEND_SECONDS
from ratchet.domain.spans import SCHEMA_URL, Span, Value

_MAX_ANSWER_BYTES = 65_536
_ERROR_STATUS = 2


class OtlpSpans:
    """A `SpanSink`. Keeps its connection; a backend that fails is left alone for a while.

    `headers` gives what `parse_headers` reads: what the backend wants to see, its key for one. `sign` adds to the
    headers of a POST to that URL with that body, for a backend that wants requests signed.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Callable[[], str],
        service: str,
        monotonic: Callable[[], float] = time.monotonic,
        seconds: float = SPANS_SEND_SECONDS,
        sign: Callable[[str, bytes, Mapping[str, str]], Mapping[str, str]] | None = None,
    ) -> None:
        self._sign = sign
        self._url = urlsplit(endpoint)
        self._headers = headers
        self._service = service
        self._monotonic = monotonic
        self._seconds = seconds
        self._connection: http.client.HTTPConnection | None = None
        self._silent_until = float("-inf")

    def send(self, spans: Sequence[Span]) -> bool:
        """POST them. In a thread, since neither a name server nor a backend in drips heeds a socket's timeout."""
        if self._monotonic() < self._silent_until:
            return False
        connection, self._connection = self._connection or self._connect(), None
        body = gzip.compress(encode(spans, self._service), compresslevel=1)
        posting = _Posting(lambda: self._post(connection, body), connection)
        if posting.arrived(within_seconds=self._seconds):
            self._connection = connection
            return True
        self._silent_until = self._monotonic() + SPANS_PAUSE_SECONDS
        return False

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        kind = (
            http.client.HTTPSConnection
            if self._url.scheme == "https"
            else http.client.HTTPConnection
        )
        return kind(self._url.hostname or "", self._url.port, timeout=self._seconds)

    def _post(self, connection: http.client.HTTPConnection, body: bytes) -> bool:
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        try:
            headers = {
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
                **parse_headers(self._headers()),
            }
            if self._sign is not None:
                headers = dict(self._sign(self._url.geturl(), body, headers))
            is_reused = connection.sock is not None
            try:
                return _exchange(connection, path, body, headers)
            except (ConnectionError, http.client.RemoteDisconnected):
                if not is_reused:
                    raise
                connection.close()  # it was closed while the sandbox was frozen
                return _exchange(connection, path, body, headers)
        except (OSError, http.client.HTTPException, RatchetError, ValueError):
            return False


class _Posting:
    """A request in a thread, which closes the connection itself unless the answer is good and somebody waits for it."""

    def __init__(self, post: Callable[[], bool], connection: http.client.HTTPConnection) -> None:
        self._post = post
        self._connection = connection
        self._lock = threading.Lock()
        self._is_over = False
        self._ok = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def arrived(self, *, within_seconds: float) -> bool:
        """Whether it was taken in time; what comes later is nobody's."""
        self._thread.start()
        self._thread.join(within_seconds)
        with self._lock:
            self._is_over = True
            return self._ok

    def _run(self) -> None:
        ok = self._post()
        with self._lock:
            self._ok = ok and not self._is_over
            if not self._ok:
                self._connection.close()


def _exchange(
    connection: http.client.HTTPConnection, path: str, body: bytes, headers: Mapping[str, str]
) -> bool:
    connection.request("POST", path, body, dict(headers))
    answer = connection.getresponse()
    if len(answer.read(_MAX_ANSWER_BYTES)) == _MAX_ANSWER_BYTES:
        connection.close()
    return answer.status < 300  # a redirect is no arrival, and is not followed


def parse_headers(text: str) -> dict[str, str]:
    """`name=value,name=value`, values percent-encoded, as in OTEL_EXPORTER_OTLP_HEADERS; what has no = is left out."""
    pairs = [part.partition("=") for part in text.split(",")]
    return {name.strip(): unquote(value.strip()) for name, equals, value in pairs if equals}


def encode(spans: Sequence[Span], service: str) -> bytes:
    """An ExportTraceServiceRequest: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding."""
    scope = {"scope": {"name": "ratchet"}, "spans": [_span(span) for span in spans]}
    resource = {"attributes": _attributes({"service.name": service})}
    of_resource = {
        "resource": resource,
        "scopeSpans": [{**scope, "schemaUrl": SCHEMA_URL}],
        "schemaUrl": SCHEMA_URL,
    }
    return json.dumps({"resourceSpans": [of_resource]}, separators=(",", ":")).encode()


def _span(span: Span) -> dict[str, Any]:
    place = span.place
    parent = {"parentSpanId": place.parent_id} if place.parent_id else {}
    return {
        "traceId": place.trace_id,
        "spanId": place.span_id,
        **parent,
        "name": span.name,
        "kind": int(span.kind),
        "startTimeUnixNano": f"{span.started_at_ms}000000",
        "endTimeUnixNano": f"{span.ended_at_ms}000000",
        "attributes": _attributes(span.attributes),
        **({"status": {"code": _ERROR_STATUS}} if span.error else {}),
    }


def _attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case _:
            return {"arrayValue": {"values": [_value(each) for each in value]}}
