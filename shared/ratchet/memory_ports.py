"""What memory needs from the world; every method may raise StoreUnavailable, and reads are strongly consistent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ratchet.domain.memory import Change, Fact, Look, MemoryCall, Place


@dataclass(frozen=True, slots=True)
class FactPage:
    """Some facts in the order of their keys; `after` is the key to go on from, None at the end."""

    facts: Sequence[Fact]
    after: str | None


class MemoryStore(Protocol):
    """Facts by tenant, namespace and key."""

    def look(self, place: Place, key: str, *, call: MemoryCall | None = None) -> Look:
        """The fact under a key, the shelf of its namespace, and what the call has done before: one request."""
        ...

    def change(self, change: Change) -> bool:
        """Write it, all or nothing; False if fact, shelf or mark are not as they were read.

        Raises:
            AttemptSuperseded: the step of the call is committed, or its task is gone.
        """
        ...

    def page(
        self, place: Place, *, prefix: str = "", limit: int, after: str | None = None
    ) -> FactPage:
        """The facts whose keys begin so and come after that one. What has expired is left out."""
        ...

    def clear(self, place: Place) -> tuple[int, bool]:
        """Delete the whole namespace: how many facts that were, expired ones too, and whether none came meanwhile."""
        ...
