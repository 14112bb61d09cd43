"""A task's share of its tenant's day: drawn before a call is sent, given back when the task ends or asks a person."""

from dataclasses import dataclass, field, replace

from ratchet.app.lost_attempts import begins_later, uncounted
from ratchet.budget_ports import TenantBudgets
from ratchet.contracts.errors import (
    AttemptSuperseded,
    ContextOverflow,
    DataMissing,
    DeadlineExceeded,
    ExecutionFailed,
    LimitReached,
    ModelRejected,
    ModelThrottled,
    ModelUnavailable,
)
from ratchet.contracts.messages import Allowance, StepInput, TaskRef
from ratchet.contracts.tenant_caps import TenantCaps
from ratchet.domain.allowance import Move, Need, blocks, day_of
from ratchet.domain.budget import MAX_COST, MAX_TOKENS, TENANT_DAY
from ratchet.domain.steps import End, Paused
from ratchet.domain.task import History
from ratchet.ports import CheckpointStore, Clock

MAX_RACES = 10
"""Moves of other attempts that may come first before this one gives up."""

_ALL_KNOWN = frozenset(
    {
        *(MAX_COST, MAX_TOKENS, TENANT_DAY, "max_steps"),
        *(ModelThrottled.code, ModelUnavailable.code, ModelRejected.code, ContextOverflow.code),
    }
)
"""Ends that only an attempt writes, once it has counted what attempts before it may have lost."""
_GIVEN_UP = frozenset({ExecutionFailed.code, DeadlineExceeded.code})
"""Ends that an attempt writes, and the sweeper, who counts nothing."""


@dataclass(frozen=True, slots=True)
class TenantGovernor:
    """The daily caps of a deployment's tenants; of tenants without one it neither reads nor writes anything."""

    budgets: TenantBudgets | None = None
    caps: TenantCaps = field(default_factory=TenantCaps)

    def open(
        self, event: StepInput, history: History, *, owner: str, clock: Clock
    ) -> "TenantAllowance":
        """The allowance of the task as this attempt finds it.

        The state machine carries it from step to step; if somebody has moved it meanwhile, the next draw tells. Only an
        execution that follows another one asks, and takes the allowance over: what an end gives back at the same time
        must not be spent as well.
        """
        cap = None if self.budgets is None else self.caps.of(event.task.tenant)
        if cap is None:
            return TenantAllowance(self.budgets, clock, event.task, owner, cap)
        lost = sum(record.result.lost.microusd for record in history.records)
        answered = history.totals.cost_microusd - lost
        found = TenantAllowance(
            self.budgets, clock, event.task, owner, cap, answered, event.step.allowance
        )
        if begins_later(event):
            found.take_over()
        return found

    def give_back(self, store: CheckpointStore, ref: TaskRef) -> None:
        """Give the rest back if the task has ended, or asks a person; safe to repeat.

        A task that somebody else ended keeps its rest until the day is over: a call may be under way of which nobody
        will tell. What attempts that lost the race have spent at the last step stays with the task too.
        """
        if self.budgets is None or self.caps.of(ref.tenant) is None:
            return
        for _ in range(MAX_RACES):
            stands = self.budgets.allowance(ref)  # before the task: a new execution takes it over
            tip = _tip(store, ref)
            if stands is None or tip is None or not is_settled(tip):
                return
            last = tip.records[-1]
            charged = tip.totals.cost_microusd + uncounted(store, ref, last).microusd
            left = stands.ceiling_microusd - charged
            if left <= 0:
                return
            after = Allowance(stands.day, charged, f"end-{last.number}")
            if self.budgets.move(ref, Move(stands, after, -left)) == after:
                return


@dataclass(slots=True)
class TenantAllowance:
    """What covers one attempt's calls under its tenant's daily cap; does nothing where there is none."""

    budgets: TenantBudgets | None
    clock: Clock
    ref: TaskRef
    owner: str
    cap_microusd: int | None
    answered_microusd: int = 0
    stands: Allowance | None = None

    def cover(self, spent_microusd: int, worst_microusd: int) -> None:
        """Make sure that the task may be charged the worst case of a call on top of what it is charged.

        Raises:
            LimitReached: the tenant's day has no room for the call.
            AttemptSuperseded: other attempts keep drawing.
        """
        if self.budgets is None or self.cap_microusd is None:
            return
        answered = self.answered_microusd
        need = Need(answered, spent_microusd - answered, worst_microusd)
        for _ in range(MAX_RACES):
            day = day_of(self.clock.now_ms())
            if self.stands is not None and self.stands.covers(day, need.microusd):
                return
            self._draw(self.budgets, day, need)
        raise AttemptSuperseded("other attempts keep drawing on the tenant's day")

    def _draw(self, budgets: TenantBudgets, day: str, need: Need) -> None:
        before = self.stands
        for microusd, ceiling in blocks(before, day, need):
            after = Allowance(day, ceiling, self.owner)
            move = Move(before, after, microusd, self.cap_microusd)
            self.stands = budgets.move(self.ref, move)
            if self.stands != before:
                return
        raise LimitReached(
            f"the next call may cost ${need.worst_microusd / 1e6:.4f}, and what is left of the tenant's daily cap of "
            f"${(self.cap_microusd or 0) / 1e6:.2f} does not pay for it; resume the task tomorrow, or raise the cap",
            TENANT_DAY,
        )

    def take_over(self) -> None:
        """Make the allowance this attempt's: no end gives it back from now on.

        Raises:
            AttemptSuperseded: other attempts keep moving it.
        """
        if self.budgets is None or self.cap_microusd is None:
            return
        self.stands = self.budgets.allowance(self.ref)
        for _ in range(MAX_RACES):
            if self.stands is None or self.stands.owner == self.owner:
                return
            move = Move(self.stands, replace(self.stands, owner=self.owner), 0)
            self.stands = self.budgets.move(self.ref, move)
        raise AttemptSuperseded("other attempts keep moving the task's allowance")


def _tip(store: CheckpointStore, ref: TaskRef) -> History | None:
    try:
        return store.load_tip(ref)
    except DataMissing:
        return None  # what it spent last is not known any more


def is_settled(tip: History) -> bool:
    """Whether every call that was made is known, or counted as lost."""
    if isinstance(tip.next, Paused):
        return True
    if not isinstance(tip.next, End):
        return False
    result, failure = tip.records[-1].result, tip.next.failure
    if result.model is not None or failure is None:
        return result.model is not None
    return failure.code in _ALL_KNOWN or (failure.code in _GIVEN_UP and bool(result.lost))
