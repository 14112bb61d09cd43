"""Why a step goes to the complex route although it is a simple one: once, and for that step alone.

Three reasons: its answers stay unusable after the repairs; the agent's own check has little confidence in its answer;
the agent repeats itself. All follow from the checkpoints and the answers: an attempt that runs again decides the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from json import dumps, loads

from ratchet.contracts.limits import REPEATS_BEFORE_END, REPEATS_BEFORE_ESCALATION
from ratchet.domain.steps import StepResult


@dataclass(frozen=True, slots=True)
class Escalate:
    """The step begins on the complex route; `reason` is what its record says."""

    reason: str


def before_step(work: Sequence[StepResult]) -> Escalate | None:
    """Whether the step that follows this work begins on the complex route.

    The step right after the third same exchange does. One that repeats it all the same is not escalated again: a loop
    that the better model does not leave is for `stuck` to end.
    """
    if not work or not work[-1].tool_runs:
        return None
    times = repetitions(work)
    if times != REPEATS_BEFORE_ESCALATION:
        return None
    return Escalate(f"the same call of {_names(work[-1])} with the same result {times} times")


def stuck(work: Sequence[StepResult]) -> str | None:
    """Why a task must end with the last step of this work, and what to do about it; None if it may go on."""
    if not work or not work[-1].tool_runs:
        return None
    times = repetitions(work)
    if times < REPEATS_BEFORE_END:
        return None
    return (
        f"{_names(work[-1])}: called {times} times in a row with the same arguments, with the same result each time; "
        "say in the agent's instructions what to do then, or set loop_guard=False if it is meant to poll"
    )


def _names(result: StepResult) -> str:
    return ", ".join(dict.fromkeys(run.name for run in result.tool_runs))


def repetitions(work: Sequence[StepResult]) -> int:
    """How often in a row the last tool calls were made with the same arguments and results, thinking aside."""
    times, last = 0, None
    for result in reversed(work):
        if not result.tool_runs:
            continue
        exchange = _exchange(result)
        if exchange != (last or exchange):
            break
        times, last = times + 1, exchange
    return times


def _exchange(result: StepResult) -> list[tuple[str, str, str]]:
    """Name, arguments and answer of each call, without the ids and the order of keys that a model invents."""
    answers = {m.tool_call_id: m.content or "" for m in result.messages if m.role == "tool"}
    calls = [call for message in result.messages for call in message.tool_calls]
    return [(call.name, _canonical(call.arguments), answers.get(call.id, "")) for call in calls]


def _canonical(arguments: str) -> str:
    try:
        return dumps(loads(arguments), sort_keys=True)
    except ValueError:
        return arguments
