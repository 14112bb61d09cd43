"""HTTP as the local stack sees it: a request and a response, and WSGI around them."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BytesIO
from urllib.parse import unquote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from ratchet.local.json_types import Json

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names are lower-case, ``raw_path`` is as it was sent."""

    method: str
    raw_path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    remote: str = "127.0.0.1"
    protocol: str = "HTTP/1.1"

    @property
    def path(self) -> str:
        """The path with its escapes resolved."""
        return unquote(self.raw_path)


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response."""

    status: int
    body: bytes = b""
    headers: Headers = field(default_factory=list)

    @classmethod
    def of_json(cls, status: int, value: Json, headers: Headers | None = None) -> "Response":
        """A JSON response."""
        content_type = ("content-type", "application/json")
        return cls(status, json.dumps(value).encode(), [content_type, *(headers or [])])

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def send(self, start_response: StartResponse) -> list[bytes]:
        """Answers a WSGI request with this response."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        headers = [(k, v) for k, v in self.headers if k.lower() != "content-length"]
        if self.status != HTTPStatus.NO_CONTENT:
            headers.append(("content-length", str(len(self.body))))
        start_response(f"{self.status} {phrase}", headers)
        return [self.body]


def read_request(environ: WSGIEnvironment, *, with_body: bool = True) -> Request:
    """The request of a WSGI environment; reading the body consumes it."""
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    raw_uri = environ.get("RAW_URI") or environ["PATH_INFO"]
    return Request(
        method=environ["REQUEST_METHOD"],
        raw_path=raw_uri.partition("?")[0],
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        body=read_body(environ) if with_body else b"",
        remote=environ.get("REMOTE_ADDR", "127.0.0.1"),
        protocol=environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
    )


def content_length(environ: WSGIEnvironment) -> int:
    """The announced length of the body."""
    return int(environ.get("CONTENT_LENGTH") or 0)


def read_body(environ: WSGIEnvironment) -> bytes:
    """The body, also left in place for the next reader."""
    stream = environ["wsgi.input"]
    chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "")
    body: bytes = stream.read() if chunked else stream.read(content_length(environ))
    environ["wsgi.input"] = BytesIO(body)
    if chunked:
        environ["CONTENT_LENGTH"] = str(len(body))
    return body


def call(app: WSGIApplication, environ: WSGIEnvironment) -> Response:
    """Runs a WSGI application and collects its answer."""
    started: list[tuple[str, Headers]] = []

    def start_response(status: str, headers: Headers, *_: object) -> object:
        started.append((status, headers))
        return None

    parts = app(environ, start_response)  # type: ignore[arg-type]
    body = b"".join(parts)
    if hasattr(parts, "close"):
        parts.close()
    status, headers = started[-1]
    return Response(int(status.split(" ", 1)[0]), body, list(headers))


def make_environ(request: Request) -> WSGIEnvironment:
    """A WSGI environment that replays this request."""
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "RAW_URI": request.raw_path + (f"?{request.query}" if request.query else ""),
        "QUERY_STRING": request.query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": request.protocol,
        "REMOTE_ADDR": request.remote,
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(request.body),
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        if name == "content-type":
            environ["CONTENT_TYPE"] = value
        elif name != "content-length":
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    environ["REQUEST_URI"] = environ["RAW_URI"]
    return environ
