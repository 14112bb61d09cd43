"""The one gate: every request passes it before anything of it is parsed."""

import re
from typing import Any

from functions.api.caller import Caller, caller_of
from ratchet.contracts.access import ROUTE_SCOPES, Identity

_PATTERNS = [
    (key, re.compile(re.sub(r"\{[^}]+\}", "[^/]+", key.partition(" ")[2]))) for key in ROUTE_SCOPES
]


def admit(event: dict[str, Any], identity: Identity) -> Caller | None:
    """The caller, who may call this route; None where the route is open or there is none.

    Who gets None can reach no data: a route that needs a caller finds none and refuses.

    Raises:
        BadCredentials: nobody has been verified.
        ScopeMissing: the caller may not call this route.
    """
    # The very path that the resolver matches: two readings of one path would be two routes.
    route = _route_of(event["requestContext"]["http"]["method"], event["rawPath"])
    scope = ROUTE_SCOPES[route] if route else None
    if route is None or scope is None:
        return None
    caller = caller_of(event, identity)
    caller.require(scope, route)
    return caller


def methods_of(path: str) -> list[str]:
    """The methods that the routes of a path take."""
    return sorted({key.partition(" ")[0] for key, pattern in _PATTERNS if pattern.fullmatch(path)})


def _route_of(method: str, path: str) -> str | None:
    """The route of a request; one without {…} before one with."""
    found = [
        key
        for key, pattern in _PATTERNS
        if key.partition(" ")[0] == method and pattern.fullmatch(path)
    ]
    return min(found, key=lambda key: key.count("{"), default=None)
