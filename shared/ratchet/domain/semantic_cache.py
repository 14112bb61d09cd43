"""Goals that mean the same: what an agent allows, and how alike two goals are."""

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import Self

from ratchet.contracts.limits import MAX_CACHE_TTL_SECONDS


@dataclass(frozen=True, slots=True)
class SemanticCache:
    """An agent's leave to answer a goal with what an earlier task answered to nearly the same one.

    Args:
        threshold: the cosine similarity from which on two goals count as the same. It has no default, since it means
            something else for each embedding model: `ratchet cache measure` finds it.
        model: the embedding model; it needs a price like any other.
        ttl_seconds: how long after a goal was asked its answer may be given again.
    """

    threshold: float
    model: str = "text-embedding-3-small"
    ttl_seconds: int = 86_400

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(
                f"threshold={self.threshold} is no cosine similarity above 0 and up to 1; "
                "`ratchet cache measure` finds the one for your embedding model"
            )
        if not 1 <= self.ttl_seconds <= MAX_CACHE_TTL_SECONDS:
            raise ValueError(
                f"ttl_seconds={self.ttl_seconds} of a semantic cache is not 1 to {MAX_CACHE_TTL_SECONDS}"
            )


def numbers_in(goal: str) -> list[str]:
    """The digits that a goal names.

    Goals with different ones are not compared: to an embedding, two order numbers or amounts are nearly the same.
    """
    return sorted(re.findall(r"\d+", goal))


@dataclass(frozen=True, slots=True)
class GoalVector:
    """The direction of an embedding: numbers of a vector of length 1, two bytes each (within 0.0005 of the whole)."""

    packed: bytes

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Self:
        """The direction of this vector.

        Raises:
            ValueError: it has none.
        """
        length = math.hypot(*numbers)
        if not length or not math.isfinite(length):
            raise ValueError("an embedding must be finite, and not zero")
        return cls(struct.pack(f"<{len(numbers)}e", *(number / length for number in numbers)))

    def similarity(self, other: "GoalVector") -> float:
        """The cosine of the angle between the two, 1 for the same; 0 for vectors of different spaces."""
        if self.packed == other.packed:
            return 1.0
        if len(self.packed) != len(other.packed):
            return 0.0
        cosine: float = sum(map(mul, self._numbers(), other._numbers()))
        return min(cosine, 1.0)

    def _numbers(self) -> tuple[float, ...]:
        return struct.unpack(f"<{len(self.packed) // 2}e", self.packed)


@dataclass(frozen=True, slots=True)
class KnownGoal:
    """A goal that a task has begun to answer; whether it did is in the task's own records."""

    task_id: str
    vector: GoalVector
    asked_at_ms: int
    expires_at: int  # epoch seconds, as DynamoDB's TTL takes it

    def is_fresh(self, *, now_ms: int) -> bool:
        """Whether it may still be used; TTL deletes hours or days later."""
        return now_ms < self.expires_at * 1000
