"""From pairs of goals that mean the same or do not, to the similarity from which on goals count as the same."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GRAIN = 1_000
"""Thresholds are looked for in steps of 1/GRAIN."""


@dataclass(frozen=True, slots=True)
class Pair:
    """How alike two goals are by their embeddings, and whether they mean the same by a person's word."""

    similarity: float
    same: bool


@dataclass(frozen=True, slots=True)
class Row:
    """What a semantic cache with this threshold would have done to the pairs."""

    threshold: float
    hits: int
    false_hits: int
    recall: float  # of the pairs that mean the same, the share that was found

    @property
    def precision(self) -> float | None:
        """Of the hits, the share that is right; None without any."""
        return (self.hits - self.false_hits) / self.hits if self.hits else None


def row(pairs: Sequence[Pair], threshold: float) -> Row:
    """One threshold, tried on all pairs; some of them mean the same."""
    hits = [pair for pair in pairs if pair.similarity >= threshold]
    right = sum(pair.same for pair in hits)
    return Row(threshold, len(hits), len(hits) - right, right / sum(p.same for p in pairs))


def lowest_without_false_hit(pairs: Iterable[Pair]) -> float | None:
    """The lowest threshold that no pair of different goals reaches; None if one of them is as alike as can be."""
    worst = max((pair.similarity for pair in pairs if not pair.same), default=0.0)
    threshold = (math.floor(worst * GRAIN) + 1) / GRAIN
    return threshold if threshold <= 1 else None


def tried(pairs: Sequence[Pair], thresholds: Iterable[float]) -> list[Row]:
    """A row for each threshold that changes anything, in ascending order."""
    found: list[Row] = []
    for threshold in sorted(thresholds):
        now = row(pairs, threshold)
        if not found or (now.hits, now.false_hits) != (found[-1].hits, found[-1].false_hits):
            found.append(now)
    return found
