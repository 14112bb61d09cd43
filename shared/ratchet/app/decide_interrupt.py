"""Decide an interrupt: a person's answer is a step of the log. The first one counts."""

from dataclasses import dataclass

from ratchet.contracts.api import DecisionRequest
from ratchet.contracts.errors import (
    EffectOutcomeUnknown,
    InterruptDecided,
    InterruptExpired,
    InterruptNotFound,
    InvalidRequest,
    StoreUnavailable,
)
from ratchet.contracts.limits import RING_AGAIN_SECONDS
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import BudgetAnswer, EffectAnswer, InterruptKind, TaskStatus
from ratchet.domain.budget_question import finish, raised
from ratchet.domain.keys import is_task_id
from ratchet.domain.messages import Message
from ratchet.domain.steps import (
    Decision,
    End,
    Failure,
    Interrupt,
    Paused,
    Step,
    StepRecord,
    StepResult,
)
from ratchet.domain.task import UNANSWERED, History, TaskLimits, announce_by, step_after
from ratchet.observability import logger
from ratchet.ports import CheckpointStore, Clock, Inbox, Reopening

MAX_RACES = 5
"""Decisions of other interrupts that may come first before this one gives up and asks for another try."""

_TOLD = {
    EffectAnswer.HAPPENED: "A person has looked: this call happened. Do not make it again.",
    EffectAnswer.DID_NOT_HAPPEN: "error: this call did not happen, as a person has found out. Make it again if it is "
    "still needed.",
    EffectAnswer.ABORT: UNANSWERED,
}


@dataclass(frozen=True, slots=True)
class DecideInterrupt:
    """The use case of `POST /v1/tasks/{task_id}/interrupts/{interrupt_id}`."""

    store: CheckpointStore
    inbox: Inbox
    outbox: Inbox
    clock: Clock

    def __call__(self, ref: TaskRef, interrupt_id: str, request: DecisionRequest) -> History:
        """Record the answer; once none is missing, the task goes on. The same answer again: the same result.

        The task's deadline counts from the last answer on.

        Raises:
            InterruptNotFound: this tenant has no such task, or it never asked that.
            InterruptDecided: somebody has answered otherwise.
            InterruptExpired: nobody answered in time, or the task has ended since.
            InvalidRequest: the answer is none of the choices.
            StoreUnavailable: send the same request again.
        """
        for _ in range(MAX_RACES):
            tip = self.store.load_tip(ref) if is_task_id(ref.task_id) else None
            if tip is None:
                raise _never_asked(interrupt_id)
            interrupt = _open(tip, interrupt_id)
            if interrupt is None:
                return self._decided_before(tip, interrupt_id, request)
            if self.clock.now_ms() >= interrupt.expires_at_ms:
                raise _closed(tip)
            record = self._record(tip, interrupt, request)
            if self._write(tip, record, _limits(tip, interrupt, request.answer)):
                return self.store.load_tip(ref) or tip.with_record(record)
        raise StoreUnavailable("other decisions kept coming first; send it again")

    def _record(self, tip: History, interrupt: Interrupt, request: DecisionRequest) -> StepRecord:
        answer, then = request.answer, step_after(tip)
        if answer not in interrupt.choices:
            raise InvalidRequest(f"answer: choose one of {', '.join(interrupt.choices)}")
        now = self.clock.now_ms()
        return StepRecord(
            number=tip.next_number,
            result=StepResult(
                then.type,
                then.complexity,
                messages=_told(tip, interrupt, answer),
                decision=Decision(interrupt.id, answer),
                agent_version=tip.records[-1].result.agent_version,
            ),
            next=self._next(tip, interrupt, answer),
            totals=tip.totals,
            attempt=0,
            started_at_ms=now,
            finished_at_ms=now,
        )

    def _next(self, tip: History, decided: Interrupt, answer: str) -> Step | Paused | End:
        if decided.kind is InterruptKind.BUDGET and answer == BudgetAnswer.FINISH:
            history = self.store.load(tip.task.ref) or tip
            return finish(history, decided, f"a person chose to finish: {decided.question}")
        return _next(tip, decided, answer)

    def _write(self, tip: History, record: StepRecord, limits: TaskLimits) -> bool:
        """Whether the record took its number; then somebody is rung for."""
        ref, at_ms = tip.task.ref, record.finished_at_ms
        if isinstance(record.next, Step):
            due_at_ms = at_ms + RING_AGAIN_SECONDS * 1000
            if not self.store.reopen(tip, Reopening(record, limits, at_ms, due_at_ms)):
                return False
            self._ring(self.inbox, Doorbell(ref, tip.state.generation + 1))
            return True
        if self.store.commit(tip.task, record, due_at_ms=announce_by(record)) != record:
            return False
        self._ring(self.outbox, Doorbell(ref))
        return True

    def _ring(self, queue: Inbox, bell: Doorbell) -> None:
        try:
            queue.send(bell)
        except StoreUnavailable:
            # The task is due: the sweeper rings again.
            logger.warning("doorbell failed", extra={"task_id": bell.task.task_id})

    def _decided_before(self, tip: History, interrupt_id: str, request: DecisionRequest) -> History:
        history = self.store.load(tip.task.ref)
        records = history.records if history is not None else ()
        decisions = [r.result.decision for r in records if r.result.decision is not None]
        for decision in decisions:
            if decision.interrupt_id == interrupt_id:
                if decision.answer == request.answer:
                    return tip
                raise InterruptDecided(f"it was answered with {decision.answer!r}, which counts")
        asked = [r.next for r in records if isinstance(r.next, Paused)]
        if any(i.id == interrupt_id for paused in asked for i in paused.interrupts):
            raise _closed(tip)
        raise _never_asked(interrupt_id)


