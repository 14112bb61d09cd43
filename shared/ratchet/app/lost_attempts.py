"""What attempts that broke off may have spent at a step: every call is covered before it is made.

The first call of a step is covered without a write: whoever runs the step after a lost attempt can tell what that call
cost at the most. Any other call, and every call of an attempt that follows a lost one, is written down first as the
step's reservation, which covers all calls of all its attempts. It can grow only while the step is not committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.contracts.charge import NO_CHARGE, Charge
from ratchet.contracts.errors import (
    AttemptSuperseded,
    DeadlineExceeded,
    ExecutionFailed,
    LimitReached,
    retryable_error_names,
)
from ratchet.contracts.messages import StepInput, TaskRef
from ratchet.domain.budget import worst_case
from ratchet.domain.models import ModelCatalogue
from ratchet.domain.steps import End, StepPlan, StepRecord, StepResult, Totals
from ratchet.domain.task import History, Task
from ratchet.ports import CheckpointStore, Reserved

NEVER_RAN = frozenset({"Lambda.TooManyRequestsException", *retryable_error_names()})
"""Errors of an invocation that surely spent nothing."""


def is_wary(event: StepInput) -> bool:
    """Whether other attempts at the step may have been made, or still go on; on the usual path nobody has to look."""
    return bool(event.attempt or event.step.waits or event.failure or begins_later(event))


def begins_later(event: StepInput) -> bool:
    """Whether the step is the first of an execution that follows another one."""
    execution = event.execution
    return execution.generation > 1 and event.step.number == execution.first_step


@dataclass(slots=True)
class Reservation:
    """What covers the calls of this attempt (`owner`) and of those before it (`others`)."""

    store: CheckpointStore
    ref: TaskRef
    step: int
    owner: str
    stands: Reserved | None = None
    others: Charge = NO_CHARGE
    follows_lost: bool = False
    has_called: bool = False

    @classmethod
    def open(
        cls, store: CheckpointStore, event: StepInput, history: History, *, owner: str
    ) -> "Reservation":
        """The step's reservation as this attempt finds it."""
        if not is_wary(event):
            return cls(store, event.task, event.step.number, owner)
        stands = store.reserved(event.task, step=event.step.number)
        return cls(
            store,
            event.task,
            event.step.number,
            owner,
            stands,
            others=NO_CHARGE if stands is None else stands.charge,
            follows_lost=stands is None and _follows_lost(event, history.records),
        )

    @property
    def charge(self) -> Charge:
        """What is written."""
        return NO_CHARGE if self.stands is None else self.stands.charge

    def cover(self, own: Charge, worst: Charge) -> None:
        """Cover a call before it is made, on top of what this attempt has spent.

        Raises:
            AttemptSuperseded: another attempt is at work, or the step is committed.
        """
        is_first = not (self.follows_lost or self.stands or self.has_called)
        if not is_first:
            self._write(self.others + own + worst)

    def settle(self, own: Charge) -> None:
        """No call is under way and nothing is committed: leave behind what has been spent, no more.

        Raises:
            AttemptSuperseded: another attempt is at work, or the step is committed.
        """
        total = self.others + own
        if total != self.charge:
            self._write(total)

    def _write(self, charge: Charge) -> None:
        after = Reserved(charge, self.owner)
        if not self.store.reserve(self.ref, step=self.step, before=self.stands, after=after):
            raise AttemptSuperseded(f"another attempt at step {self.step} has spent since")
        self.stands = after


def _follows_lost(event: StepInput, records: Sequence[StepRecord]) -> bool:
    """Whether an attempt without a reservation may have been lost while its first call was under way."""
    if event.failure is not None and event.failure.split(":")[0] not in NEVER_RAN:
        return True
    if event.attempt:
        return True
    return begins_later(event) and (event.execution.restarts > 0 or _was_ended(records))


def _was_ended(records: Sequence[StepRecord]) -> bool:
    """Whether the task goes on from an end that somebody wrote in place of a step that could not be run."""
    for record in reversed(records):
        if isinstance(record.next, End) and record.next.failure is not None:
            is_counted = record.result.model or record.result.lost
            codes = (ExecutionFailed.code, DeadlineExceeded.code)
            return not is_counted and record.next.failure.code in codes
        if record.result.model:
            return False
    return False


def carried(store: CheckpointStore, event: StepInput, history: History) -> Charge:
    """What was spent at earlier steps without their records knowing of it: by attempts that lost the race."""
    if not begins_later(event):
        return event.step.lost
    found = NO_CHARGE
    for record in reversed(history.records):
        found += uncounted(store, event.task, record)
        if record.result.model or record.result.lost:
            break
    return found


def uncounted(store: CheckpointStore, ref: TaskRef, record: StepRecord) -> Charge:
    """What is reserved for a committed step beyond what its record accounts for."""
    reserved = store.reserved(ref, step=record.number)
    return NO_CHARGE if reserved is None else unaccounted(reserved.charge, record.result)


def unaccounted(reserved: Charge, known: StepResult | StepPlan) -> Charge:
    """What of a reservation is for calls that a record, or a plan, does not account for."""
    # For an attempt that reserved nothing, those after it have reserved at least what its one call took.
    # Dollars and tokens apart: there are records from before tokens were reserved.
    return reserved.beyond(
        Charge(
            known.reserved.microusd or known.cost_microusd,
            known.reserved.tokens or known.usage.total_tokens,
        )
    )


def dearest_call(
    catalogue: ModelCatalogue,
    models: Sequence[str],
    task: Task,
    spent: Totals,
    *,
    input_tokens: int,
) -> Charge:
    """What the first call of an attempt was charged at the most, whichever model of its route it went to."""
    worst = NO_CHARGE
    for name in models:
        if name in catalogue:
            try:
                _, charge = worst_case(catalogue.spec(name), task, spent, input_tokens=input_tokens)
            except LimitReached:
                continue  # it was not called
            worst = worst.at_least(charge)
    return worst
