"""What admission needs from the world, beside `ratchet.ports`; the stores of both worlds provide it."""

from collections.abc import Sequence
from typing import Protocol

from ratchet.contracts.messages import TaskRef
from ratchet.domain.admission import Candidate, Limit
from ratchet.domain.slots import Board, Counts, Place, Seat, Seating


class Throttles(Protocol):
    """Counts the 429s of model providers."""

    def note_throttled(self, shard: int) -> None:
        """Count one that a task of this shard met. May raise StoreUnavailable."""
        ...


class SlotStore(Throttles, Protocol):
    """Slots and lines of waiting tasks. Every method may raise StoreUnavailable."""

    def board(self) -> Board:
        """The limit, and who was seen to wait: one read request."""
        ...

    def counts(self, tenants: Sequence[str]) -> Counts:
        """How many tasks hold slots, also of these tenants: one read request, strongly consistent."""
        ...

    def first_waiting(self, tenant: str, *, limit: int) -> Sequence[Candidate]:
        """The first of a tenant's line: one read request (eventually consistent: admitting checks)."""
        ...

    def seat(self, ref: TaskRef, seat: Seat) -> Seating:
        """Take a slot for a queued task and take it out of the line, atomically, below both caps."""
        ...

    def park(self, place: Place) -> bool:
        """Put a queued task into its tenant's line, or renew its place; False if it does not wait any more."""
        ...

    def note_waiting(self, tenant: str, *, at_ms: int) -> None:
        """Note that the tenant's line is not empty."""
        ...

    def unseat(self, ref: TaskRef, *, shard: int) -> bool:
        """Give back the slot of an ended or paused task, once; False if it holds none, or goes on."""
        ...

    def throttled(self) -> int:
        """How many 429s have been counted, ever: one read request."""
        ...

    def move_limit(self, before: Board, after: Limit, *, at_ms: int, throttled: int) -> bool:
        """Store the limit unless somebody has since the board was read."""
        ...


class Gauge(Protocol):
    """A queue that can say how full it is."""

    def depth(self) -> int:
        """About how many messages nobody has received yet."""
        ...
