"""Where a task can be forked, and what the fork inherits: pure functions of the committed steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from ratchet.contracts.charge import NO_CHARGE
from ratchet.contracts.errors import EffectOutcomeUnknown
from ratchet.contracts.request_errors import InvalidRequest, TaskNotForkable
from ratchet.domain.messages import Message
from ratchet.domain.models import Usage
from ratchet.domain.steps import End, Paused, Step, StepResult
from ratchet.domain.task import History

FORK_MARK = "[ratchet:fork]"
MAX_IDS_NAMED = 20


@dataclass(frozen=True, slots=True)
class ForkPoint:
    """The work up to a step, and the step that followed it."""

    step: int
    inherited: tuple[StepResult, ...]
    next: Step


def fork_point(history: History, step: int | None) -> ForkPoint:
    """What a fork from that step (None: the last one) begins with. A step that ended the task is done again.

    Raises:
        InvalidRequest: no such step is committed.
        TaskNotForkable: what that step did is not known.
    """
    last = len(history.records)
    wanted = last if step is None else step
    if not 0 <= wanted <= last:
        raise InvalidRequest(
            f"step: {str(step)[:20]} is not a committed step of this task; "
            f"choose one from 0 (its beginning) to {last}"
        )
    number, following = _followed(history, wanted)
    own = len(history.results) - last
    inherited = tuple(_unpaid(r) for r in history.results[: own + number] if r.messages)
    waiting = _unanswered(inherited)
    if waiting:
        raise TaskNotForkable(
            f"step {number} waits for the result of {_named(waiting)}; fork from an earlier step"
        )
    return ForkPoint(number, inherited, following)


def with_answers(
    inherited: tuple[StepResult, ...], answers: Mapping[str, str]
) -> tuple[StepResult, ...]:
    """The work as if these tool calls had answered so. Of calls with the same id the latest is meant.

    Raises:
        InvalidRequest: there is no such call.
    """
    known = [m.tool_call_id for r in inherited for m in r.messages if m.tool_call_id is not None]
    unknown = sorted(set(answers) - set(known))
    if unknown:
        there_are = f"the calls up to that step are {_named(known)}" if known else "it has no calls"
        raise InvalidRequest(f"tool_answers: no call has the id {_named(unknown)}; {there_are}")
    left, changed = dict(answers), []
    for result in reversed(inherited):
        messages = [_answered(message, left) for message in reversed(result.messages)]
        changed.append(replace(result, messages=tuple(reversed(messages))))
    return tuple(reversed(changed))


def instruction(text: str, *, before: Step) -> StepResult:
    """What whoever forks says to the agent before its first step; no work, so no policy counts it."""
    said = Message("user", f"{FORK_MARK} {text}")
    return StepResult(before.type, before.complexity, messages=(said,))


def _followed(history: History, number: int) -> tuple[int, Step]:
    """The last step up to that one after which the task went on, and what it went on with."""
    if number == 0:
        return 0, history.task.first_step
    following = history.records[number - 1].next
    match following:
        case Step():
            return number, following
        case Paused(then=then):
            return number, then  # its open question is an answer that is missing
        case End():
            failure = following.failure
            if failure is not None and failure.code == EffectOutcomeUnknown.code:
                raise TaskNotForkable(
                    f"whether a call of step {number} happened is not known, and a fork may make it again: "
                    f"{failure.message}; or fork from step {number - 1} if a second call does no harm"
                )
            return _followed(history, number - 1)
        case _ as never:
            assert_never(never)


def _unpaid(result: StepResult) -> StepResult:
    """The parent has paid for it; whoever adds up the fork's steps must not find it again."""
    free = replace(result, model=None, reason="", usage=Usage(), cost_microusd=0)
    return replace(free, lost=NO_CHARGE, reserved=NO_CHARGE)


def _unanswered(inherited: tuple[StepResult, ...]) -> list[str]:
    waiting: dict[str, None] = {}
    for message in (m for result in inherited for m in result.messages):
        waiting |= dict.fromkeys(call.id for call in message.tool_calls)
        waiting.pop(message.tool_call_id or "", None)
    return list(waiting)


def _answered(message: Message, left: dict[str, str]) -> Message:
    text = left.pop(message.tool_call_id or "", None)
    return message if text is None else replace(message, content=text)


def _named(ids: Sequence[str]) -> str:
    named = ", ".join(call_id[:64] for call_id in ids[-MAX_IDS_NAMED:])
    return f"..., {named}" if len(ids) > MAX_IDS_NAMED else named
