"""Ports of tenancy: the keys tenants call with, how often they may and whether at all, and what signs what they get."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from ratchet.domain.api_keys import ApiKey
from ratchet.domain.request_rate import RequestRate
from ratchet.domain.suspension import Suspension


class ApiKeys(Protocol):
    """The keys of all tenants. Every method may raise StoreUnavailable or ServiceRefused."""

    def add(self, key: ApiKey) -> None:
        """Keep a new key; afterwards `find` has it."""
        ...

    def replace(self, key: ApiKey) -> bool:
        """Keep a key's new state in place of the one before; False, and nothing is kept, once that is revoked."""
        ...

    def find(self, key_id: str) -> ApiKey | None:
        """The key of that id, as it was last written; of whichever tenant."""
        ...

    def of_tenant(self, tenant: str) -> Sequence[ApiKey]:
        """The tenant's keys, oldest first, with those that are closed."""
        ...


class TenantRates(Protocol):
    """One token bucket for each tenant. May raise StoreUnavailable or ServiceRefused."""

    def take(self, tenant: str, rate: RequestRate) -> int | None:
        """Take a token for one request; None if there was one, else the whole seconds until there is."""
        ...


class SigningKeys(Protocol):
    """A key of the deployment that may be replaced while it is in use.

    Its root key: what callers are handed is signed with keys made from it, each for one purpose. Or what its web front
    shows the API (`FrontDoor`).
    """

    def roots(self, *, fresh: bool = False) -> Sequence[str]:
        """The key in force, then the one before it; `fresh` looks again, for what none of them has made.

        May raise SecretUnavailable.
        """
        ...


class Suspensions(Protocol):
    """The tenants of which nothing may go on. Every method may raise StoreUnavailable or ServiceRefused."""

    def find(self, tenant: str, *, consistent: bool = False) -> Suspension | None:
        """The tenant's suspension, None if there is none; unless `consistent`, as it was a second ago."""
        ...

    def begin(self, tenant: str, suspension: Suspension) -> Suspension:
        """Suspend the tenant unless it is; the suspension that stands."""
        ...

    def end(self, tenant: str) -> None:
        """Let the tenant go on; nothing if it is not suspended."""
        ...


class TenantHoldings(Protocol):
    """A place that holds something of tenants. May raise StoreUnavailable or ServiceRefused."""

    def erase(self, tenant: str) -> Mapping[str, int]:
        """Delete what one look at the whole place finds of the tenant; how many of each kind. Safe to repeat."""
        ...


class Chance(Protocol):
    """Where secrets come from."""

    def hex(self, size: int) -> str:
        """So many random bytes, in hexadecimal, that nobody can foretell."""
        ...
