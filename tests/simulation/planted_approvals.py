"""Planted bugs of approvals: calls made without one, other calls than the approved ones, approvals used twice."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ratchet.app import approved_calls, step_attempt, sweep_tasks
from ratchet.app.step_attempt import StepAttempt
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.app.tool_runner import PlannedCall
from ratchet.contracts.names import ApprovalAnswer, Purpose
from ratchet.domain import verdicts
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import Decision, Step, summary_position
from ratchet.domain.tools import Tool
from tests.simulation.bugs import Bug, swap, wrap


def _makes_at_once(*_: Any, **__: Any) -> bool:
    return False


def _ignores_the_edit(original: Any, tip: Any, call: Any, decision: Any) -> Any:
    return replace(original(tip, call, decision), arguments=call.arguments)


def _asks_for_nothing(_history: Any, agent: Any, call: Any) -> PlannedCall:
    """The digest of what is about to be made is not looked at."""
    tool = agent.toolbox[call.tool]
    asked = ToolCall(call.call_id, call.tool, call.arguments)
    return PlannedCall(asked, tool, tool.parse(call.arguments))


def _makes_twice(original: Any, attempt: Any, *args: Any) -> Any:
    result, following, has_effects = original(attempt, *args)
    calls = attempt.history.next.calls
    is_first = attempt.history.records[-1].result.purpose is not Purpose.CALLS
    if is_first and isinstance(following, Step):
        following = replace(following, purpose=Purpose.CALLS, calls=calls)
    return result, following, has_effects


def _forgets(original: Any, history: Any, agent: Any) -> bool:
    """What was before the last summary counts no more."""
    since = summary_position(history.results) or 0
    return bool(original(replace(history, records=history.records[since:]), agent))


def _approves_in_silence(original: Any, sweep: Any, tip: Any) -> None:
    def says(interrupt_id: str, _answer: str, *, by: str) -> Decision:
        return Decision(interrupt_id, ApprovalAnswer.APPROVE, by=by)

    with swap(sweep_tasks, "Decision", says)():
        original(sweep, tip)


def _rejects_nothing(original: Any, tip: Any, about: Any, decision: Any) -> Any:
    """A refusal lets the call happen."""
    if decision.answer == ApprovalAnswer.REJECT:
        return original(tip, about, replace(decision, answer=ApprovalAnswer.APPROVE))
    return original(tip, about, decision)


def _loses_the_approved(original: Any, tip: Any, about: Any, approved: Any = None) -> Any:
    """Of several approved calls the last one is made."""
    following = original(tip, about, approved)
    return _with_last(following)


def _with_last(following: Any) -> Any:
    if isinstance(following, Step):
        return replace(following, calls=following.calls[-1:])
    return replace(following, then=_with_last(following.then))


any_action = swap(approved_calls, "_checked", _asks_for_nothing)
"""A net: what is made is the very action that was approved."""
BUGS: Sequence[Bug] = (
    Bug("call made before it is approved", (swap(Tool, "needs_approval", _makes_at_once),)),
    Bug(
        "edited arguments ignored",
        (wrap(verdicts, "_edited", _ignores_the_edit),),
        ("the approved action",),
        ("edited",),
    ),
    Bug(
        "edited arguments ignored, and noticed",
        (wrap(verdicts, "_edited", _ignores_the_edit),),
        (),
        ("edited",),
    ),
    Bug(
        "approval used twice",
        (wrap(StepAttempt, "_make_approved", _makes_twice),),
        (),
        ("approved", "edited"),
    ),
    Bug(
        "taint forgotten after a summary",
        (wrap(step_attempt, "is_tainted", _forgets),),
        (),
        ("tainted-summary",),
    ),
    Bug(
        "silence taken for approval",
        (wrap(SweepTasks, "_close", _approves_in_silence),),
        (),
        ("nobody-approves",),
    ),
    Bug(
        "refusal taken for approval",
        (wrap(verdicts, "_of_approval", _rejects_nothing),),
        ("the approved action",),
        ("rejected",),
    ),
    Bug(
        "one approved call lost",
        (wrap(verdicts, "_left", _loses_the_approved),),
        (),
        ("edited", "approved-silence"),
    ),
)
