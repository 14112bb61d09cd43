"""Section `routing-replay`: a mix of 200 tasks with the routing table, all on gpt-4o, and all on gpt-4o-mini.

The product runs the tasks: its policy, prompts, router, repairs, escalation and prices. The models are a script that
counts tokens as the demo's model server does (four bytes each, prompt prefixes cached as OpenAI documents) and so does
not judge quality: `ratchet prices` has the prices, `task_mix` what is assumed of the models' mistakes.
"""

import functools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ratchet import Agent, Limits, tool
from ratchet.app.agents import AgentDirectory, AgentInfo, AgentRegistry
from ratchet.app.execute_step import ExecuteStep
from ratchet.app.warm_histories import WarmHistories
from ratchet.contracts.messages import StepInput, StepOutput, StepRef, TaskRef
from ratchet.contracts.names import Action
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage, built_in
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import Task
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import ScriptedChat
from ratchet.testing.clock import FakeClock, SequentialIds
from ratchet.testing.model_usage import PrefixCache, reasoning_tokens, token_count
from ratchet.testing.store import InMemoryCheckpoints
from tests.bench.agent_loop import ROUTING
from tests.bench.figures import Ratio, Section
from tests.bench.standard import INSTRUCTIONS, TOOLS
from tests.bench.task_mix import SEED, MixTask, task_mix
from tests.contract.store.standard_agent import Prose

NAME = "routing-replay"
MODES: Mapping[str, str | None] = {
    "routing table": None,
    "all gpt-4o": "gpt-4o",
    "all gpt-4o-mini": "gpt-4o-mini",
}
_PLAN_LINES = ["find what is asked for", "check it", "answer"]


@functools.cache
def _prose(seed: int, chars: int) -> str:
    return Prose(seed).text(chars)


@tool(effect="read")
def consult(query: str, chars: int) -> str:
    """Look something up; returns at most so many characters."""
    return _prose(chars, chars)


AGENT = Agent(
    "mix",
    INSTRUCTIONS,
    (consult, *TOOLS[1:]),
    limits=Limits(max_steps=200, max_cost_usd=10, max_tokens=10**8),
)


@dataclass(slots=True)
class Replay:
    """What a mode took."""

    cost_microusd: int = 0
    usage: Usage = field(default_factory=Usage)
    statuses: Counter[str] = field(default_factory=Counter)
    by_model: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    escalated: int = 0

    def step_finished(self, record: StepRecord, *, task: Task) -> None:
        """One committed step: the port `Metrics`."""
        result = record.result
        self.cost_microusd += result.cost_microusd
        self.usage += result.usage
        self.by_model[result.model or "none"] += result.cost_microusd
        self.steps += 1
        self.escalated += "escalated" in result.reason

    @property
    def usd(self) -> float:
        """Dollars for all tasks."""
        return self.cost_microusd / 1e6

    @property
    def cached_share(self) -> float:
        """Of the input tokens."""
        return self.usage.cached_tokens / max(1, self.usage.input_tokens)


def run() -> Section:
    """Replay the mix in each mode, and compare."""
    section, mix = Section(NAME), task_mix()
    found = {mode: replay(mix, model) for mode, model in MODES.items()}
    levels = Counter(task.complexity.value for task in mix)
    section.say(
        f"{len(mix)} tasks of seed {SEED}: {levels['simple']} simple, {levels['complex']} complex, "
        f"{sum(len(task.rounds) for task in mix)} rounds of tools. Prices of {', '.join(_models(found))},",
        "cached input tokens at the cached price. The models are a script: this compares money, not quality.",
        "",
    )
    header = ("mode", "dollars", "a task", "succeeded", "a success", "steps", "escalated", "cached")
    section.table(header, [_row(mode, one) for mode, one in found.items()])
    table, large, small = (found[mode] for mode in MODES)
    section.figures["usd"] = {mode: one.usd for mode, one in found.items()}
    section.figures["succeeded"] = {mode: one.statuses["succeeded"] for mode, one in found.items()}
    section.figures["usd_by_model"] = {
        mode: {name: cost / 1e6 for name, cost in sorted(one.by_model.items())}
        for mode, one in found.items()
    }
    section.say("", *(f"{mode}: {_shares(one)}" for mode, one in found.items()))
    section.ratios.append(Ratio("200 tasks, routed", table.usd, "all gpt-4o", large.usd, "$"))
    section.ratios.append(Ratio("200 tasks, routed", table.usd, "all gpt-4o-mini", small.usd, "$"))
    return section


