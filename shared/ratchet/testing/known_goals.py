"""The goals of semantic caches in memory: the same answers as DynamoDB, for tests."""

import threading

from ratchet.contracts.limits import MAX_KNOWN_GOALS
from ratchet.domain import keys
from ratchet.domain.semantic_cache import KnownGoal
from ratchet.ports import Clock


class InMemoryKnownGoals:
    """The KnownGoals without AWS; safe to share between threads. Tests may look at `goals` and change them."""

    def __init__(self, clock: Clock) -> None:
        self.goals: dict[str, dict[str, KnownGoal]] = {}
        self.reads = 0
        self.writes = 0
        self._clock = clock
        self._lock = threading.Lock()

    def newest(self, tenant: str, scope: str) -> list[KnownGoal]:
        """The newest goals that have not expired."""
        with self._lock:
            self.reads += 1
            kept = self.goals.get(keys.goals_key(tenant, scope), {})
            newest = [kept[task_id] for task_id in sorted(kept, reverse=True)[:MAX_KNOWN_GOALS]]
        now_ms = self._clock.now_ms()
        return [goal for goal in newest if goal.is_fresh(now_ms=now_ms)]

    def add(self, tenant: str, scope: str, goal: KnownGoal) -> None:
        """Keep a goal until it expires, in place of an earlier one of its task."""
        with self._lock:
            self.writes += 1
            self.goals.setdefault(keys.goals_key(tenant, scope), {})[goal.task_id] = goal
