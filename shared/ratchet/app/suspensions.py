"""Whether a tenant is suspended: asked before every new task and step, read from the table once in a while.

A use case takes the question as a function; what it does about a yes is its own.
"""

import threading

from ratchet.contracts.limits import SUSPENSION_CACHE_SECONDS
from ratchet.contracts.request_errors import TenantSuspended
from ratchet.ports import Clock
from ratchet.tenancy_ports import Suspensions

_MAX_KEPT = 1_000


def nobody(_tenant: str) -> bool:
    """Of a deployment where nobody is ever suspended."""
    return False


class SuspendedTenants:
    """Answers with what it has read within the last seconds: one read for each tenant that a sandbox works for."""

    def __init__(self, suspensions: Suspensions, clock: Clock) -> None:
        self._suspensions = suspensions
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, bool]] = {}

    def __call__(self, tenant: str) -> bool:
        """Whether the tenant is suspended.

        Raises:
            StoreUnavailable: nobody can tell now, so nothing may begin.
        """
        now = self._clock.monotonic()
        with self._lock:
            read_at, is_suspended = self._known.get(tenant, (float("-inf"), False))
        if now - read_at < SUSPENSION_CACHE_SECONDS:
            return is_suspended
        is_suspended = self._suspensions.find(tenant) is not None
        with self._lock:
            if len(self._known) >= _MAX_KEPT:
                self._known.clear()
            self._known[tenant] = now, is_suspended
        return is_suspended


def refuse_suspended(*, is_suspended: bool) -> None:
    """Refuse what would begin work of a suspended tenant.

    Raises:
        TenantSuspended: it is.
    """
    if is_suspended:
        raise TenantSuspended(
            "your tenant is suspended: tasks can be read and cancelled, none begin or go on, nothing is remembered. "
            "Ask whoever runs this deployment; then send the same request again"
        )
