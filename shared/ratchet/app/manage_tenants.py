"""Suspend tenants and let them go on: what an operator does, and no caller of the API may."""

from dataclasses import dataclass

from ratchet.contracts.limits import MAX_SUSPENSION_REASON_CHARS
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.suspension import Suspension
from ratchet.domain.tenant_name import is_tenant_name
from ratchet.ports import Clock
from ratchet.tenancy_ports import Suspensions


@dataclass(frozen=True, slots=True)
class ManageTenants:
    """The suspensions of a deployment."""

    suspensions: Suspensions
    clock: Clock

    def suspend(self, tenant: str, *, reason: str = "") -> Suspension:
        """Suspend a tenant; the suspension that stands, which is the first one.

        Raises:
            InvalidRequest: no tenant can be called that, or the reason is too long.
        """
        if len(reason) > MAX_SUSPENSION_REASON_CHARS:
            raise InvalidRequest(f"a reason has at most {MAX_SUSPENSION_REASON_CHARS} characters")
        return self.suspensions.begin(
            _checked(tenant), Suspension(self.clock.now_ms(), reason=reason)
        )

    def resume(self, tenant: str) -> Suspension | None:
        """Let a tenant go on; the suspension that has ended, None if there was none.

        Raises:
            InvalidRequest: no tenant can be called that.
        """
        ended = self.suspension(tenant)
        self.suspensions.end(tenant)
        return ended

    def suspension(self, tenant: str) -> Suspension | None:
        """The tenant's suspension, None if it is not suspended.

        Raises:
            InvalidRequest: no tenant can be called that.
        """
        return self.suspensions.find(_checked(tenant), consistent=True)


def _checked(tenant: str) -> str:
    if not is_tenant_name(tenant):
        raise InvalidRequest(
            f"{tenant!r} is no name of a tenant: use 1 to 128 letters, digits, _ . : @ and -"
        )
    return tenant
