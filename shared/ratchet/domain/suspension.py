"""A tenant that is suspended: nothing of it goes on until an operator lets it, and only then may it be erased."""

from dataclasses import dataclass

from ratchet.contracts.limits import ERASE_AFTER_SECONDS


@dataclass(frozen=True, slots=True)
class Suspension:
    """Since when a tenant is suspended, and why, in the operator's words."""

    since_ms: int
    reason: str = ""

    @property
    def erasable_from_ms(self) -> int:
        """From then on no function can be at work for the tenant any more."""
        return self.since_ms + ERASE_AFTER_SECONDS * 1000
