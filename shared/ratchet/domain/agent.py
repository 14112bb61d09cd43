"""The agent: a named, versioned definition of instructions, tools, output type, limits and policy."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic import BaseModel

from ratchet.contracts.limits import MAX_CACHE_TTL_SECONDS
from ratchet.domain.ask_human import ASK
from ratchet.domain.confidence import Check
from ratchet.domain.memory_tools import Memory, memory_tools
from ratchet.domain.policy import POLICIES, AgentTraits, Policy
from ratchet.domain.semantic_cache import SemanticCache
from ratchet.domain.task import TaskLimits as Limits
from ratchet.domain.tools import Tool, as_tool, refuse_async

__all__ = ["Agent", "Limits"]

_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,63}$")


@dataclass(frozen=True)
class Agent:
    """What a team writes.

    Args:
        name: lower-case, unique in the deployment.
        instructions: the system message; fixed text, so that providers can cache the prefix.
        tools: functions decorated with `@tool`.
        output: a pydantic model for a structured result; None for text.
        limits: defaults of its tasks; a request may only tighten them.
        policy: `plan_act` (plan, act, reason, synthesize) or `react` (the plain loop).
        description: one line for `GET /v1/agents`.
        compact_at_tokens: a longer prompt (by estimate) has its history summarized by a step of its own first;
            None: at 60 % of the smallest context window of the step's route.
        check: judges each answer that calls no tools. At `Confidence.LOW` the complex route answers in its place, once
            a step. It must be quick and change nothing; if it raises, the answer stands.
        cache_ttl_seconds: for so long an answer of a model is used again, for nothing, when the very same prompt of
            the same tenant comes back; None: never. Answers that ask for a tool with effects are not kept, and `read`
            tools run again.
        semantic_cache: a task is ended at its first step, for the price of an embedding, with the result of an earlier
            task of the same tenant and user whose goal was nearly the same and that had no effects; None: never.
        loop_guard: a task that makes the same calls with the same results five times in a row ends as `loop_detected`.
            False for agents that poll.
        ask_over_budget: a task that reaches max_cost_usd, max_tokens or max_steps asks a person whether to go on with
            twice as much, instead of ending as `budget_exceeded`.
        memory: gives it the tools `recall`, `remember` and `forget`, for facts that outlive its tasks.
        ask_human: gives it the tool `ask_human`: the task waits, and the answer of a person is the tool's result.
    """

    name: str
    instructions: str
    tools: Iterable[Callable[..., Any]] = ()
    output: type[BaseModel] | None = None
    limits: Limits = field(default_factory=Limits)
    policy: str = "plan_act"
    description: str = ""
    compact_at_tokens: int | None = None
    check: Check | None = None
    cache_ttl_seconds: int | None = None
    semantic_cache: SemanticCache | None = None
    loop_guard: bool = True
    ask_over_budget: bool = False
    ask_human: bool = False
    memory: Memory | None = None

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(f"agent name {self.name!r}: use lower-case letters, digits, _ and -")
        _check_types(self)
        _check_limits(self)
        if self.policy not in POLICIES:
            raise ValueError(f"agent {self.name!r}: policy is one of {', '.join(sorted(POLICIES))}")
        if self.compact_at_tokens is not None and self.compact_at_tokens < 1:
            raise ValueError(
                f"agent {self.name!r}: compact_at_tokens is a number of tokens, or None"
            )
        ttl = self.cache_ttl_seconds
        if ttl is not None and not 1 <= ttl <= MAX_CACHE_TTL_SECONDS:
            raise ValueError(
                f"agent {self.name!r}: cache_ttl_seconds is 1 to {MAX_CACHE_TTL_SECONDS}, or None for no cache"
            )
        if self.memory is not None and self.semantic_cache is not None:
            raise ValueError(
                f"agent {self.name!r}: what it remembers changes its answers, so it can have no semantic_cache"
            )
        built_in = (*memory_tools(self.memory), *((ASK,) if self.ask_human else ()))
        described = tuple(as_tool(t) for t in self.tools) + built_in
        if len({t.name for t in described}) != len(described):
            raise ValueError(f"agent {self.name!r}: two tools have the same name")
        object.__setattr__(self, "_toolbox", {t.name: t for t in described})
        object.__setattr__(self, "tools", tuple(self.tools))
        object.__setattr__(self, "_schemas", tuple(t.schema() for t in described))
        schema = None if self.output is None else self.output.model_json_schema()
        object.__setattr__(self, "_output_schema", schema)
        object.__setattr__(self, "_version", self._digest())

    @property
    def toolbox(self) -> dict[str, Tool]:
        """The tools by name, in the order in which the agent lists them."""
        return self._toolbox  # type: ignore[attr-defined, no-any-return]

    @property
    def tool_schemas(self) -> tuple[dict[str, Any], ...]:
        """The tools as chat completions take them, in a fixed order."""
        return self._schemas  # type: ignore[attr-defined, no-any-return]

    @property
    def version(self) -> str:
        """Twelve hex digits of a digest over everything that shapes the agent's prompts."""
        return self._version  # type: ignore[attr-defined, no-any-return]

    @property
    def traits(self) -> AgentTraits:
        """What a policy may know of the agent."""
        return AgentTraits(has_tools=bool(self.toolbox), has_output=self.output is not None)

    @property
    def decides(self) -> Policy:
        """The policy that chooses its steps."""
        return POLICIES[self.policy]

    def output_schema(self) -> dict[str, Any] | None:
        """The JSON schema of the result, or None for text."""
        return self._output_schema  # type: ignore[attr-defined, no-any-return]

    def _digest(self) -> str:
        shape: list[Any] = [
            self.instructions,
            list(self.tool_schemas),
            self.output_schema(),
            self.policy,
        ]
        if self.compact_at_tokens is not None:
            shape.append(self.compact_at_tokens)
        text = json.dumps(shape, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _check_types(agent: Agent) -> None:
    output, found = agent.output, f"agent {agent.name!r}"
    if output is not None and not (isinstance(output, type) and issubclass(output, BaseModel)):
        raise TypeError(f"{found}: output is a pydantic model (the class), or None for text")
    for name, kind in (("memory", Memory), ("semantic_cache", SemanticCache)):
        value = getattr(agent, name)
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{found}: {name} is {kind.__name__}(...), or None")
    if agent.check is not None and not callable(agent.check):
        raise TypeError(f"{found}: check is a function of an Answer, or None")
    refuse_async(f"{found}, check", agent.check)


def _check_limits(agent: Agent) -> None:
    """Whatever a task could neither keep to nor fail by, such as NaN, is refused here."""
    found = f"agent {agent.name!r}"
    if not isinstance(agent.limits, Limits):
        raise TypeError(f"{found}: limits is Limits(...)")
    for name in (limit.name for limit in fields(Limits)):
        value, is_cost = getattr(agent.limits, name), name == "max_cost_usd"
        is_number = isinstance(value, (int, float) if is_cost else int) and value is not True
        if not is_number or not 0 < value < math.inf:
            kind = "a number" if is_cost else "a whole number"
            raise ValueError(f"{found}: limits: {name} is {kind} above 0, not {value!r}")
