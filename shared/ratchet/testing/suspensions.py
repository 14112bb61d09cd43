"""Suspended tenants in memory."""

from ratchet.contracts.errors import StoreUnavailable
from ratchet.domain.suspension import Suspension


class InMemorySuspensions:
    """Suspensions; `is_down` makes every request fail, `reads` counts those that `find` made."""

    def __init__(self) -> None:
        self.is_down = False
        self.reads = 0
        self._suspended: dict[str, Suspension] = {}

    def find(self, tenant: str, *, consistent: bool = False) -> Suspension | None:  # noqa: ARG002
        """The tenant's suspension."""
        self.reads += 1
        return self._up().get(tenant)

    def begin(self, tenant: str, suspension: Suspension) -> Suspension:
        """Suspend the tenant unless it is; the suspension that stands."""
        return self._up().setdefault(tenant, suspension)

    def end(self, tenant: str) -> None:
        """Let the tenant go on; nothing if it is not suspended."""
        self._up().pop(tenant, None)

    def _up(self) -> dict[str, Suspension]:
        if self.is_down:
            raise StoreUnavailable("the suspensions are down")
        return self._suspended
