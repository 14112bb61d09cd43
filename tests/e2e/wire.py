"""The wire between the functions and AWS: it records every call, and holds one where a test asks for it.

A held call makes the moment of a crash certain: held as REQUEST it has not reached the service, held
as REPLY the service has carried it out and the function does not know.
"""

import http.client
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.e2e.waiting import GIVE_UP_SECONDS

_POLL_SECONDS = 0.05
_HOP_BY_HOP = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}


class Phase(Enum):
    """Where a call is held."""

    REQUEST = auto()
    REPLY = auto()


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function to AWS; `status` is 0 until the service has answered."""

    operation: str
    body: str
    status: int = 0


Matcher = Callable[[Call], bool]


class Gate:
    """Holds the calls that it matches (or only the first of them) until it is opened."""

    def __init__(self, matches: Matcher, phase: Phase, *, only_first: bool) -> None:
        self.phase = phase
        self._matches = matches
        self._only_first = only_first
        self._lock = threading.Lock()
        self._reached = threading.Event()
        self._opened = threading.Event()

    def wait_reached(self) -> None:
        """Return once a call is held."""
        if not self._reached.wait(GIVE_UP_SECONDS):
            raise AssertionError("no such call came")

    def open(self) -> None:
        """Let the held calls go on, and hold no more."""
        self._opened.set()

    def pass_through(self, call: Call, phase: Phase) -> None:
        """Hold the call here if it is one to be held."""
        if phase is not self.phase or not self._matches(call):
            return
        with self._lock:
            is_first = not self._reached.is_set()
            self._reached.set()
        if is_first or not self._only_first:
            self._opened.wait()


class Wire:
    """A proxy for the endpoints of AWS services."""

    def __init__(self) -> None:
        self.upstream = ""
        self._lock = threading.Lock()
        self._gates: list[Gate] = []
        self._refused: list[Matcher] = []
        self._calls: list[Call] = []
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="wire", daemon=True
        )
        self._thread.start()

    @property
    def worker_env(self) -> dict[str, str]:
        """What leads a function's clients here: https://docs.aws.amazon.com/sdkref/latest/guide/ss-endpoints-table.html."""
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return {f"AWS_ENDPOINT_URL_{name}": url for name in ("DYNAMODB", "SFN", "SQS")}

    def calls(self, operation: str | None = None, *, about: str = "") -> list[Call]:
        """The answered calls so far whose body contains `about`, in order."""
        with self._lock:
            found = list(self._calls)
        return [c for c in found if operation in (None, c.operation) and about in c.body]

    @contextmanager
    def hold(self, matches: Matcher, phase: Phase, *, only_first: bool = False) -> Iterator[Gate]:
        """Hold matching calls until the gate is opened, at the latest when the block ends."""
        gate = Gate(matches, phase, only_first=only_first)
        with self._lock:
            self._gates.append(gate)
        try:
            yield gate
        finally:
            gate.open()
            with self._lock:
                self._gates.remove(gate)

    @contextmanager
    def refuse(self, matches: Matcher) -> Iterator[None]:
        """Answer matching calls 503, and carry none of them out, until the block ends."""
        with self._lock:
            self._refused.append(matches)
        try:
            yield
        finally:
            with self._lock:
                self._refused.remove(matches)

    def is_refused(self, call: Call) -> bool:
        """Whether the call is to be answered 503."""
        with self._lock:
            refused = list(self._refused)
        return any(matches(call) for matches in refused)

    def pass_gates(self, call: Call, phase: Phase) -> None:
        """Hold the call wherever a gate is closed for it."""
        with self._lock:
            gates = list(self._gates)
        for gate in gates:
            gate.pass_through(call, phase)

    def record(self, call: Call) -> None:
        """Remember an answered call."""
        with self._lock:
            self._calls.append(call)

    def close(self) -> None:
        """Let go of what is held and stop listening; the functions must be gone."""
        with self._lock:
            gates = list(self._gates)
        for gate in gates:
            gate.open()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for them
    request_queue_size = 128

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        # The parent looks the host name up, which can take seconds without a name server.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """A function that was killed is no news here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        host = urlsplit(self.server.wire.upstream)
        self._upstream = http.client.HTTPConnection(host.hostname or "", host.port)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self._upstream.close()

    def do_POST(self) -> None:
        wire = self.server.wire
        body = self.rfile.read(int(self.headers["content-length"]))
        operation = self.headers["x-amz-target"].rpartition(".")[2]
        call = Call(operation, body.decode())
        wire.pass_gates(call, Phase.REQUEST)
        if wire.is_refused(call):
            wire.record(replace(call, status=503))
            self._answer(503, [], b'{"__type": "ServiceUnavailable"}')
            return
        self._upstream.request("POST", self.path, body, dict(self.headers.items()))
        answer = self._upstream.getresponse()
        data = answer.read()
        call = replace(call, status=answer.status)
        wire.record(call)
        wire.pass_gates(call, Phase.REPLY)
        self._answer(answer.status, answer.getheaders(), data)

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Calls are recorded, not printed."""


def puts_step(number: int) -> Matcher:
    """The commit of a step, not of the last one."""
    return lambda call: call.operation == "PutItem" and f'"STEP#{number:06d}"' in call.body


def ends_task(call: Call) -> bool:
    """The commit of a last step, with the task's head."""
    return call.operation == "TransactWriteItems" and '"STEP#' in call.body


def ends_effect(call: Call) -> bool:
    """The note of what an unsafe tool call brought."""
    return call.operation == "UpdateItem" and re.search(r'"EFFECT#\d+#', call.body) is not None


def rings(call: Call) -> bool:
    """A doorbell."""
    return call.operation == "SendMessage"


def starts_execution(call: Call) -> bool:
    """The dispatcher's one call to Step Functions."""
    return call.operation == "StartExecution"
