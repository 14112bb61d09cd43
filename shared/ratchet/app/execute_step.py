"""Run one step: load, check limits, ask a model, run its tools, commit. The heart of Ratchet.

However often and however late an attempt runs, the step is recorded once: an attempt that finds the step committed
returns the recorded outcome, and one that loses the race to commit adopts the winner's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ratchet.admission_ports import Throttles
from ratchet.app.agents import AgentRegistry
from ratchet.app.lost_attempts import is_wary, uncounted
from ratchet.app.memories import Memories
from ratchet.app.remains import end_unreadable, tip_or_remains
from ratchet.app.similar_goal import GoalPorts
from ratchet.app.step_attempt import Attempted, StepAttempt
from ratchet.app.step_trace import StepTrace
from ratchet.app.step_waits import parked
from ratchet.app.suspensions import nobody
from ratchet.app.tenant_allowance import TenantGovernor
from ratchet.app.warm_histories import WarmHistories
from ratchet.contracts import limits
from ratchet.contracts.charge import NO_CHARGE
from ratchet.contracts.errors import (
    AttemptLost,
    AttemptSuperseded,
    DataMissing,
    StoreUnavailable,
    TimeTooShort,
)
from ratchet.contracts.messages import StepInput, StepOutput, StepRef
from ratchet.contracts.names import Action, TaskStatus
from ratchet.domain.models import ModelCatalogue, built_in
from ratchet.domain.steps import End, Paused, Step, StepRecord
from ratchet.domain.task import History, announce_by, is_let_in
from ratchet.model_ports import ChatModel, ResponseCache
from ratchet.observability import logger
from ratchet.ports import CheckpointStore, Clock, Ids, Metrics


@dataclass(frozen=True, slots=True)
class ExecuteStep:
    """The use case of step_executor: one step, or the end of a task whose step cannot be run."""

    store: CheckpointStore
    chat: ChatModel
    agents: AgentRegistry
    clock: Clock
    ids: Ids
    metrics: Metrics
    warm: WarmHistories
    patience_seconds: int
    clock_margin_seconds: int = limits.CLOCK_MARGIN_SECONDS
    steps_per_execution: int = limits.STEPS_PER_EXECUTION
    models: ModelCatalogue = field(default_factory=built_in)
    throttles: Throttles | None = None
    cache: ResponseCache | None = None
    goals: GoalPorts | None = None
    memories: Memories | None = None
    tenants: TenantGovernor = field(default_factory=TenantGovernor)
    trace: StepTrace | None = None
    is_suspended: Callable[[str], bool] = nobody

    def __call__(self, event: StepInput, *, remaining_seconds: Callable[[], float]) -> StepOutput:
        """Run the step unless it is committed already; what the state machine does next.

        Raises:
            RetryableError: nothing was recorded; the state machine runs the step again.
        """
        if remaining_seconds() < limits.MIN_START_SECONDS:
            raise TimeTooShort("too little of this invocation is left to begin a step")
        if event.failure is None and self.is_suspended(event.task.tenant):
            return self._stand_still(event)
        try:
            history = self._history(event)
        except DataMissing as exc:
            return self._end_unreadable(event, exc)
        if history is None:
            return _unknown(event)
        return self._run(event, history, remaining_seconds)

    def _stand_still(self, event: StepInput) -> StepOutput:
        """What the step of a suspended tenant returns: it waits, but not for a task that cannot go on any more."""
        tip = tip_or_remains(self.store, event.task)
        if tip is None:
            return _unknown(event)  # its tenant was erased
        if isinstance(tip.next, End | Paused):
            return self._after(tip.records[-1], event)
        return parked(event)

    def _run(
        self, event: StepInput, history: History, remaining_seconds: Callable[[], float]
    ) -> StepOutput:
        if len(history.records) >= event.step.number or isinstance(history.next, End | Paused):
            position = min(event.step.number, len(history.records))
            return self._after(history.records[position - 1], event)
        if not is_let_in(history.task, history.state):
            # A dispatcher that stalled with the lock has started it, and another task runs: its turn comes.
            logger.warning("step without the session", extra={"task_id": event.task.task_id})
            status = history.state.status.value
            return StepOutput(event.task, Action.FINISH, event.step, event.execution, status=status)
        if len(history.records) != event.step.number - 1:
            raise DataMissing(f"step {event.step.number} was asked for before its predecessors")
        outcome = self._attempt(event, history, remaining_seconds).run()
        if isinstance(outcome, StepOutput):
            return outcome
        return self._commit(history, outcome, event)

    def _attempt(
        self, event: StepInput, history: History, remaining_seconds: Callable[[], float]
    ) -> StepAttempt:
        return StepAttempt(
            store=self.store,
            chat=self.chat,
            models=self.models,
            agents=self.agents,
            clock=self.clock,
            ids=self.ids,
            patience_seconds=self.patience_seconds,
            clock_margin_seconds=self.clock_margin_seconds,
            tenants=self.tenants,
            event=event,
            history=history,
            remaining_seconds=remaining_seconds,
            throttles=self.throttles,
            cache=self.cache,
            goals=self.goals,
            trace=self.trace,
            memories=self.memories,
        )

    def _history(self, event: StepInput) -> History | None:
        known = self.warm.get(event.task)
        if known is None:
            return self.store.load(event.task)
        if len(known.records) == event.step.number - 1 and event.attempt == 0 and not event.failure:
            return known
        fresh = self.store.load(event.task, after=len(known.records))
        return fresh and replace(fresh, records=known.records + fresh.records)

    def _end_unreadable(self, event: StepInput, error: DataMissing) -> StepOutput:
        """A task whose history cannot be read cannot go on, and must not be guessed at."""
        ended = end_unreadable(self.store, event.task, error, now_ms=self.clock.now_ms())
        if ended is None:
            raise error
        return self._after(ended.records[-1], event)

    def _commit(self, history: History, done: Attempted, event: StepInput) -> StepOutput:
        try:
            return self._committed(history, done, event)
        except (AttemptSuperseded, StoreUnavailable) as exc:
            # Also when it is written and what follows cannot be read: who believes that nothing was spent may trust
            # what a warm sandbox knows, and ask a model again.
            if done.record.result.charged:
                raise AttemptLost(f"{type(exc).__name__}: {exc}") from exc
            raise

    def _committed(self, history: History, done: Attempted, event: StepInput) -> StepOutput:
        record = done.record
        stored = self.store.commit(
            history.task, record, due_at_ms=announce_by(record), effects_of=done.effects_of
        )
        self.warm.put(history.with_record(stored))
        if stored == record:
            self.metrics.step_finished(record, task=history.task)
        else:
            logger.info("step was committed by another attempt", extra={"step": record.number})
            self.tenants.give_back(self.store, event.task)  # if it was the last, nobody else will
        return self._after(
            stored, replace(event, step=replace(event.step, allowance=done.allowance))
        )

    def _after(self, record: StepRecord, event: StepInput) -> StepOutput:
        """Where the state machine goes from a committed step."""
        execution = event.execution
        if not isinstance(record.next, Step):
            following = record.next
            status = following.status if isinstance(following, End) else TaskStatus.INPUT_REQUIRED
            return StepOutput(event.task, Action.FINISH, event.step, execution, status=status.value)
        lost = uncounted(self.store, event.task, record) if is_wary(event) else NO_CHARGE
        step = StepRef(
            record.number + 1,
            record.next.type,
            record.next.complexity,
            lost=lost,
            allowance=event.step.allowance,
        )
        is_full = step.number - execution.first_step >= self.steps_per_execution
        action = Action.ROLL_OVER if is_full else Action.STEP
        if record.warning is not None:
            action = Action.WARN  # a roll-over can wait for one step
        return StepOutput(event.task, action, step, execution)


def _unknown(event: StepInput) -> StepOutput:
    """The end of an execution whose task is gone."""
    logger.error("step of an unknown task", extra={"task_id": event.task.task_id})
    return StepOutput(event.task, Action.FINISH, event.step, event.execution, status="unknown")
