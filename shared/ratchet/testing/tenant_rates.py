"""Tenants' token buckets in memory."""

from ratchet.domain.request_rate import RequestRate
from ratchet.ports import Clock


class InMemoryTenantRates:
    """TenantRates; `taken` counts the requests that were let through."""

    def __init__(self, clock: Clock) -> None:
        self.taken = 0
        self._clock = clock
        self._full_at: dict[str, int] = {}

    def take(self, tenant: str, rate: RequestRate) -> int | None:
        """Take one token; None if there was one, else the seconds until there is."""
        now_us = self._clock.now_ms() * 1000
        full_at = max(self._full_at.get(tenant, 0), now_us)
        if full_at > rate.latest_us(now_us):
            return rate.retry_after_seconds(full_at, now_us)
        self._full_at[tenant] = full_at + rate.token_us
        self.taken += 1
        return None
