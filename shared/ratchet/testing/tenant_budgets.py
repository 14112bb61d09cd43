"""Tenants' daily budgets in memory."""

import threading
from collections import Counter

from ratchet.contracts.messages import Allowance, TaskRef
from ratchet.domain import keys
from ratchet.domain.allowance import Move


class InMemoryTenantBudgets:
    """The TenantBudgets without AWS; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._allowances: dict[str, Allowance] = {}
        self._given: Counter[tuple[str, str]] = Counter()

    def allowance(self, ref: TaskRef) -> Allowance | None:
        """What the task has been given; None if nothing."""
        with self._lock:
            return self._allowances.get(keys.task_key(ref))

    def move(self, ref: TaskRef, move: Move) -> Allowance | None:
        """Change the task's allowance and the day that it is of; what stands now."""
        task, day = keys.task_key(ref), (keys.tenant_budget_key(ref.tenant), move.after.day)
        with self._lock:
            stands = self._allowances.get(task)
            if stands != move.before:
                return stands
            given = self._given[day] + move.microusd
            if move.microusd > 0 and move.cap_microusd is not None and given > move.cap_microusd:
                return stands
            self._allowances[task] = move.after
            self._given[day] = given
            return move.after

    def given_microusd(self, tenant: str, day: str) -> int:
        """What was given away of a day so far."""
        with self._lock:
            return self._given[keys.tenant_budget_key(tenant), day]
