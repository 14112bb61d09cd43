"""What a task has been given of its tenant's day. Pure.

A task draws on the day in blocks: one more write every few steps, and none for tenants without a cap. Up to what it
may be charged over its life, `ceiling_microusd`, then grows by the block. Before a call is sent, what the task has been
charged and the worst case of the call must lie below the ceiling; lost attempts are part of what it has been charged.
So all tasks of a tenant together never spend more in a day than the day has given away, and that is never more than the
cap. A call counts for the UTC day in which it was covered; what is left of a block at midnight is worth nothing then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ratchet.contracts.messages import Allowance

CALLS_PER_BLOCK = 4
"""Worst cases in a block. Calls cost a fraction of their worst case, so a block lasts for more calls than that."""


@dataclass(frozen=True, slots=True)
class Move:
    """A change of a task's allowance, with what it takes from the day of `after`; negative: what it gives back."""

    before: Allowance | None
    after: Allowance
    microusd: int
    cap_microusd: int | None = None  # of the day


def day_of(ms: int) -> str:
    """The UTC day of a moment."""
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()


@dataclass(frozen=True, slots=True)
class Need:
    """What a call needs of the ceiling: what the task's answers have cost, what is counted on top, its worst case.

    Where nothing was drawn this day, the ceiling begins at what answers have cost. What is counted as lost is drawn as
    well: the lost attempt may be alive, and make its call on this day.
    """

    answered_microusd: int
    counted_microusd: int
    worst_microusd: int

    @property
    def microusd(self) -> int:
        """How high the ceiling must be."""
        return self.answered_microusd + self.counted_microusd + self.worst_microusd


def blocks(stands: Allowance | None, day: str, need: Need) -> Iterator[tuple[int, int]]:
    """What to draw for a call, and the ceiling then: a block, or where the day has no more, what the call needs."""
    is_todays = stands is not None and stands.day == day
    ceiling = stands.ceiling_microusd if stands and is_todays else need.answered_microusd
    needed = need.microusd - ceiling
    for amount in dict.fromkeys((max(needed, CALLS_PER_BLOCK * need.worst_microusd), needed)):
        yield amount, ceiling + amount
