r"""A scripted, OpenAI-compatible model server for the demo and the tests.

    with ModelServer.start() as server:
        client = OpenAI(base_url=server.base_url, api_key="any", max_retries=0)

or `python -m ratchet.testing.model_server --port 8080 --scenarios DIR --log requests.jsonl`.

Answers depend on the request alone: a retry, a crash or a second server gives the same one. The
server remembers three things only: prompts (for `cached_tokens`), played faults, and the record.
The header `x-ratchet-task` tells conversations with the same opening apart; it is optional.

Scenario files are YAML: one scenario or a list of them, tried by file name, `default.yaml` last.

    name: support
    match:                      # all given fields must fit; regexes are searched; first match wins
      goal: 'refund.*(?P<order>A-\d+)'   # named groups become {{match.order}}
      user: ...                 # any user message, earlier tasks of the session included
      system: ...               # the instructions
      model: ...
      tools: [lookup_order]     # offered by the request, where it offers tools at all
    turns:
      - step: planning          # planning | act | reasoning | final | unmarked | compaction, or a list
        json: {plan: [Look it up], complexity: simple}
      - step: act               # the first turn of this step; the next one below is its second
        tool_calls: [{name: lookup_order, arguments: {order_id: '{{match.order}}'}}]
      - step: act
        content: Ready.
      - step: final
        json: {refunded_usd: '{{tool_result.refund.amount_usd}}'}   # used where JSON is wanted
        content: Refunded.                                          # used where text is wanted
    faults:
      - {step: act, index: 0, first: 2, status: 429, retry_after: 1}

A turn applies where its address says: `step` and `index` within it, or `turn` (assistant messages
so far; those that had to be repaired do not count). Without `index`, `turn` and `when` its place
counts: among the turns of its step, or without a step among all such turns; past the end the last
one repeats. `when: {goal, last_tool_result, offers, offers_like, called, not_called,
called_nothing}` makes a turn conditional instead; a list of steps applies to each of their turns.
The first turn that applies wins.

A turn answers with `content`, `json`, `tool_calls` (`name` or `name_like`; without `arguments` the
smallest valid ones) or `refusal`, and may set `finish_reason` and `latency_ms`. What the request
does not allow (tools under tool_choice none, text under a JSON schema) takes a form that it allows.

A summary (step compaction) that the scenario does not script is made up of {{notes}}: what the
script must know of the messages that it replaces. A scripted one ends with {{notes}}, too.

Templates: {{goal}} {{goal_short}} {{goal_words}} {{system}} {{step}} {{turn}} {{match.NAME}}
{{last_tool_result}} {{tool_result.TOOL}} {{excerpt}} (the opening of the last result) {{notes}},
with dotted access into JSON ({{last_tool_result.results.0.id}}) and a fallback
({{path | fallback}}). A string that is one template takes the value's own type.

A fault fits by `model`, `goal`, `step`, `turn`, `index` and is played on the first `times` (or
`first`) requests of each (conversation, turn). Its `kind`s are listed in `FaultKind`.
"""

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self, cast

from ratchet.testing.model_faults import Fault, FaultKind
from ratchet.testing.model_scenarios import ScenarioBook
from ratchet.testing.model_service import ModelService, RecordedRequest, Reply

_HOLD_SECONDS = 120.0
_MAX_BODY = 64 * 1024 * 1024
_POLL_SECONDS = 0.05
__all__ = ["Fault", "FaultKind", "ModelServer", "RecordedRequest"]


