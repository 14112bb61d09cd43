"""A webhook receiver on this machine, for the demo and the tests."""

import json
import socketserver
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from ratchet.contracts.names import Json

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """How the receiver answers; `hangs` keeps the sender waiting until the receiver is closed."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hangs: bool = False


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    """One request as it came; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        """The body, parsed but not verified."""
        parsed: Json = json.loads(self.body)
        return parsed

    def verify(self, secret: str) -> Json:
        """The parsed body, once its signature and age are right; `secret` in the form `whsec_...`.

        Raises:
            standardwebhooks.WebhookVerificationError
        """
        from standardwebhooks import Webhook  # noqa: PLC0415 - only who verifies needs it

        verified: Json = Webhook(secret).verify(self.body, dict(self.headers))
        return verified


class WebhookReceiver:
    """A running receiver; `start` it, and close it or use it as a context manager."""

    def __init__(self, http: "_HttpServer") -> None:
        self._http = http
        self._thread = threading.Thread(
            target=http.serve_forever, args=(_POLL_SECONDS,), name="webhook-receiver", daemon=True
        )

    @classmethod
    def start(cls, *answers: Answer, port: int = 0) -> Self:
        """Listen on 127.0.0.1 and answer so, in order; after the last one, 204."""
        receiver = cls(_HttpServer(port))
        receiver.answer_with(*answers)
        receiver._thread.start()
        return receiver

    @property
    def url(self) -> str:
        """Where to send webhooks to."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/webhook"

    @property
    def requests(self) -> list[ReceivedWebhook]:
        """What came so far, in order."""
        with self._http.arrived:
            return list(self._http.received)

    def answer_with(self, *answers: Answer) -> None:
        """Answer the next requests so."""
        with self._http.arrived:
            self._http.answers.extend(answers)

    def wait_for(self, count: int = 1, *, timeout: float = 10.0) -> list[ReceivedWebhook]:
        """The requests, once there are so many.

        Raises:
            TimeoutError: fewer came.
        """
        with self._http.arrived:
            if not self._http.arrived.wait_for(lambda: len(self._http.received) >= count, timeout):
                raise TimeoutError(f"{len(self._http.received)} of {count} webhooks came")
            return list(self._http.received)

    def close(self) -> None:
        """Stop listening and let go of those who wait."""
        self._http.stopping.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for them

    def __init__(self, port: int) -> None:
        self.arrived = threading.Condition()
        self.received: list[ReceivedWebhook] = []
        self.answers: list[Answer] = []
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # The parent looks the host name up, which can take seconds without a name server.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that went away is no news here."""

    def take(self, request: ReceivedWebhook) -> Answer:
        """Record a request and choose its answer."""
        with self.arrived:
            self.received.append(request)
            self.arrived.notify_all()
            return self.answers.pop(0) if self.answers else Answer()


class _Handler(BaseHTTPRequestHandler):
    server: _HttpServer
    timeout = 5  # for a sender that connects and says nothing

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.take(ReceivedWebhook(self.command, self.path, headers, body))
        if answer.hangs:
            self.server.stopping.wait()
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Requests are recorded, not printed."""
