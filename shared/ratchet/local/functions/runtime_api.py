"""The Lambda Runtime API for one sandbox, on a loopback port of its own.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import contextlib
import socket
from collections.abc import Mapping
from io import BufferedReader
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Protocol

from ratchet.local.functions.invocation import Invocation

_PREFIX = "/2018-06-01/runtime/"
_ACCEPTED = b'{"status":"OK"}'


class RuntimeListener(Protocol):
    """What the sandbox wants to hear from its runtime."""

    def on_ready(self) -> None:
        """The runtime finished its initialization and asks for work."""

    def on_init_error(self, body: bytes) -> None:
        """The handler could not be loaded."""

    def on_result(self, invocation_id: str, body: bytes, *, failed: bool) -> None:
        """The handler returned or raised."""


class RuntimeApi:
    """Serves next, response, error and init/error to one runtime process."""

    def __init__(self, listener: RuntimeListener) -> None:
        self._listener = listener
        self._inbox: SimpleQueue[Invocation | None] = SimpleQueue()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=8)
        self._connections: set[socket.socket] = set()
        self._lock = Lock()
        self.address = "{}:{}".format(*self._server.getsockname())
        Thread(target=self._accept, daemon=True, name="lambda-runtime-api").start()

    def send(self, invocation: Invocation) -> None:
        """Hands the invocation to the runtime's next poll."""
        self._inbox.put(invocation)

    def close(self) -> None:
        """Stops serving and hangs up."""
        self._inbox.put(None)
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
            Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            with contextlib.suppress(OSError, ValueError):
                while request := _read_request(reader):
                    self._answer(connection, *request)
            with self._lock:
                self._connections.discard(connection)

    def _answer(self, connection: socket.socket, path: str, body: bytes) -> None:
        if path == _PREFIX + "invocation/next":
            self._listener.on_ready()
            invocation = self._inbox.get()
            if invocation is None:
                raise ConnectionAbortedError
            connection.sendall(_reply(200, invocation.payload, _invocation_headers(invocation)))
            return
        if not path.startswith(_PREFIX):
            connection.sendall(_reply(404, b""))
            return
        connection.sendall(_reply(202, _ACCEPTED))
        if path == _PREFIX + "init/error":
            self._listener.on_init_error(body)
            return
        _, invocation_id, outcome = path.rsplit("/", 2)
        self._listener.on_result(invocation_id, body, failed=outcome == "error")


def _invocation_headers(invocation: Invocation) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": invocation.id,
        "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
        "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
    }
    if invocation.client_context:
        headers["Lambda-Runtime-Client-Context"] = invocation.client_context
    return headers


def _reply(status: int, body: bytes, headers: Mapping[str, str] = {}) -> bytes:
    lines = [f"HTTP/1.1 {status} -", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _read_request(reader: BufferedReader) -> tuple[str, bytes] | None:
    first = reader.readline().decode()
    if not first:
        return None
    path = first.split(" ", 2)[1]
    headers: dict[str, str] = {}
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return path, _read_chunks(reader)
    return path, reader.read(int(headers.get("content-length", 0)))


def _read_chunks(reader: BufferedReader) -> bytes:
    body = b""
    while size := int(reader.readline().strip() or b"0", 16):
        body += reader.read(size)
        reader.readline()
    reader.readline()
    return body
