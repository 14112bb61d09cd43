"""How often a tenant may call, whichever of its keys or users does."""

from dataclasses import dataclass

from ratchet.contracts.request_errors import TooManyRequests
from ratchet.domain.request_rate import RequestRate
from ratchet.tenancy_ports import TenantRates


@dataclass(frozen=True, slots=True)
class RateGate:
    """Lets a request of a tenant through, or says when to come again."""

    rates: TenantRates
    rate: RequestRate

    def __call__(self, tenant: str) -> None:
        """Count one request.

        Raises:
            TooManyRequests: the tenant's bucket is empty.
        """
        wait = self.rates.take(tenant, self.rate)
        if wait is not None:
            raise TooManyRequests(
                f"your tenant may send {self.rate.per_second} requests a second, {self.rate.burst} at once; "
                f"send this one again in {wait} s",
                wait,
            )
