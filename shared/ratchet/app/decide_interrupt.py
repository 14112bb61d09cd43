"""Decide an interrupt: a person's answer is a step of the log. The first one counts."""

import json
from dataclasses import dataclass
from typing import assert_never

from ratchet.app.decision_log import write_decision
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import ApprovalAnswer, InterruptKind
from ratchet.contracts.request_errors import (
    InterruptDecided,
    InterruptExpired,
    InterruptNotFound,
    InvalidRequest,
)
from ratchet.domain.approvals import canonical
from ratchet.domain.identifiers import is_task_id
from ratchet.domain.steps import Decision, Interrupt, Paused, StepRecord
from ratchet.domain.task import History
from ratchet.domain.verdicts import decision_record, limits_after, needs_history, with_digest
from ratchet.ports import CheckpointStore, Clock, Inbox

MAX_RACES = 5
"""Decisions of other interrupts that may come first before this one gives up and asks for another try."""


@dataclass(frozen=True, slots=True)
class DecideInterrupt:
    """The use case of `POST /v1/tasks/{task_id}/interrupts/{interrupt_id}`."""

    store: CheckpointStore
    inbox: Inbox
    outbox: Inbox
    clock: Clock

    def __call__(
        self, ref: TaskRef, interrupt_id: str, request: DecisionRequest, *, by: str = ""
    ) -> History:
        """Record the answer of `by`; once none is missing, the task goes on. The same answer again: the same result.

        The task's deadline counts from the last answer on.

        Raises:
            InterruptNotFound: this tenant has no such task, or it never asked that.
            InterruptDecided: somebody has answered otherwise.
            InterruptExpired: nobody answered in time, or the task has ended since.
            InvalidRequest: the answer does not fit the question.
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
            decision = with_digest(tip, interrupt, decision_of(interrupt, request, by=by))
            record = self._write(tip, interrupt, decision)
            if record is not None:
                return self.store.load_tip(ref) or tip.with_record(record)
        raise StoreUnavailable("other decisions kept coming first; send it again")

    def _write(self, tip: History, interrupt: Interrupt, decision: Decision) -> StepRecord | None:
        """The decision as a step; None if its number was taken."""
        history = self.store.load(tip.task.ref) if needs_history(interrupt, decision) else None
        now_ms = self.clock.now_ms()
        record = decision_record(tip, interrupt, decision, now_ms=now_ms, history=history)
        limits = limits_after(tip, interrupt, decision)
        queues = {"inbox": self.inbox, "outbox": self.outbox}
        return record if write_decision(self.store, tip, record, limits=limits, **queues) else None

    def _decided_before(self, tip: History, interrupt_id: str, request: DecisionRequest) -> History:
        history = self.store.load(tip.task.ref)
        records = history.records if history is not None else ()
        asked = (i for r in records if isinstance(r.next, Paused) for i in r.next.interrupts)
        interrupt = next((i for i in asked if i.id == interrupt_id), None)
        if interrupt is None:
            raise _never_asked(interrupt_id)
        made = [r.result.decision for r in records if r.result.decision is not None]
        first = next((d for d in made if d.interrupt_id == interrupt_id), None)
        if first is None or first.is_expiry:
            raise _closed(tip)
        if first.is_same_as(decision_of(interrupt, request, by="")):
            return tip
        # An error is for logs too, and what a person writes in answer to an agent is for neither.
        answer = "" if interrupt.kind is InterruptKind.QUESTION else f" with {first.answer!r}"
        raise InterruptDecided(
            f"it was answered{answer}, which counts; GET /v1/tasks/{tip.task.ref.task_id}/steps tells by whom"
        )


def decision_of(interrupt: Interrupt, request: DecisionRequest, *, by: str) -> Decision:
    """What the request says about this interrupt.

    Raises:
        InvalidRequest: it does not fit what was asked.
    """
    match interrupt.kind:
        case InterruptKind.EFFECT_UNKNOWN | InterruptKind.BUDGET:
            return Decision(interrupt.id, _choice(interrupt, request), by=by)
        case InterruptKind.QUESTION:
            if interrupt.choices:
                return Decision(interrupt.id, _choice(interrupt, request), by=by)
            return Decision(interrupt.id, _text(request), by=by)
        case InterruptKind.APPROVAL:
            return _approval(interrupt, request, by)
        case _ as never:
            assert_never(never)


def _approval(interrupt: Interrupt, request: DecisionRequest, by: str) -> Decision:
    said = request.answer if request.decision == "answer" else request.decision
    if said not in interrupt.choices:
        raise InvalidRequest(f"decision: choose one of {', '.join(interrupt.choices)}")
    reason = request.reason or ""
    if said != ApprovalAnswer.EDIT:
        if request.arguments is not None:
            raise InvalidRequest("arguments: only `edit` takes other arguments; leave them out")
        return Decision(interrupt.id, said, reason=reason, by=by)
    if request.arguments is None:
        raise InvalidRequest("arguments: say with which arguments the tool is to be called instead")
    try:
        arguments = canonical(json.dumps(request.arguments, allow_nan=False))
    except ValueError:
        raise InvalidRequest("arguments: NaN and Infinity are no JSON") from None
    return Decision(interrupt.id, said, arguments, reason=reason, by=by)


def _choice(interrupt: Interrupt, request: DecisionRequest) -> str:
    answer = _text(request)
    if answer not in interrupt.choices:
        is_agents = interrupt.kind is InterruptKind.QUESTION
        known = "the question's choices" if is_agents else ", ".join(interrupt.choices)
        raise InvalidRequest(f"answer: choose one of {known}")
    return answer


def _text(request: DecisionRequest) -> str:
    if request.decision != "answer" or request.arguments is not None:
        raise InvalidRequest("decision: nothing is to be approved here; send {answer: ...}")
    if request.answer is None:
        raise InvalidRequest("answer: is required")
    return request.answer


def _open(tip: History, interrupt_id: str) -> Interrupt | None:
    asked = tip.next.interrupts if isinstance(tip.next, Paused) else ()
    return next((i for i in asked if i.id == interrupt_id), None)


def _never_asked(interrupt_id: str) -> InterruptNotFound:
    return InterruptNotFound(
        f"there is no question {interrupt_id[:64]!r} of this task; GET /v1/interrupts lists yours"
    )


def _closed(tip: History) -> InterruptExpired:
    return InterruptExpired(
        f"the question is closed and the task is {tip.state.status.value}; a task that failed can be resumed"
    )
