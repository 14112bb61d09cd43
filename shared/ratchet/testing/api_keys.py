"""API keys in memory, and secrets that a test can foretell."""

from collections.abc import Sequence

from ratchet.contracts.errors import StoreUnavailable
from ratchet.domain.api_keys import ApiKey


class InMemoryApiKeys:
    """ApiKeys; `is_down` makes every request fail."""

    def __init__(self) -> None:
        self.is_down = False
        self._keys: dict[str, ApiKey] = {}

    def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        self._up()[key.id] = key

    def replace(self, key: ApiKey) -> bool:
        """Keep a key's new state, unless it is revoked."""
        before = self._up().get(key.id)
        if before is not None and before.revoked_at_ms is not None:
            return False
        self._keys[key.id] = key
        return True

    def find(self, key_id: str) -> ApiKey | None:
        """The key of that id."""
        return self._up().get(key_id)

    def of_tenant(self, tenant: str) -> Sequence[ApiKey]:
        """The tenant's keys, oldest first."""
        found = [key for key in self._up().values() if key.tenant == tenant]
        return sorted(found, key=lambda key: (key.created_at_ms, key.id))

    def _up(self) -> dict[str, ApiKey]:
        if self.is_down:
            raise StoreUnavailable("the keys are down")
        return self._keys


class CountingChance:
    """Chance that counts: the first three bytes are 000001, the next three 000002."""

    def __init__(self) -> None:
        self._count = 0

    def hex(self, size: int) -> str:
        """The next number."""
        self._count += 1
        return f"{self._count:0{2 * size}x}"
