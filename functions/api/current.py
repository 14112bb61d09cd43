"""What every route starts from: the caller whom the gate has let in, and the use cases behind the API."""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from functions.api.caller import Caller
from functions.api.wiring import Wiring, wiring
from ratchet.contracts.access import Identity
from ratchet.contracts.request_errors import BadCredentials


class Routes(APIGatewayHttpRouter):
    """The routes of one kind of resource."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def caller(self) -> Caller:
        """Whom the gate has let in; where it has let in nobody, nobody gets on.

        Raises:
            BadCredentials: nobody has been verified for this route.
        """
        caller = self.context.get("caller")
        if not isinstance(caller, Caller):
            raise BadCredentials("this path names no route of the API; see /v1/openapi.json")
        return caller

    @property
    def tenant(self) -> str:
        """The caller's tenant; what a route reads and writes is this tenant's alone."""
        return self.caller.tenant


def use_cases() -> Wiring:
    """The use cases behind the routes."""
    return wiring()


def identity() -> Identity:
    """Who the callers of this deployment are."""
    return wiring().identity


def admit_front(event: Mapping[str, Any]) -> None:
    """Refuse what came around the deployment's web front, if it has one.

    Raises:
        AroundTheFront: it did.
    """
    if (front := wiring().front) is not None:
        front.require(event)


def admit_rate(caller: Caller) -> None:
    """Count the request against its tenant's rate.

    Raises:
        TooManyRequests: the tenant has none left now.
    """
    if (gate := wiring().gate) is not None:
        gate(caller.tenant)
