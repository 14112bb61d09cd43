"""What each tenant may spend a day, as the deployment says: `*=50, acme=200` in dollars. Without pydantic."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

EVERYBODY, NOBODY = "*", "none"
_ENTRY = re.compile(
    r"^(?P<tenant>\*|[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127})\s*=\s*(?P<dollars>\d{1,7}(\.\d{1,6})?)$"
)


@dataclass(frozen=True, slots=True)
class TenantCaps:
    """Dollars a day by tenant; `*` for those that are not named."""

    microusd: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read entries parted by commas; `none` caps nobody.

        Raises:
            ValueError: an entry is none, or a tenant is named twice.
        """
        caps: dict[str, int] = {}
        if text.strip() == NOBODY:
            return cls()
        for entry in map(str.strip, text.split(",")):
            found = _ENTRY.match(entry)
            if found is None:
                raise ValueError(f"{entry!r}: say tenant=dollars a day, as in '*=50, acme=200'")
            if found["tenant"] in caps:
                raise ValueError(f"{found['tenant']!r} is named twice; keep one of them")
            caps[found["tenant"]] = round(float(found["dollars"]) * 1_000_000)
        return cls(caps)

    def of(self, tenant: str) -> int | None:
        """What a tenant may spend a day, in micro-dollars; None: as much as its tasks' own limits allow."""
        return self.microusd.get(tenant, self.microusd.get(EVERYBODY))