class ModelServer:
    """A running model server; `start` it, and close it or use it as a context manager."""

    def __init__(self, http: "_HttpServer", service: ModelService) -> None:
        self._http = http
        self._service = service
        self._thread = threading.Thread(
            target=http.serve_forever, args=(_POLL_SECONDS,), name="model-server", daemon=True
        )

    @classmethod
    def start(
        cls,
        scenarios: Path | None = None,
        port: int = 0,
        api_key: str | None = None,
        log: Path | None = None,
    ) -> Self:
        """Serve on 127.0.0.1; without a folder of scenarios, the shipped ones.

        Raises:
            ScenarioError: when a scenario file is wrong.
        """
        service = ModelService(ScenarioBook.load(scenarios), api_key=api_key, log=log)
        server = cls(_HttpServer(port, service), service)
        server._thread.start()
        return server

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its `base_url`."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def requests(self) -> list[RecordedRequest]:
        """Every POST so far."""
        return self._service.requests()

    @property
    def held(self) -> int:
        """How many requests wait now for an answer that is late, or never comes."""
        return self._http.held

    def inject(self, fault: Fault) -> None:
        """Play this fault on the requests that it fits, from now on."""
        self._service.faults.inject(fault)

    def clear_faults(self) -> None:
        """Play no injected fault any more; those of the scenario files stay."""
        self._service.faults.clear()

    def close(self) -> None:
        """Stop serving, let go of held connections and wait for their threads."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.close_connections()
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
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, service: ModelService) -> None:
        self.service = service
        self.stopping, self._stop = socket.socketpair()
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self.held = 0
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError:
            self._close_pair()
            raise

    def server_bind(self) -> None:
        # The parent looks the host name up, which can take seconds without a name server.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open[threading.current_thread()] = connection
        if self._stop.fileno() < 0:  # accepted while the server closed
            connection.shutdown(socket.SHUT_RDWR)

    def closed(self) -> None:
        with self._lock:
            self._open.pop(threading.current_thread(), None)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news; anything else is a bug worth its traceback."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(cast(socket.socket, request), client_address)

    def hold(self, by: int) -> None:
        with self._lock:
            self.held += by

    def close_connections(self) -> None:
        self._stop.close()
        with self._lock:
            threads = list(self._open.items())
        for thread, connection in threads:
            with contextlib.suppress(OSError):  # the client may have closed it already
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(5)
        self._close_pair()

    def _close_pair(self) -> None:
        self._stop.close()
        self.stopping.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _HttpServer

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.server.closed()

    def log_message(self, format: str, *args: object) -> None:
        """The record of requests says more than an access log."""

    def do_GET(self) -> None:
        self._send(self.server.service.get(self._path(), self._headers()))

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > _MAX_BODY:
            self.close_connection = True
            self.send_error(413 if length.isdigit() else 411)
            return
        data = self.rfile.read(int(length))
        self._send(self.server.service.post(self._path(), self._headers(), data))

    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _send(self, reply: Reply) -> None:
        held = _HOLD_SECONDS if reply.fault is FaultKind.TIMEOUT else reply.latency_ms / 1000
        if (held and not self._hold(held)) or reply.fault is FaultKind.TIMEOUT:
            self.close_connection = True
            return
        data = json.dumps(reply.body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if reply.events:
            data = b"".join(reply.events)
        if reply.fault is FaultKind.MALFORMED:
            data = b"data: {broken\n\n" if reply.events else data[: len(data) // 2]
        self.send_response(reply.status)
        self.send_header(
            "content-type", "text/event-stream" if reply.events else "application/json"
        )
        self.send_header("content-length", str(len(data)))
        for name, value in (reply.headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if reply.fault is FaultKind.RESET:
            self._reset_after(data[: len(data) // 2])
        else:
            self.wfile.write(data)
            self.wfile.flush()

    def _hold(self, seconds: float) -> bool:
        """Wait; False when the client or the server gave up before the time was over."""
        waiting = [self.connection, self.server.stopping]
        self.server.hold(1)
        try:
            return not select.select(waiting, [], [], seconds)[0]
        finally:
            self.server.hold(-1)

    def _reset_after(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()
        self.close_connection = True
        # Lingering for zero seconds makes close() send RST instead of FIN.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        os.close(self.connection.detach())


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted or terminated; the address is the first line of the output."""
    parser = argparse.ArgumentParser(prog="ratchet.testing.model_server", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--scenarios", type=Path, default=None, metavar="DIR")
    parser.add_argument("--log", type=Path, default=None, metavar="FILE.jsonl")
    parser.add_argument("--api-key", default=None)
    options = parser.parse_args(arguments)
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with ModelServer.start(options.scenarios, options.port, options.api_key, options.log) as server:
        sys.stdout.write(f"{server.base_url}\n")
        sys.stdout.flush()
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
