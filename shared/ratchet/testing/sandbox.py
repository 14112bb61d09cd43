"""A sandbox of step_executor that can die at any boundary: before or after any of its calls to the world."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from ratchet.contracts.names import Effect
from ratchet.domain.agent import Agent
from ratchet.domain.tools import Tool, ToolContext

T = TypeVar("T")

_WORDS = {
    "complete": "the model call",
    "load": "the load of the task",
    "commit": "the commit",
    "begin_effect": "the intent record of",
    "end_effect": "the result record of",
    "begun_effects": "the look at what an attempt before had begun",
    "adopt_plan": "the taking over of its plan",
    "retake_effect": "the second intent record of",
}


class SandboxDied(BaseException):
    """Nothing in the sandbox may catch this: the process is gone."""


class Moment(StrEnum):
    """On which side of a call; after it, it has happened and its answer is lost."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Boundary:
    """A place to die. `key` is that of the tool call that it belongs to, `tool` that call in words."""

    step: int
    call: str
    moment: Moment
    nth: int = 1
    key: str = ""
    tool: str = field(default="", compare=False)

    def __str__(self) -> str:
        what = f"{self.call} {self.tool or self.key}".rstrip()
        again = f" (its {self.nth}. time)" if self.nth > 1 else ""
        return f"{self.moment} {what} in step {self.step}{again}"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One call that reached a tool's code."""

    step: int
    tool: str
    effect: Effect
    arguments: dict[str, Any]
    idempotency_key: str
    is_verified: bool = False  # whether the tool can say what became of a call

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.tool}({arguments if len(arguments) <= 80 else f'{arguments[:80]}...'})"


class Trace:
    """What the sandboxes of one run did, in order, and where one of them is to die."""

    def __init__(self, kill: Boundary | None = None) -> None:
        self._boundaries: list[Boundary] = []
        self.tool_uses: list[ToolUse] = []
        self.died_at: Boundary | None = None
        self.unknown_effects: frozenset[str] = frozenset()  # keys begun and not ended at the death
        self._kill = kill
        self._lock = threading.Lock()
        self._times: Counter[tuple[int, str, Moment, str]] = Counter()
        self._begun: set[str] = set()

    @property
    def boundaries(self) -> tuple[Boundary, ...]:
        """Where the sandboxes came by, in order."""
        tools = {use.idempotency_key: str(use) for use in self.tool_uses}
        return tuple(replace(b, tool=tools.get(b.key, "")) for b in self._boundaries)

    def passes(self, sandbox: "Sandbox", call: str, moment: Moment, key: str) -> None:
        """Note a boundary; the sandbox dies there if it is the one, and goes nowhere if it is dead.

        Raises:
            SandboxDied
        """
        with self._lock:
            if sandbox.is_dead:
                raise SandboxDied(str(self.died_at))
            place = (sandbox.step, call, moment, key)
            self._times[place] += 1
            boundary = Boundary(sandbox.step, call, moment, self._times[place], key)
            self._boundaries.append(boundary)
            if boundary == self._kill:
                sandbox.is_dead = True
                self.died_at = boundary
                self.unknown_effects = frozenset(self._begun)
                raise SandboxDied(str(boundary))

    def notes(self, sandbox: "Sandbox", method: str, key: str) -> None:
        """Keep in mind which unsafe calls have an intent and no result."""
        with self._lock:
            if method == "begin_effect" and key:
                self._begun.add(key)
            elif method == "end_effect" and key:
                self._begun.discard(key)
            if sandbox.is_dead:  # a call beside the one that died was under way
                self.unknown_effects = frozenset(self._begun)

    def uses(self, use: ToolUse) -> None:
        """Note a call of a tool's code."""
        with self._lock:
            self.tool_uses.append(use)


class Sandbox:
    """One invocation: it reaches the world through `port` and `tool` alone, and once dead it reaches nothing."""

    def __init__(self, trace: Trace, step: int) -> None:
        self.step = step
        self.is_dead = False
        self._trace = trace

    def port(self, port: Any) -> Any:
        """The port with a boundary on both sides of every method."""
        return _WatchedPort(self, port)

    def call(self, method: str, key: str, do: Callable[[], T]) -> T:
        """Call a port's method, unless the sandbox is or becomes dead."""
        words = _WORDS.get(method, f"the store's {method}")
        self._at(words, Moment.BEFORE, key)
        try:
            answer = do()
            self._trace.notes(self, method, key)
            return answer
        finally:
            self._at(words, Moment.AFTER, key)

    def tool(self, tool: Tool, arguments: dict[str, Any], context: ToolContext) -> str:
        """Call a tool's own code, unless the sandbox is or becomes dead."""
        key = context.idempotency_key
        self._at("the tool", Moment.BEFORE, key)
        is_verified = tool.verify is not None
        use = ToolUse(self.step, tool.name, tool.effect, dict(arguments), key, is_verified)
        self._trace.uses(use)
        try:
            return Tool.call(tool, arguments, context)
        finally:
            self._at("the tool", Moment.AFTER, key)

    def _at(self, call: str, moment: Moment, key: str) -> None:
        self._trace.passes(self, call, moment, key)


class _WatchedPort:
    """Any port: a method that a port gets tomorrow is a boundary too."""

    def __init__(self, sandbox: Sandbox, port: Any) -> None:
        self._sandbox = sandbox
        self._port = port

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            key = kwargs.get("key", "")
            return self._sandbox.call(name, key, lambda: method(*args, **kwargs))

        return call


@dataclass(frozen=True, kw_only=True)
class _WatchedTool(Tool):
    watch: Callable[[Tool, dict[str, Any], ToolContext], str]

    def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        return self.watch(self, arguments, context)


def watched_agent(agent: Agent, watch: Callable[[Tool, dict[str, Any], ToolContext], str]) -> Agent:
    """The same agent, version included, whose tools are called through `watch`."""

    def stand_in(tool: Tool) -> Callable[..., Any]:
        def function() -> None:
            """Never called: the tool is."""

        fields = {name: getattr(tool, name) for name in Tool.__dataclass_fields__}
        function.__ratchet_tool__ = _WatchedTool(**fields, watch=watch)  # type: ignore[attr-defined]
        return function

    # The built-in ones are among them.
    tools = [stand_in(tool) for tool in agent.toolbox.values()]
    return replace(agent, tools=tools, ask_human=False, memory=None)
