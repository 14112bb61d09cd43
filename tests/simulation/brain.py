"""What the simulated models say, and the tools that they may call.

A goal is a program: rounds divided by `;`, tools of a round by `+`. "look+pay;put" asks for look and pay at once, then
for put, then it is done. A goal that begins with `$` gets answers as long as the budget allows.
A step that is asked again may get another answer: models do not repeat themselves.
"""

from collections import Counter
from typing import Protocol

from pydantic import BaseModel

from ratchet import Agent, Limits, tool
from ratchet.contracts.messages import TaskRef
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.tools import ToolContext
from ratchet.ports import ModelAnswer, ModelCall
from tests.simulation.faults import Fault

USAGE = Usage(input_tokens=100, cached_tokens=0, output_tokens=20)


class Stage(Protocol):
    """The world that tools act on."""

    def use(self, name: str, context: ToolContext, argument: int) -> str: ...

    def check(self, name: str, context: ToolContext, argument: int) -> str | None: ...


class _Now:
    stage: Stage | None = None


def set_stage(stage: Stage | None) -> None:
    """From now on tools act on this world."""
    _Now.stage = stage


def _use(name: str, context: ToolContext, n: int) -> str:
    if _Now.stage is None:
        raise RuntimeError("no world")
    return _Now.stage.use(name, context, n)


@tool(effect="read")
def look(n: int, context: ToolContext) -> str:
    """Read something."""
    return _use("look", context, n)


@tool(effect="idempotent", parallel=True)
def put(n: int, context: ToolContext) -> str:
    """Write something, once per key."""
    return _use("put", context, n)


@tool(effect="unsafe")
def pay(n: int, context: ToolContext) -> str:
    """Move money."""
    return _use("pay", context, n)


def _was_sent(n: int, context: ToolContext, **_: object) -> str | None:
    if _Now.stage is None:
        raise RuntimeError("no world")
    return _Now.stage.check("send", context, n)


@tool(effect="unsafe", verify=_was_sent)
def send(n: int, context: ToolContext) -> str:
    """Move a message; one can look whether it was moved."""
    return _use("send", context, n)


class Report(BaseModel):
    """A structured result."""

    text: str


UNSAFE = frozenset({"pay", "send"})
TOOLS = [look, put, pay, send]
SMALL = Limits(max_steps=30, deadline_seconds=24 * 3600)
AGENTS = (
    Agent("planner", "Plan, act, answer.", tools=TOOLS, limits=SMALL),
    Agent("loop", "Loop.", tools=TOOLS, policy="react", limits=SMALL),
    Agent("writer", "Write.", output=Report, policy="react", limits=SMALL),
    Agent("hasty", "Loop.", tools=TOOLS, policy="react", limits=Limits(max_steps=2)),
)


def rounds_of(goal: str) -> list[list[str]]:
    """The program of a goal."""
    program = goal.split("#", maxsplit=1)[0].removeprefix("$")
    return [part.split("+") for part in program.split(";") if part]


class Brain:
    """The honest answers of all models of one world. `fickle` says how an answer differs when a step is asked again."""

    def __init__(self, fickle: str = "") -> None:
        self._fickle = fickle
        self._usage = USAGE
        self._asked: Counter[tuple[str, int]] = Counter()

    def __call__(self, call: ModelCall) -> ModelAnswer:
        """The next answer of the program."""
        prompt = call.prompt
        if prompt.response_format is not None:
            name = prompt.response_format.name
            text = '{"plan":["go"],"complexity":"simple"}' if name == "plan" else '{"text":"done"}'
            return _says(text)
        if prompt.tool_choice == "none" or not prompt.tools:
            return _says("done")
        goal = prompt.messages[1].content or ""
        rounds = ["+".join(names) for names in rounds_of(goal)]
        self._usage = Usage(100, 0, call.max_output_tokens) if goal.startswith("$") else USAGE
        at = sum(1 for m in prompt.messages if m.tool_calls)
        if at >= len(rounds):
            return _says("done", self._usage)
        again = self._asked[goal, at] > 0
        self._asked[goal, at] += 1
        names = rounds[at].split("+")
        shift = 100 if again and self._fickle == "other" else 0
        return _asks(
            _differently(names, self._fickle) if again else names, at * 10 + shift, self._usage
        )


def _differently(names: list[str], fickle: str) -> list[str]:
    if fickle == "longer":
        return ["look", *names]
    if fickle == "reversed":
        return list(reversed(names))
    if fickle == "harmless":
        return ["look" if name in UNSAFE else name for name in names]
    return names


def _asks(names: list[str], first: int, usage: Usage) -> ModelAnswer:
    calls = tuple(
        ToolCall(f"call_{first}_{i}", name, f'{{"n":{first + i % 10}}}')
        for i, name in enumerate(names)
    )
    return ModelAnswer(None, calls, "tool_calls", usage)


def _says(text: str, usage: Usage = USAGE) -> ModelAnswer:
    return ModelAnswer(text, (), "stop", usage)


def bad_answer(fault: Fault, call: ModelCall) -> ModelAnswer:
    """Cut off, or a tool that nobody has, or arguments that fit no schema, or nothing at all."""
    if fault is Fault.TRUNCATED:
        return ModelAnswer("do", (), "length", USAGE)
    if fault is Fault.UNKNOWN_TOOL:
        return ModelAnswer(None, (ToolCall("bad", "nothing", "{}"),), "tool_calls", USAGE)
    if call.prompt.tool_choice == "none":
        return ModelAnswer("", (), "stop", USAGE)
    return ModelAnswer(None, (ToolCall("bad", "look", '{"n":'),), "tool_calls", USAGE)


def owner(context: ToolContext) -> TaskRef:
    """The task that a tool call is for."""
    return TaskRef(context.tenant, context.task_id)