def _open(tip: History, interrupt_id: str) -> Interrupt | None:
    asked = tip.next.interrupts if isinstance(tip.next, Paused) else ()
    return next((i for i in asked if i.id == interrupt_id), None)


def _limits(tip: History, decided: Interrupt, answer: str) -> TaskLimits:
    """The limits from now on."""
    if decided.kind is InterruptKind.BUDGET and answer == BudgetAnswer.RAISE:
        return raised(tip.task.limits, decided.call_id) or tip.task.limits
    return tip.task.limits


def _told(tip: History, decided: Interrupt, answer: str) -> tuple[Message, ...]:
    """What the agent is told; when the task ends here, also of the calls that were still asked about."""
    if decided.kind is InterruptKind.BUDGET:
        return ()
    asked = tip.next.interrupts if isinstance(tip.next, Paused) else ()
    about = asked if answer == EffectAnswer.ABORT else (decided,)
    told = _TOLD[EffectAnswer(answer)]
    return tuple(Message("tool", told, tool_call_id=i.call_id) for i in about)


def _next(tip: History, decided: Interrupt, answer: str) -> Step | Paused | End:
    if not isinstance(tip.next, Paused):
        raise TypeError(f"{tip.task.ref.task_id} asks nothing")
    if answer == EffectAnswer.ABORT:
        message = f"a person ended the task instead of answering: {decided.question}"
        return End(TaskStatus.FAILED, failure=Failure(EffectOutcomeUnknown.code, message))
    left = tuple(i for i in tip.next.interrupts if i.id != decided.id)
    return Paused(left, tip.next.then) if left else tip.next.then


def _never_asked(interrupt_id: str) -> InterruptNotFound:
    return InterruptNotFound(
        f"there is no question {interrupt_id[:64]!r} of this task; GET /v1/interrupts lists yours"
    )


def _closed(tip: History) -> InterruptExpired:
    return InterruptExpired(
        f"the question is closed and the task is {tip.state.status.value}; a task that failed can be resumed"
    )
