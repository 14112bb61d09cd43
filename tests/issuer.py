"""An identity provider: publishes its keys over HTTP and signs tokens with them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

AUDIENCE = "ratchet"


class Issuer:
    """Listens on this machine; its address is the tokens' `iss`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
        self.curve = ECKey.generate_key("P-256", {"kid": "ec-1", "use": "sig"})
        self.stranger = RSAKey.generate_key(2048, {"kid": "rsa-1"})
        self.reads = 0

    def document(self, path: str) -> Any:
        """What is published at a path."""
        self.reads += 1
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        return KeySet([self.key, self.curve]).as_dict(private=False)

    def token(
        self, *, key: Any = None, header: dict[str, Any] | None = None, **changes: Any
    ) -> str:
        """A good token, but for the changes; a claim that is None is left out."""
        now = time.time_ns() // 10**9
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "iat": now,
            "exp": now + 300,
            **changes,
        }
        told = {name: value for name, value in claims.items() if value is not None}
        head = {"alg": "RS256", "kid": "rsa-1", **(header or {})}
        named = {name: value for name, value in head.items() if value is not None}
        return jwt.encode(named, told, key or self.key, algorithms=[head["alg"]])

    def confused(self) -> str:
        """A token signed with the public key as if it were a shared secret (algorithm confusion)."""
        public = OctKey.import_key(json.dumps(self.key.as_dict(private=False)))
        return self.token(key=public, header={"alg": "HS256"})


@contextmanager
def issuer() -> Iterator[Issuer]:
    """An identity provider that runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(provider.document(self.path)).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = Issuer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
