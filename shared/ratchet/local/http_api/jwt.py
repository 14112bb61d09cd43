"""JWT authorizers: what API Gateway verifies of a bearer token, against the issuer's published keys.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

import json
import time
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.request import ProxyHandler, build_opener

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ratchet.local.http_api.authorizer import BROKEN, UNAUTHORIZED, Decision
from ratchet.local.http_api.model import JwtAuthorizer
from ratchet.local.json_types import Json, JsonObject
from ratchet.local.web import Request

# "Currently, only RSA-based algorithms are supported": a token's own `alg` chooses among these and nothing else.
ALGORITHMS = ["RS256", "RS384", "RS512"]
KEYS_SECONDS = 300.0
"""So long the gateway may go on using an issuer's keys that it has read (two hours on AWS)."""
_FETCH_SECONDS = 1.5
_MAX_DOCUMENT = 150_000


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    keys: KeySet


class JwtVerifier:
    """Verifies tokens; each issuer's keys are read once in a while."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._lock = Lock()

    def decide(self, authorizer: JwtAuthorizer, request: Request) -> Decision:
        """Whether the request's token is one of the issuer's for this API, and its claims."""
        _, _, name = authorizer.identity_source.split(".", 2)
        offered = request.headers.get(name.lower(), "")
        scheme, _, rest = offered.partition(" ")
        text = rest.strip() if scheme.lower() == "bearer" else offered
        if not text:
            return UNAUTHORIZED
        try:
            keys = self._keys(authorizer.issuer)
        except (OSError, ValueError, KeyError, TypeError, JoseError):
            return BROKEN
        claims = _verified(text, keys)
        if claims is None or not _is_for(claims, authorizer):
            return UNAUTHORIZED
        told: JsonObject = {name: _as_text(value) for name, value in claims.items()}
        return Decision(200, {"claims": told, "scopes": None})

    def _keys(self, issuer: str) -> KeySet:
        with self._lock:
            kept = self._kept.get(issuer)
            if kept is None or kept.until < time.monotonic():
                configuration = _read(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                keys = KeySet.import_key_set(_read(str(configuration["jwks_uri"])))
                kept = _Kept(time.monotonic() + KEYS_SECONDS, keys)
                self._kept[issuer] = kept
            return kept.keys


def _verified(text: str, keys: KeySet) -> dict[str, Any] | None:
    try:
        token = jwt.decode(text, keys, algorithms=ALGORITHMS)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    # Without `kid` the library would try a key; API Gateway asks for the one that is named.
    return token.claims if token.header.get("kid") else None


def _is_for(claims: dict[str, Any], authorizer: JwtAuthorizer) -> bool:
    now = time.time()
    # `client_id` stands in for `aud` only where there is none, as in Cognito's access tokens.
    audience = claims.get("aud") or claims.get("client_id")
    named = audience if isinstance(audience, list) else [audience]
    try:
        return (
            claims.get("iss") == authorizer.issuer
            and any(name in authorizer.audience for name in named)
            and float(claims["exp"]) > now
            and float(claims.get("nbf", 0)) <= now
            and float(claims.get("iat", 0)) <= now
        )
    except (KeyError, TypeError, ValueError):
        return False


def _as_text(value: Json) -> Json:
    """Claims reach the function as text; a list as `[a b]`."""
    match value:
        case str():
            return value
        case list():
            return f"[{' '.join(str(part) for part in value)}]"
        case _:
            return json.dumps(value)


def _read(url: str) -> Any:
    # No proxy: the issuers of tests listen on this machine.
    with build_opener(ProxyHandler({})).open(url, timeout=_FETCH_SECONDS) as answer:
        return json.loads(answer.read(_MAX_DOCUMENT))
