"""What follows from a decision about an interrupt, by its kind: pure, and the same for a person and for the clock."""

from dataclasses import dataclass, replace
from typing import assert_never

from ratchet.contracts.errors import EffectOutcomeUnknown
from ratchet.contracts.names import (
    ApprovalAnswer,
    BudgetAnswer,
    EffectAnswer,
    InterruptKind,
    Purpose,
    StepType,
    TaskStatus,
)
from ratchet.domain.approvals import edited
from ratchet.domain.budget_question import finish, raised
from ratchet.domain.messages import Message
from ratchet.domain.steps import (
    Decision,
    End,
    Failure,
    HeldCall,
    Interrupt,
    Paused,
    Step,
    StepRecord,
    StepResult,
    ToolRun,
)
from ratchet.domain.task import History, TaskLimits, closing_messages, step_after

_LOOKED = {
    EffectAnswer.HAPPENED: "A person has looked: this call happened. Do not make it again.",
    EffectAnswer.DID_NOT_HAPPEN: "error: this call did not happen, as a person has found out. Make it again if it is "
    "still needed.",
}
REFUSED = "error: not called: a person refused this call"
UNDECIDED = "error: not called: nobody approved this call in time"
NO_ANSWER = "error: nobody answered in time; go on without an answer, or say what you could not do"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a decision adds to the conversation, and what follows it."""

    next: Step | Paused | End
    messages: tuple[Message, ...] = ()
    tool_runs: tuple[ToolRun, ...] = ()


def may_expire(paused: Paused) -> bool:
    """Whether the task goes on by itself once its questions are closed: not while it asks what became of a call."""
    kinds = {interrupt.kind for interrupt in paused.interrupts}
    return kinds <= {InterruptKind.APPROVAL, InterruptKind.QUESTION}


def with_digest(tip: History, about: Interrupt, decision: Decision) -> Decision:
    """The decision with the digest of the action that it lets happen, if it does."""
    if about.call is None:
        return decision
    if decision.answer == ApprovalAnswer.APPROVE:
        return replace(decision, digest=about.call.digest)
    if decision.answer == ApprovalAnswer.EDIT:
        return replace(decision, digest=_edited(tip, about.call, decision).digest)
    return decision


def needs_history(about: Interrupt, decision: Decision) -> bool:
    """Whether what follows depends on more than the last step."""
    return about.kind is InterruptKind.BUDGET and decision.answer == BudgetAnswer.FINISH


def limits_after(tip: History, about: Interrupt, decision: Decision) -> TaskLimits:
    """The limits from now on."""
    if about.kind is InterruptKind.BUDGET and decision.answer == BudgetAnswer.RAISE:
        return raised(tip.task.limits, about.call_id) or tip.task.limits
    return tip.task.limits


def decision_record(
    tip: History,
    about: Interrupt,
    decision: Decision,
    *,
    now_ms: int,
    history: History | None = None,
) -> StepRecord:
    """The step that a decision about an open question is; `history` is the whole one, where it is needed."""
    then, verdict = step_after(tip), _verdict(tip, about, decision, history or tip)
    return StepRecord(
        number=tip.next_number,
        result=StepResult(
            then.type,
            then.complexity,
            messages=verdict.messages,
            tool_runs=verdict.tool_runs,
            decision=decision,
            agent_version=tip.records[-1].result.agent_version,
        ),
        next=verdict.next,
        totals=tip.totals,
        attempt=0,
        started_at_ms=now_ms,
        finished_at_ms=now_ms,
    )


def _verdict(tip: History, about: Interrupt, decision: Decision, history: History) -> Verdict:
    match about.kind:
        case InterruptKind.EFFECT_UNKNOWN:
            return _of_effect(tip, about, EffectAnswer(decision.answer))
        case InterruptKind.APPROVAL:
            return _of_approval(tip, about, decision)
        case InterruptKind.QUESTION:
            return _of_question(tip, about, decision)
        case InterruptKind.BUDGET:
            if decision.answer == BudgetAnswer.RAISE:
                return Verdict(_left(tip, about))
            return Verdict(finish(history, about, f"a person chose to finish: {about.question}"))
        case _ as never:
            assert_never(never)


def _of_effect(tip: History, about: Interrupt, answer: EffectAnswer) -> Verdict:
    if answer is EffectAnswer.ABORT:
        message = f"a person ended the task instead of answering: {about.question}"
        failure = Failure(EffectOutcomeUnknown.code, message)
        return Verdict(End(TaskStatus.FAILED, failure=failure), closing_messages(tip))
    return Verdict(_left(tip, about), (_tool_message(about, _LOOKED[answer]),))


def _of_approval(tip: History, about: Interrupt, decision: Decision) -> Verdict:
    call = about.call
    if call is None:
        raise TypeError(f"{about.id} is about no call")
    if decision.answer == ApprovalAnswer.APPROVE:
        return Verdict(_left(tip, about, call))
    if decision.answer == ApprovalAnswer.EDIT:
        return Verdict(_left(tip, about, _edited(tip, call, decision)))
    text = UNDECIDED if decision.is_expiry else REFUSED
    told = f"{text}: {decision.reason}" if decision.reason else text
    return _answered(tip, about, told, ok=False)


def _of_question(tip: History, about: Interrupt, decision: Decision) -> Verdict:
    if decision.is_expiry:
        return _answered(tip, about, NO_ANSWER, ok=False)
    return _answered(tip, about, decision.answer, ok=True)


def _answered(tip: History, about: Interrupt, text: str, *, ok: bool) -> Verdict:
    """The call has its result, without having been made."""
    name = about.call.tool if about.call else ""
    run = ToolRun(about.call_id, name, ok, 0)
    return Verdict(_left(tip, about), (_tool_message(about, text),), (run,))


def _edited(tip: History, call: HeldCall, decision: Decision) -> HeldCall:
    arguments = decision.arguments or "{}"
    return edited(tip.task.ref, call, arguments, version=tip.agent_version)


def _left(tip: History, about: Interrupt, approved: HeldCall | None = None) -> Step | Paused:
    """What is still asked, or else the step that follows; an approved call is made once nothing is asked any more."""
    if not isinstance(tip.next, Paused):
        raise TypeError(f"{tip.task.ref.task_id} asks nothing")
    then = tip.next.then
    if approved is not None:
        calls = (*then.calls, approved)
        then = Step(StepType.TOOL_DISPATCH, then.complexity, Purpose.CALLS, calls)
    left = tuple(i for i in tip.next.interrupts if i.id != about.id)
    return Paused(left, then) if left else then


def _tool_message(about: Interrupt, text: str) -> Message:
    return Message("tool", text, tool_call_id=about.call_id)
