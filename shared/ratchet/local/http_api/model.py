"""HTTP APIs, their routes and authorizers, as the template describes them."""

import re
from dataclasses import dataclass, field
from re import Pattern

DEFAULT_ROUTE = "$default"


@dataclass(frozen=True, slots=True)
class Integration:
    """A Lambda proxy integration, payload format 2.0."""

    function_arn: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A REQUEST authorizer, payload format 2.0, simple responses."""

    function_arn: str
    identity_sources: tuple[str, ...]
    ttl_seconds: float


@dataclass(frozen=True, slots=True)
class JwtAuthorizer:
    """What API Gateway verifies of a token by itself."""

    issuer: str
    audience: tuple[str, ...]
    identity_source: str


@dataclass(frozen=True, slots=True)
class Route:
    """One route: what it matches, what answers, and who may call."""

    key: str
    integration_id: str
    authorization: str
    authorizer_id: str | None
    method: str
    pattern: Pattern[str]

    @classmethod
    def create(
        cls, key: str, *, integration_id: str, authorization: str, authorizer_id: str | None
    ) -> "Route":
        """A route from its key, such as ``GET /v1/tasks/{id}``."""
        method, _, path = key.partition(" ")
        if key == DEFAULT_ROUTE:
            method, pattern = "ANY", re.compile(".*", re.DOTALL)
        else:
            pattern = _compile(path)
        return cls(key, integration_id, authorization, authorizer_id, method, pattern)

    @property
    def rank(self) -> tuple[bool, bool, int, bool]:
        """Higher wins: full match before greedy path variable before $default."""
        return (
            self.key != DEFAULT_ROUTE,
            "+}" not in self.key,
            -self.key.count("{"),
            self.method != "ANY",
        )


@dataclass(slots=True)
class HttpApi:
    """One API with all its parts."""

    id: str
    integrations: dict[str, Integration] = field(default_factory=dict)
    authorizers: dict[str, Authorizer | JwtAuthorizer] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)

    def match(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The most specific route for a request, with its path parameters."""
        found = [
            (route, match.groupdict())
            for route in self.routes
            if route.method in (method, "ANY") and (match := route.pattern.fullmatch(path))
        ]
        return max(found, key=lambda pair: pair[0].rank) if found else None


def _compile(path: str) -> Pattern[str]:
    parts = []
    for part in re.split(r"(\{[^}]+\})", path):
        if part.startswith("{"):
            name = part[1:-1]
            parts.append(f"(?P<{name[:-1]}>.+)" if name.endswith("+") else f"(?P<{name}>[^/]+)")
        else:
            parts.append(re.escape(part))
    return re.compile("".join(parts))
