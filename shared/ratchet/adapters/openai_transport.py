"""HTTP for the model client under one deadline for the whole call.

httpx's timeouts start anew at every socket read, so a server that drips one byte a minute is never cut off. Here every
connect, handshake, write and read gets only what is left of the call's time. Name resolution alone is outside: the
system resolver has its own limits. Proxies of the environment are not used and redirects are not followed, so the key
goes to the configured host and nowhere else.
"""

import contextlib
import math
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore2
import httpx2

from ratchet.contracts.errors import AttemptSuperseded
from ratchet.contracts.limits import STILL_WANTED_SECONDS
from ratchet.ports import Clock

_CONNECT_SECONDS = 5.0
_KEEPALIVE_SECONDS = 30.0
_WRITE_BYTES = 64 * 1024


class DeadlineTransport(httpx2.BaseTransport):
    """A pool of kept-alive connections; requests are sent inside `within`."""

    def __init__(self, clock: Clock) -> None:
        self._limit = _Limit(clock)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=_Backend(self._limit),
        )

    @contextlib.contextmanager
    def within(self, seconds: float, is_wanted: Callable[[], bool] | None = None) -> Iterator[None]:
        """Everything that this thread sends and reads inside takes at most so long.

        While it reads, `is_wanted` is asked every `STILL_WANTED_SECONDS`.

        Raises:
            AttemptSuperseded: that said no, and so the connection was closed.
        """
        self._limit.start(seconds, is_wanted)
        try:
            yield
            if self._limit.is_given_up:
                raise AttemptSuperseded("the task went on without this model call")
        finally:
            self._limit.end()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request and read the whole answer."""
        target = httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        try:
            with self._pool.stream(
                request.method, target, headers=request.headers.raw, content=request.read()
            ) as answer:
                body = answer.read()
        except httpcore2.ConnectTimeout as exc:
            raise httpx2.ConnectTimeout("out of time") from exc
        except httpcore2.TimeoutException as exc:
            raise httpx2.ReadTimeout("out of time") from exc
        except httpcore2.ConnectError as exc:
            raise httpx2.ConnectError(f"cannot connect: {exc}") from exc
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as exc:
            # Their texts may quote headers, and one of ours holds the key.
            raise httpx2.ReadError(f"the connection broke ({type(exc).__name__})") from None
        return httpx2.Response(
            answer.status, headers=answer.headers, stream=httpx2.ByteStream(body)
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Limit(threading.local):
    """When the call of this thread must be over, and whether anybody still waits for it."""

    _is_wanted: Callable[[], bool] | None

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.end()

    def start(self, seconds: float, is_wanted: Callable[[], bool] | None) -> None:
        self.end()
        self._is_wanted = is_wanted
        now = self._clock.monotonic()
        self._end, self._asked = now + seconds, now

    def end(self) -> None:
        self._end, self._asked = math.inf, 0.0
        self._is_wanted = None
        self.is_given_up = False

    def left(self, wanted: float | None) -> float:
        """What one operation may take, which wants no more than `wanted`."""
        seconds = self._end - self._clock.monotonic()
        if seconds <= 0:
            raise httpcore2.ReadTimeout("out of time")
        return seconds if wanted is None else min(seconds, wanted)

    def until_asked(self) -> float | None:
        """How long to read before it is time to ask again whether the answer is wanted; asks if it is time."""
        if self._is_wanted is None:
            return None
        seconds = self._asked + STILL_WANTED_SECONDS - self._clock.monotonic()
        if seconds > 0:
            return seconds
        if not self._is_wanted():
            self.is_given_up = True
            raise httpcore2.ReadError("nobody wants the answer")
        self._asked = self._clock.monotonic()
        return STILL_WANTED_SECONDS


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, limit: _Limit) -> None:
        self._limit = limit
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        seconds = min(self._limit.left(timeout), _CONNECT_SECONDS)
        stream = self._sockets.connect_tcp(host, port, seconds, local_address, socket_options)
        return _Stream(stream, self._limit)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, limit: _Limit) -> None:
        self._stream = stream
        self._limit = limit

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            pause = self._limit.until_asked()
            left = self._limit.left(timeout)
            try:
                return self._stream.read(max_bytes, left if pause is None else min(left, pause))
            except httpcore2.ReadTimeout:
                if pause is None or left <= pause:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITE_BYTES):
            self._stream.write(buffer[start : start + _WRITE_BYTES], self._limit.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._limit.left(timeout))
        return _Stream(secured, self._limit)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
