"""The one port: AWS requests go to moto, Invoke to the sandboxes, everything else to the HTTP API."""

import logging
import traceback
from threading import Thread
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from ratchet.local.errors import LocalStackError
from ratchet.local.functions.invoke_api import InvokeApi
from ratchet.local.http_api.front import MAX_BODY_BYTES, TOO_LARGE, HttpApiFront
from ratchet.local.json_types import Json
from ratchet.local.moto_app import MotoApp
from ratchet.local.storage.recording import signed_service
from ratchet.local.web import Request, Response, content_length, read_request

_HOST = "127.0.0.1"
_BACKLOG = 512
_log = logging.getLogger(__name__)
# moto would store these and nothing would ever happen: better an error than silence.
_UNPLAYED = {
    "lambda": "the local stack answers Invoke, and no other call of Lambda",
}


class Router:
    """Tells the requests apart by what they are signed for."""

    is_ready = False

    def __init__(self) -> None:
        self._parts: tuple[MotoApp, InvokeApi, HttpApiFront] | None = None

    def close(self) -> None:
        """Answers nothing but 503 from now on, also on connections that are still open."""
        self._parts = None

    def open(self, moto: MotoApp, invoke: InvokeApi, front: HttpApiFront) -> None:
        """Lets AWS requests in; the HTTP API follows when ``is_ready`` is set."""
        self._parts = (moto, invoke, front)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        """Answers one request."""
        request = read_request(environ, with_body=False)
        try:
            return self._route(request, environ, start_response)
        except Exception:  # noqa: BLE001 - the edge: the caller gets a 500, the log the reason
            _log.exception("request failed", extra={"path": request.raw_path})
            body = {"message": "Internal Server Error", "trace": traceback.format_exc(limit=3)}
            return Response.of_json(500, body).send(start_response)

    def _route(
        self, request: Request, environ: WSGIEnvironment, start_response: StartResponse
    ) -> list[bytes]:
        service = signed_service(request)
        if self._parts is None:
            return Response.of_json(503, {"message": "closed"}).send(start_response)
        moto, invoke, front = self._parts
        if service == "lambda" and invoke.matches(request):
            return invoke.answer(read_request(environ)).send(start_response)
        if service in _UNPLAYED:
            return Response.of_json(501, {"message": _UNPLAYED[service]}).send(start_response)
        if service not in (None, "execute-api"):
            return moto.answer(request, environ, start_response)
        return self._answer_api(front, environ).send(start_response)

    def _answer_api(self, front: HttpApiFront, environ: WSGIEnvironment) -> Response:
        if not self.is_ready:
            return Response.of_json(503, {"message": "starting"})
        if content_length(environ) > MAX_BODY_BYTES:
            _drain(environ)
            return TOO_LARGE
        request = read_request(environ)
        return TOO_LARGE if len(request.body) > MAX_BODY_BYTES else front.answer(request)


class _Handler(MotoRequestHandler):  # type: ignore[misc]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, *_: Json, **__: Json) -> None:
        """Requests are not logged: functions log what matters."""


class LocalServer:
    """A threaded HTTP server for one router."""

    def __init__(self, router: Router, *, port: int) -> None:
        server: Any = _listen(router, port)
        server.daemon_threads = True
        server.socket.listen(_BACKLOG)
        self._server: BaseWSGIServer = server
        self.url = f"http://{_HOST}:{server.server_port}"
        self._thread = Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True, name="http"
        )
        self._thread.start()

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _drain(environ: WSGIEnvironment) -> None:
    """Reads the body away: a reset connection would hide the answer from the client."""
    left = content_length(environ)
    while left > 0 and (chunk := environ["wsgi.input"].read(min(left, 1 << 16))):
        left -= len(chunk)


def _listen(router: Router, port: int) -> Any:
    try:
        return make_server(_HOST, port, router, threaded=True, request_handler=_Handler)
    except (OSError, OverflowError, SystemExit) as exc:  # werkzeug exits when the port is taken
        raise LocalStackError(
            f"port {port} cannot be used: something listens there, or it is no port; 0 takes a free one"
        ) from exc
