"""REQUEST authorizers: payload format 2.0 with simple responses.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

import json
import time
from dataclasses import dataclass
from threading import Lock
from urllib.parse import parse_qs

from ratchet.local.endpoint import Endpoint
from ratchet.local.functions.service import FunctionService
from ratchet.local.http_api.model import Authorizer
from ratchet.local.json_types import Json, JsonObject
from ratchet.local.web import Request


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed with this context, or refused with this status."""

    status: int
    context: JsonObject | None = None

    @property
    def is_allowed(self) -> bool:
        """Whether the request may go on."""
        return self.status == 200


UNAUTHORIZED = Decision(401)
FORBIDDEN = Decision(403)
BROKEN = Decision(500)


class AuthorizerRunner:
    """Asks authorizer functions and caches their answers for the TTL."""

    def __init__(self, functions: FunctionService, endpoint: Endpoint) -> None:
        self._functions = functions
        self._endpoint = endpoint
        self._cache: dict[tuple[str, ...], tuple[float, Decision]] = {}
        self._lock = Lock()

    def decide(self, authorizer: Authorizer, request: Request, event: JsonObject) -> Decision:
        """Whether the authorizer lets this request through."""
        identity = [_identity(source, request) for source in authorizer.identity_sources]
        if not all(identity):
            return UNAUTHORIZED
        key = (authorizer.function_arn, *identity)
        cached = self._cached(key) if authorizer.ttl_seconds and identity else None
        if cached is not None:
            return cached
        decision = self._ask(authorizer, identity, event)
        if authorizer.ttl_seconds and identity and decision is not BROKEN:
            with self._lock:
                self._cache[key] = (time.monotonic() + authorizer.ttl_seconds, decision)
        return decision

    def _cached(self, key: tuple[str, ...]) -> Decision | None:
        with self._lock:
            expires, decision = self._cache.get(key, (0.0, BROKEN))
        return decision if expires > time.monotonic() else None

    def _ask(self, authorizer: Authorizer, identity: list[str], event: JsonObject) -> Decision:
        question = {k: v for k, v in event.items() if k not in ("body", "isBase64Encoded")}
        context = question["requestContext"]
        path = f"{context['http']['method']}{context['http']['path']}"
        question["type"] = "REQUEST"
        question["identitySource"] = identity or None
        question["routeArn"] = self._endpoint.arn(
            "execute-api", f"{context['apiId']}/{context['stage']}/{path}"
        )
        invocation = self._functions.invoke(authorizer.function_arn, json.dumps(question).encode())
        answer: Json = json.loads(invocation.result or b"null")
        if invocation.function_error or not isinstance(answer, dict):
            return BROKEN
        if answer.get("isAuthorized") is not True:
            return FORBIDDEN if answer.get("isAuthorized") is False else BROKEN
        return Decision(200, answer.get("context") or {})


def _identity(source: str, request: Request) -> str:
    _, kind, name = source.split(".", 2)
    if kind == "header":
        return request.headers.get(name.lower(), "")
    return parse_qs(request.query).get(name, [""])[0]
