"""The agent loop as pure functions of the committed steps: which step comes next, and what it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ratchet.contracts.names import Complexity, StepType
from ratchet.domain.steps import Step, StepResult

DIGEST_CHARS = 4_000
"""Tool results of one step above this size are digested by a reasoning step before the agent acts again."""

PLANNING = (
    "[ratchet:planning] Before you act, make a short plan: at most six steps, each one line. "
    "Rate the task: `simple` if a small model can carry out each step, `complex` if it needs "
    "careful judgement. Do not call tools yet."
)
ACT = (
    "[ratchet:act] Carry out the plan. Call the tools you need, several at once where they do not "
    "depend on each other. When you have what the answer needs, say so without calling a tool."
)
REASONING = (
    "[ratchet:reasoning] Think about the latest tool results: what do they establish, what failed "
    "and why, what is still missing, what should be done next? Answer briefly. Do not call tools."
)
FINAL = (
    "[ratchet:final] Give the final answer to the goal now, complete in itself and based only on "
    "what was established above. Do not call tools."
)


@dataclass(frozen=True, slots=True)
class AgentTraits:
    """What a policy may know of an agent."""

    has_tools: bool
    has_output: bool


@dataclass(frozen=True, slots=True)
class Done:
    """The last step's answer is the result."""


class Policy(Protocol):
    """Chooses steps. Pure: the same history gives the same decision, on every attempt and after every crash."""

    def next_step(self, history: Sequence[StepResult], traits: AgentTraits) -> Step | Done:
        """What follows `history` (empty: the first step)."""
        ...

    def directive(self, step: Step, history: Sequence[StepResult]) -> str | None:
        """The user message that opens the step; None when the conversation speaks for itself."""
        ...


class PlanAct:
    """Plan once, act while the model asks for tools, reason over failures and long results, then synthesize."""

    def next_step(self, history: Sequence[StepResult], traits: AgentTraits) -> Step | Done:
        """What follows `history` (empty: the first step)."""
        if not history:
            return Step(StepType.PLANNING, Complexity.SIMPLE)
        last, level = history[-1], _complexity(history)
        acting = Step(StepType.TOOL_DISPATCH, level)
        final = Step(StepType.FINAL_SYNTHESIS, level)
        match last.type:
            case StepType.PLANNING:
                return acting if traits.has_tools else final
            case StepType.TOOL_DISPATCH if last.tool_runs:
                return Step(StepType.REASONING, level) if _needs_reasoning(last) else acting
            case StepType.TOOL_DISPATCH:
                return final
            case StepType.REASONING:
                return acting
            case StepType.FINAL_SYNTHESIS:
                return final if last.tool_runs else Done()

    def directive(self, step: Step, history: Sequence[StepResult]) -> str | None:
        """The user message that opens the step; acting is announced once."""
        match step.type:
            case StepType.PLANNING:
                return PLANNING
            case StepType.REASONING:
                return REASONING
            case StepType.FINAL_SYNTHESIS:
                return FINAL
            case StepType.TOOL_DISPATCH:
                acted = any(r.type is StepType.TOOL_DISPATCH for r in history)
                return None if acted else ACT


class React:
    """The plain loop: call tools until the model answers without one."""

    def next_step(self, history: Sequence[StepResult], traits: AgentTraits) -> Step | Done:
        """What follows `history` (empty: the first step)."""
        level = _complexity(history)
        if not history or history[-1].tool_runs:
            return Step(StepType.TOOL_DISPATCH, level)
        if history[-1].type is StepType.FINAL_SYNTHESIS or not traits.has_output:
            return Done()
        return Step(StepType.FINAL_SYNTHESIS, level)

    def directive(self, step: Step, history: Sequence[StepResult]) -> str | None:  # noqa: ARG002
        """Only the structured final answer is asked for; the loop itself needs no words."""
        return FINAL if step.type is StepType.FINAL_SYNTHESIS else None


POLICIES: dict[str, Policy] = {"plan_act": PlanAct(), "react": React()}


def _complexity(history: Sequence[StepResult]) -> Complexity:
    ratings = [r.rating for r in history if r.rating is not None]
    return ratings[-1] if ratings else Complexity.SIMPLE


def _needs_reasoning(result: StepResult) -> bool:
    if any(not run.ok for run in result.tool_runs):
        return True
    chars = sum(len(m.content or "") for m in result.messages if m.role == "tool")
    return chars >= DIGEST_CHARS
