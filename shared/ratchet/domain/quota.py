"""Requests and tokens a minute, shared by all executors: a place in line for each call.

The line of a deployment is a point in time for each kind of quota: up to there it is given away. Who takes a place
moves the line on by what the call costs, and may call once the line as it was before has come. That takes one write,
and whoever has to wait holds its place: it comes back once, at its time, and takes nothing. A bucket that only counts
would send everyone back at the same moment, to be refused again.

Quota that nobody took is kept for a second, no longer: a provider that looks at short spans must see no burst.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

SECOND = 1_000_000
CREDIT = SECOND
GO_EARLY = SECOND // 2
"""The state machine waits whole seconds, so half of one is not worth a wait."""
LONGEST_LINE = 240 * SECOND
"""A place further off is not given: the task may end, or the quota change, before it is used."""
LAG = 2 * SECOND
"""How far one kind may be behind the other. A call waits for both, so what lies between them would all be called at
once; yet calls are large and small, and each kind is used up only if the other may run ahead for a while."""
KEPT = 300 * SECOND
"""A place is lost to who comes later than this."""
USED_SHARE = 0.975
"""What is left is for calls that arrive together though their places were apart."""
PLACES_PER_SHARD = 30_000
"""Writes a minute on one item: half of the 1,000 a second that DynamoDB takes."""
SMALL_CALL = 300
"""Tokens; tells from tokens a minute how many calls they are at most."""
REQUESTS, TOKENS = "requests", "tokens"
OTHER = {REQUESTS: TOKENS, TOKENS: REQUESTS}

Line: TypeAlias = Mapping[str, int]
"""Up to when each limited kind is given away, in microseconds since the epoch; absent: never taken."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What a provider allows a minute; None is no limit.

    `counts_output_limit`: it counts what a call may write (`max_completion_tokens`), not what it writes.
    """

    rpm: int | None = None
    tpm: int | None = None
    counts_output_limit: bool = False

    @property
    def shards(self) -> int:
        """How many lines share the quota, so that no item is written too often."""
        bounds = [self.rpm or 0, (self.tpm or 0) // SMALL_CALL]
        calls = min((bound for bound in bounds if bound), default=0)
        return max(1, -(-calls // PLACES_PER_SHARD))

    def cost(self, tokens: int) -> dict[str, int]:
        """How far one call with these tokens moves its line."""
        limits = {REQUESTS: (1, self.rpm), TOKENS: (tokens, self.tpm)}
        minute = 60 * SECOND * self.shards / USED_SHARE
        return {kind: round(n * minute / limit) for kind, (n, limit) in limits.items() if limit}


@dataclass(frozen=True, slots=True)
class Move:
    """A try to move a line on, as one conditional write.

    A kind in `restarts` is expected to lie in the past, and goes on from `now`; one in `follows` is expected to lie
    behind the other, and goes on from there; any other goes on from where it is, which must not be further off than
    `latest`. What is neither lost nor ahead suits the first and the last, and no way gives back what was taken, so
    that a guess may be a little out of date.
    """

    now: int
    by: Mapping[str, int]
    latest: int
    restarts: frozenset[str] = frozenset()
    follows: frozenset[str] = frozenset()

    @property
    def earliest(self) -> int:
        """Quota from before is lost."""
        return self.now - CREDIT

    def applied_to(self, line: Line) -> Line | None:
        """The line after the move; None if it does not lie where the move expects it."""
        starts = {kind: self._start(kind, line) for kind in self.by}
        moved = {k: at + self.by[k] for k, at in starts.items() if at is not None}
        return {**line, **moved} if len(moved) == len(self.by) else None

    def _start(self, kind: str, line: Line) -> int | None:
        """From where the kind goes on; None if it does not lie where it is expected."""
        at = line.get(kind)
        if kind in self.restarts:
            return self.now if at is None or at < self.now else None
        if kind in self.follows:
            other = line.get(OTHER[kind])
            return other if other is not None and (at is None or at < other) else None
        return at if at is not None and self.earliest <= at <= self.latest else None

    def place_in(self, line: Line) -> int:
        """When the call may be made, `line` being where this move has put it."""
        return max((line[kind] - by for kind, by in self.by.items()), default=self.now)

    def is_beyond(self, line: Line) -> bool:
        """Whether the line is too long for one more place."""
        return any(line.get(kind, 0) > self.latest for kind in self.by)


def move(now: int, by: Mapping[str, int], *, seen: "Seen | None", longest: int) -> Move:
    """The move that fits the line as it was last seen; a line never seen is taken to be busy."""
    latest = now + max(longest, GO_EARLY)
    if seen is None:
        return Move(now, by, latest)
    behind = frozenset(kind for kind in by if OTHER[kind] in by and seen.was_behind(kind))
    idle = frozenset(kind for kind in by if seen.was_idle(kind))
    return Move(now, by, latest, idle - behind, behind)


def hold(until: int, kind: str) -> Move:
    """Nobody takes a place before then: the provider said so."""
    return Move(until, {kind: 0}, until, frozenset({kind}))


@dataclass(frozen=True, slots=True)
class Seen:
    """A line as it was at some time."""

    at: int
    line: Line

    def was_idle(self, kind: str) -> bool:
        """Whether quota was being lost."""
        return kind not in self.line or self.line[kind] < self.at - CREDIT

    def was_behind(self, kind: str) -> bool:
        """Whether calls would wait long for the other kind alone."""
        return self.line.get(OTHER[kind], 0) - max(self.line.get(kind, 0), self.at) > LAG


@dataclass(frozen=True, slots=True)
class Place:
    """The right to one call to a deployment from then on."""

    deployment: str
    at: int

    def __str__(self) -> str:
        return f"{self.deployment}@{self.at}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The inverse of `str`; None for anything else."""
        name, _, at = text.rpartition("@")
        return cls(name, int(at)) if name and at.isascii() and at.isdigit() else None

    def is_good(self, now: int) -> bool:
        """Whether its time has come and not passed."""
        return self.at - GO_EARLY <= now <= self.at + KEPT