def replay(mix: list[MixTask], model: str | None) -> Replay:
    """Run the tasks one after the other, each step as the state machine would ask for it."""
    figures, cache, clock = Replay(), PrefixCache(), FakeClock()
    store, registry = InMemoryCheckpoints(clock), AgentRegistry({AGENT.name: AGENT})
    agent = AgentDirectory(registry.manifest(), default=AGENT.name).find(None)
    for one in mix:
        task = _task(one, agent, model, at_ms=clock.now_ms())
        store.create_task(task, claim=None, due_at_ms=0)
        executor = ExecuteStep(
            store=store,
            chat=ScriptedChat(_Script(one, cache)),
            agents=registry,
            clock=clock,
            ids=SequentialIds(),
            metrics=figures,
            warm=WarmHistories(),
            patience_seconds=30,
        )
        figures.statuses[_run(executor, task)] += 1
    return figures


def _run(executor: ExecuteStep, task: Task) -> str:
    first = task.first_step
    state = StepOutput(task.ref, Action.STEP, StepRef(1, first.type, first.complexity))
    while state.action is Action.STEP:
        route = ROUTING.route(state.step.type, state.step.complexity)
        event = StepInput(state.task, state.step, route)
        state = executor(event, remaining_seconds=lambda: 300.0)
    return str(state.status)


def _task(one: MixTask, agent: AgentInfo, model: str | None, *, at_ms: int) -> Task:
    return Task(
        ref=TaskRef("bench", f"task_{one.number:026d}"),
        goal=_prose(one.number, one.goal_chars),
        agent=agent.name,
        agent_version=agent.version,
        first_step=agent.first_step,
        limits=agent.limits,
        created_at_ms=at_ms,
        model=model,
    )


class _Script:
    """The models of one task; all of a mode's tasks share the provider's cache of prompt prefixes."""

    def __init__(self, task: MixTask, cache: PrefixCache) -> None:
        self._task = task
        self._cache = cache
        self._done = 0

    def __call__(self, call: ModelCall) -> ModelAnswer:
        """The answer that the mix has for the task where it stands."""
        content, calls = self._answer(call)
        prompt = "\n".join(json.dumps(m.to_chat()) for m in call.prompt.messages)
        text = (json.dumps(call.prompt.tools) + prompt).encode()
        visible = token_count((content or "") + "".join(c.arguments for c in calls))
        thought = reasoning_tokens(visible) if built_in().spec(call.model).is_reasoning else 0
        cached = self._cache.cached_tokens(text, model=call.model, cache_key=call.prompt.cache_key)
        usage = Usage(token_count(text), cached, visible + thought, thought)
        return ModelAnswer(content, calls, "tool_calls" if calls else "stop", usage)

    def _answer(self, call: ModelCall) -> tuple[str | None, tuple[ToolCall, ...]]:
        prompt, task = call.prompt, self._task
        if prompt.response_format is not None:
            plan = {"plan": _PLAN_LINES, "complexity": task.complexity.value}
            return json.dumps(plan), ()
        if prompt.tool_choice != "auto":
            return _prose(task.number, task.answer_chars), ()
        if self._done == len(task.rounds):
            return "I have what the answer needs.", ()
        round_ = task.rounds[self._done]
        if call.model in round_.lost_on:
            return None, (ToolCall(f"call_{self._done}", "no_such_tool", "{}"),)
        self._done += 1
        query = {"query": _prose(self._done, 60), "chars": round_.result_chars}
        said = _prose(task.number + self._done, round_.said_chars)
        return said, (ToolCall(f"call_{self._done}", "consult", json.dumps(query)),)


def _models(found: Mapping[str, Replay]) -> list[str]:
    return sorted({name for one in found.values() for name in one.by_model} - {"none"})


def _row(mode: str, one: Replay) -> tuple[str, ...]:
    tasks, good = one.statuses.total(), one.statuses["succeeded"]
    return (
        mode,
        f"${one.usd:.4f}",
        f"${one.usd / tasks:.5f}",
        f"{good} of {tasks}",
        f"${one.usd / max(1, good):.5f}",
        f"{one.steps}",
        f"{one.escalated}",
        f"{one.cached_share:.0%}",
    )


def _shares(one: Replay) -> str:
    costs = sorted(one.by_model.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} ${cost / 1e6:.4f}" for name, cost in costs if cost)
