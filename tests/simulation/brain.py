"""What the simulated models say, and the tools that they may call.

A goal is a program: rounds divided by `;`, tools of a round by `+`. "look+pay;put" asks for look and pay at once, then
for put, then it is done. A goal that begins with `$` gets answers as long as the budget allows.
Where the program stands is counted in the prompt; a summary, which replaces what is counted, says it in words.
A step that is asked again may get another answer: models do not repeat themselves.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from random import Random
from typing import Protocol

from pydantic import BaseModel

from ratchet import Agent, Answer, Confidence, Limits, Memory, tool
from ratchet.contracts.limits import MAX_DEADLINE_SECONDS, MAX_STEPS_CAP
from ratchet.contracts.messages import TaskRef
from ratchet.domain.approvals import ASK_HUMAN
from ratchet.domain.compaction import DIRECTIVE, GO_ON
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.tools import ToolContext
from ratchet.model_ports import ModelAnswer, ModelCall
from tests.simulation.canary import CANARY
from tests.simulation.faults import Fault

_GOAL = re.compile(f"#[0-9]+ {CANARY}$")
_DONE = f"done {CANARY}"
_SO_FAR = f" rounds are done {CANARY}"
_PLAN = f'{{"plan":["go {CANARY}"],"complexity":"simple"}}'
_REPORT = f'{{"text":"{_DONE}"}}'
LARGE_BYTES = 40_000
USAGE = Usage(input_tokens=100, cached_tokens=0, output_tokens=20)


COLOURS = ["red", "green", "blue"]
"""What a question of an agent lets one choose from, if anything."""


class Stage(Protocol):
    """The world that tools act on."""

    def use(self, name: str, context: ToolContext, argument: int) -> str: ...

    def check(self, name: str, context: ToolContext, argument: int) -> str | None: ...


class _Now:
    stage: Stage | None = None


def set_stage(stage: Stage | None) -> None:
    """From now on tools act on this world."""
    _Now.stage = stage


SEEN = ", and so on" * 25
"""What `look` adds to a history: enough for one of a terse agent to be summarized."""


def _use(name: str, context: ToolContext, n: int) -> str:
    if _Now.stage is None:
        raise RuntimeError("no world")
    return _Now.stage.use(name, context, n)


@tool(effect="read")
def look(n: int, note: str, context: ToolContext) -> str:
    """Read something."""
    return _use("look", context, n) + SEEN


@tool(effect="idempotent", parallel=True)
def put(n: int, note: str, context: ToolContext) -> str:
    """Write something, once per key."""
    return _use("put", context, n)


@tool(effect="unsafe")
def pay(n: int, note: str, context: ToolContext) -> str:
    """Move money."""
    return _use("pay", context, n)


def _was_sent(n: int, note: str, context: ToolContext, **_: object) -> str | None:
    if _Now.stage is None:
        raise RuntimeError("no world")
    return _Now.stage.check("send", context, n)


@tool(effect="unsafe", verify=_was_sent)
def send(n: int, note: str, context: ToolContext) -> str:
    """Move a message; one can look whether it was moved."""
    return _use("send", context, n)


@tool(effect="read")
def fetch(n: int, note: str, context: ToolContext) -> str:
    """Read much."""
    return _use("fetch", context, n)


@tool(effect="read", untrusted=True)
def page(n: int, note: str, context: ToolContext) -> str:
    """Read what a stranger wrote."""
    return _use("page", context, n) + SEEN


@tool(effect="unsafe", approval="always")
def buy(n: int, note: str, context: ToolContext) -> str:
    """Move money, if a person lets it."""
    return _use("buy", context, n)


@tool(effect="unsafe", approval="untrusted")
def mail(n: int, note: str, context: ToolContext) -> str:
    """Tell somebody."""
    return _use("mail", context, n)


class Report(BaseModel):
    """A structured result."""

    text: str


def _unsure(_: Answer) -> Confidence:
    return Confidence.LOW


REMEMBERS = frozenset({"remember", "recall", "forget"})
UNSAFE = frozenset({"pay", "send", "buy", "mail"})
TOOLS = [look, put, pay, send, fetch]
CAREFUL = [*TOOLS, page, buy, mail]
SMALL = Limits(max_steps=30, deadline_seconds=24 * 3600)
TERSE = 500
FORGETFUL = 900
VAST = Limits(
    max_steps=MAX_STEPS_CAP,
    max_cost_usd=1e6,
    max_tokens=10**9,
    deadline_seconds=MAX_DEADLINE_SECONDS,
)
AGENTS = (
    Agent("planner", "Plan, act, answer.", tools=TOOLS, limits=SMALL),
    Agent("loop", "Loop.", tools=TOOLS, policy="react", limits=SMALL),
    Agent("writer", "Write.", output=Report, policy="react", limits=SMALL),
    Agent("marathon", "Loop.", tools=TOOLS, policy="react", limits=VAST),
    Agent("terse", "Loop.", tools=TOOLS, policy="react", limits=SMALL, compact_at_tokens=TERSE),
    Agent("hasty", "Loop.", tools=TOOLS, policy="react", limits=Limits(max_steps=2)),
    Agent("doubtful", "Loop.", tools=TOOLS, policy="react", limits=SMALL, check=_unsure),
    Agent("careful", "Loop.", tools=CAREFUL, policy="react", limits=SMALL, ask_human=True),
    Agent("prudent", "Plan.", tools=CAREFUL, limits=SMALL, ask_human=True),
    Agent(
        "forgetful",
        "Loop.",
        tools=CAREFUL,
        policy="react",
        limits=SMALL,
        compact_at_tokens=FORGETFUL,
    ),
    Agent("keeper", "Keep.", tools=TOOLS, policy="react", limits=SMALL, memory=Memory()),
)


@cache
def agents_of(version: int) -> dict[str, Agent]:
    """The agents as they were deployed in that version, by name: each version says something else."""
    changed = {a.name: replace(a, instructions=f"{a.instructions} v{version}") for a in AGENTS}
    return {a.name: a for a in AGENTS} if version == 1 else changed


@lru_cache(maxsize=64)
def rounds_of(goal: str) -> Sequence[Sequence[str]]:
    """The program of a goal."""
    program = goal.split("#", maxsplit=1)[0].removeprefix("$")
    return tuple(tuple(part.split("+")) for part in program.split(";") if part)


class Brain:
    """The honest answers of all models of one world. `fickle` says how an answer differs when a step is asked again."""

    def __init__(self, fickle: str = "") -> None:
        self._fickle = fickle
        self._usage = USAGE
        self._asked: Counter[tuple[str, int]] = Counter()

    def __call__(self, call: ModelCall) -> ModelAnswer:
        """The next answer of the program."""
        prompt = call.prompt
        messages = _own(prompt.messages)
        at = _position(messages)
        if _is_to_summarize(prompt.messages):
            return _says(f"{at}{_SO_FAR}")
        if prompt.response_format is not None:
            name = prompt.response_format.name
            return _says(_PLAN if name == "plan" else _REPORT)
        if prompt.tool_choice == "none" or not prompt.tools:
            return _says(_DONE)
        goal = messages[0].content or ""
        rounds = rounds_of(goal)
        self._usage = Usage(100, 0, call.max_output_tokens) if goal.startswith("$") else USAGE
        if at >= len(rounds):
            return _says(_DONE, self._usage)
        again = self._asked[goal, at] > 0
        self._asked[goal, at] += 1
        names = rounds[at]
        shift = 100 if again and self._fickle == "other" else 0
        return _asks(
            _differently(names, self._fickle) if again else names, at * 10 + shift, self._usage
        )


def _own(messages: Sequence[Message]) -> Sequence[Message]:
    """From the goal on: what its session had said stands before it."""
    goals = [
        i for i, m in enumerate(messages) if m.role == "user" and _GOAL.search(m.content or "")
    ]
    return messages[goals[-1] :]


def _position(messages: Sequence[Message]) -> int:
    """How many rounds of the program are done."""
    told = [m.content or "" for m in messages if m.role == "assistant"]
    summaries = [int(text.split()[0]) for text in told if text.endswith(_SO_FAR)]
    return sum(summaries[-1:]) + sum(1 for m in messages if m.tool_calls)


def _is_to_summarize(messages: Sequence[Message]) -> bool:
    """Whether a summary was asked for and not given: what was refused since, and why, may stand behind the question."""
    marks = [m.content for m in messages if m.content in {DIRECTIVE, GO_ON}]
    return marks[-1:] == [DIRECTIVE]


def _differently(names: Sequence[str], fickle: str) -> Sequence[str]:
    if fickle == "longer":
        return ["look", *names]
    if fickle == "reversed":
        return list(reversed(names))
    if fickle == "harmless":
        return ["look" if name in UNSAFE else name for name in names]
    return names


def _asks(names: Sequence[str], first: int, usage: Usage) -> ModelAnswer:
    calls = tuple(
        ToolCall(f"call_{first}_{i}", name, _arguments(name, first + i % 10))
        for i, name in enumerate(names)
    )
    return ModelAnswer(None, calls, "tool_calls", usage)


def _arguments(name: str, n: int) -> str:
    if name in REMEMBERS:
        key = f'"key":"k{n % 10}"'  # the same of all tasks, so that they meet
        texts = {"remember": f'{key},"text":"{n} {CANARY}"', "forget": key, "recall": ""}
        return f"{{{texts[name]}}}"
    if name != ASK_HUMAN:
        return f'{{"n":{n},"note":"{CANARY}"}}'
    choices = f"{COLOURS}" if n % 2 else "[]"
    return f'{{"question":"Which colour {n} {CANARY}?","choices":{choices}}}'.replace("'", '"')


def _says(text: str, usage: Usage = USAGE) -> ModelAnswer:
    return ModelAnswer(text, (), "stop", usage)


def bad_answer(fault: Fault, call: ModelCall) -> ModelAnswer:
    """Cut off, or a tool that nobody has, or arguments that fit no schema, or nothing at all."""
    if fault is Fault.TRUNCATED:
        return ModelAnswer(f"do {CANARY}", (), "length", USAGE)
    if fault is Fault.UNKNOWN_TOOL:
        call_ = ToolCall("bad", f"no_{CANARY}", "{}")
        return ModelAnswer(None, (call_,), "tool_calls", USAGE)
    if call.prompt.tool_choice == "none":
        return ModelAnswer("", (), "stop", USAGE)
    cut_off = ToolCall("bad", "look", f'{{"note":"{CANARY}","n":')
    return ModelAnswer(None, (cut_off,), "tool_calls", USAGE)


@cache
def large_text(n: int) -> str:
    """What the tool `fetch` reads: more than fits into an item when it is packed, since nothing in it repeats."""
    return CANARY + Random(n).randbytes(LARGE_BYTES).hex()


def owner(context: ToolContext) -> TaskRef:
    """The task that a tool call is for."""
    return TaskRef(context.tenant, context.task_id)
