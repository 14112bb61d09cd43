"""The routing table in force: the deployed one, or what people have put in its place.

Read when a task is made and pinned in it, so that no later attempt, resume or redrive decides otherwise. An override
that cannot be used never fails a submission: the deployed table is used, the mistake is logged, and an alarm goes off.
"""

from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from ratchet.app.deployed_models import DeployedModels
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import ROUTING_OVERRIDE_SECONDS
from ratchet.contracts.pinned_routes import PinnedRoutes
from ratchet.contracts.request_errors import ModelNotPriced
from ratchet.contracts.routing import RoutingTable
from ratchet.observability import logger, override_refused
from ratchet.ports import Clock, RoutingOverride


@dataclass(frozen=True, slots=True)
class InForce:
    """`routes` stand for the deployed ones; with None the deployed ones hold, because of `problem` if there is one."""

    routes: PinnedRoutes | None = None
    problem: str | None = None


class Routing(Protocol):
    """Where new tasks get their routes from."""

    def current(self) -> InForce:
        """What is in force for a task that is made now."""
        ...


class DeployedRouting:
    """Always the deployed table."""

    def current(self) -> InForce:
        """Nothing stands in its place."""
        return InForce()


class OverridableRouting:
    """The override as it was within the last minute: one read per sandbox and minute of submissions, none per step."""

    def __init__(self, override: RoutingOverride, *, models: DeployedModels, clock: Clock) -> None:
        self._override = override
        self._models = models
        self._clock = clock
        self._read_at: float | None = None
        self._known = InForce()

    def current(self) -> InForce:
        """What is in force for a task that is made now."""
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at >= ROUTING_OVERRIDE_SECONDS:
            self._known, self._read_at = self._read(), now
        return self._known

    def _read(self) -> InForce:
        try:
            text = self._override.read()
        except StoreUnavailable as exc:
            # What was in force a minute ago is likelier right than the deployed table.
            logger.warning("routing override cannot be read", extra={"error": exc.code})
            return self._known
        if text is None:
            return InForce()
        try:
            routes = RoutingTable.model_validate_json(text).pinned()
            self._models.check(routes.routes())
        except ValidationError as exc:
            return _refused(_as_text(exc))
        except ModelNotPriced as exc:
            return _refused(str(exc))
        return InForce(routes)


def _refused(problem: str) -> InForce:
    logger.error("routing override refused", extra={"problem": problem})
    override_refused()
    return InForce(problem=problem)


def _as_text(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'table'}: {e['msg']}"
        for e in error.errors(include_url=False, include_input=False)
    )
