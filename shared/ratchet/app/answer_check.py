"""Model output is untrusted: nothing of it is used before it has passed here."""

import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ratchet.app.tool_runner import PlannedCall
from ratchet.contracts.errors import EffectOutcomeUnknown, ModelRefused
from ratchet.contracts.limits import MAX_TOOL_CALLS_PER_STEP
from ratchet.contracts.messages import StepRef
from ratchet.contracts.names import Complexity, Json, StepType
from ratchet.domain.agent import Agent
from ratchet.domain.finite_json import check_finite
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.steps import StepPlan
from ratchet.domain.tools import ToolArgumentsInvalid
from ratchet.model_ports import ModelAnswer


@dataclass(frozen=True, slots=True)
class Accepted:
    """A usable answer: the message to keep, and what was read out of it."""

    message: Message
    calls: tuple[PlannedCall, ...] = ()
    rating: Complexity | None = None
    output: Json = None


@dataclass(frozen=True, slots=True)
class Repair:
    """An unusable answer: what to tell the model, as a whole and per tool call."""

    problem: str
    by_call: dict[str, str] = field(default_factory=dict)


def check_answer(answer: ModelAnswer, agent: Agent, type_: StepType) -> Accepted | Repair:
    """Judge an answer to a step of this type.

    Raises:
        ModelRefused: the model declined or a content filter stopped it; asking again would not help.
    """
    if answer.refusal or answer.finish_reason == "content_filter":
        raise ModelRefused(f"the model declined to answer: {answer.refusal or 'content filter'}")
    if answer.finish_reason == "length":
        return Repair(
            "Your answer was cut off at the token limit. Answer again, much more briefly.",
            {c.id: "error: the call was cut off at the token limit" for c in answer.tool_calls},
        )
    if answer.tool_calls:
        return _check_calls(answer, agent)
    if not (answer.content or "").strip():
        return Repair("Your answer was empty. Answer with text, or call a tool.")
    message = Message("assistant", answer.content)
    if type_ is StepType.PLANNING:
        return Accepted(message, rating=_rating(answer.content or ""))
    if type_ is StepType.FINAL_SYNTHESIS:
        return _check_output(message, agent)
    return Accepted(message, output=answer.content)


def check_again(plan: StepPlan, agent: Agent, step: StepRef) -> Accepted:
    """The answer that an earlier attempt acted on, taken up again: its effects are part of the task.

    Raises:
        EffectOutcomeUnknown: the agent that is deployed now would not have accepted it.
    """
    message = plan.message
    answer = ModelAnswer(message.content, message.tool_calls, "tool_calls", plan.usage)
    verdict = check_answer(answer, agent, step.type)
    if isinstance(verdict, Accepted):
        return verdict
    asked = ", ".join(f"{call.name}({call.arguments[:200]})" for call in message.tool_calls)
    raise EffectOutcomeUnknown(
        f"step {step.number} had begun {asked} when it was interrupted, and the agent that is "
        f"deployed now cannot go on with it: {verdict.problem}"
    )


def _check_calls(answer: ModelAnswer, agent: Agent) -> Accepted | Repair:
    calls = _with_unique_ids(answer.tool_calls)
    if len(calls) > MAX_TOOL_CALLS_PER_STEP:
        problem = f"error: at most {MAX_TOOL_CALLS_PER_STEP} tool calls at once"
        return Repair(problem, {c.id: problem for c in answer.tool_calls})
    planned: list[PlannedCall] = []
    wrong: dict[str, str] = {}
    for call in calls:
        tool = agent.toolbox.get(call.name)
        if tool is None:
            known = ", ".join(agent.toolbox) or "none"
            wrong[call.id] = f"error: there is no tool {call.name!r}; the tools are: {known}"
            continue
        try:
            planned.append(PlannedCall(call, tool, tool.parse(call.arguments)))
        except ToolArgumentsInvalid as exc:
            wrong[call.id] = f"error: {exc}"
    if wrong:
        return Repair("; ".join(wrong.values()), wrong)
    return Accepted(Message("assistant", answer.content, calls), calls=tuple(planned))


def _with_unique_ids(calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    if len({call.id for call in calls}) == len(calls):
        return calls
    return tuple(ToolCall(f"call_{i}", c.name, c.arguments) for i, c in enumerate(calls))


def _check_output(message: Message, agent: Agent) -> Accepted | Repair:
    if agent.output is None:
        return Accepted(message, output=message.content)
    text = _unfenced(message.content or "")
    try:
        value = agent.output.model_validate_json(text)
        check_finite(text)  # what is announced of the output must be JSON to its receivers
    except ValidationError as exc:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}"
            for e in exc.errors(include_url=False, include_input=False)
        )
        return Repair(f"Your answer does not fit the JSON schema it must have: {problems}")
    except ValueError as exc:
        return Repair(f"Your answer does not fit the JSON schema it must have: {exc}")
    dumped: dict[str, Any] = value.model_dump(mode="json")
    return Accepted(message, output=dumped)


def _rating(text: str) -> Complexity:
    """The plan's own rating. A plan in prose is still a plan; unrated work is taken as simple."""
    try:
        return Complexity(json.loads(_unfenced(text))["complexity"])
    except (ValueError, KeyError, TypeError):
        return Complexity.SIMPLE


def _unfenced(text: str) -> str:
    stripped = text.strip()
    if not stripped.startswith("```"):
        return stripped
    return stripped.strip("`").removeprefix("json").strip()
