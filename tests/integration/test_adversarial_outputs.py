"""10,000 outputs of a hostile model: nothing happens that the agent's policy does not allow, and every task ends.

The policy is checked by the tools themselves and by what people were seen to decide, not by the code under test.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from ratchet import Agent, Limits, Memory, ToolContext, tool
from ratchet.app import step_attempt
from ratchet.app.agents import AgentRegistry
from ratchet.app.held_calls import SortedCalls
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import InterruptKind, TaskStatus
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.memory_keys import memory_key
from ratchet.domain.steps import End, Interrupt, Paused
from ratchet.domain.tools import Tool, ToolArgumentsInvalid
from ratchet.model_ports import ModelCall
from ratchet.testing.chat import Outcome
from ratchet.testing.deployment import quiet_log
from ratchet.testing.memories import InMemoryMemories
from tests.figures import Tell
from tests.integration.adversary import CORPUS, Adversary
from tests.unit.shared.app.world import World

OUTPUTS = 10_000
SEED = 20261123
TENANTS = ("acme", "globex")
CODES = {
    *("model_output", "model_refused", "max_steps", "max_tokens", "max_cost_usd", "loop_detected"),
    *("context_overflow", "cancelled"),
}


@dataclass(frozen=True)
class Made:
    """A tool call that happened."""

    tool: str
    task_id: str
    arguments: dict[str, Any]


class Ledger:
    """All that has happened, and what people had let happen."""

    def __init__(self) -> None:
        self.running: TaskRef | None = None
        self.made: list[Made] = []
        self.approved: list[Made] = []
        self.browsed: dict[str, int] = {}
        self.ran: Counter[str] = Counter()
        self.turn = 0
        self.violations: list[
            str
        ] = []  # a tool that raises is a result, so what it finds is kept here

    def must(self, holds: bool, what: object) -> None:
        """Note what must not be."""
        if not holds:
            self.violations.append(str(what))

    def happened(self, name: str, context: ToolContext, **arguments: Any) -> str:
        """A tool runs: for the task that runs, in its own tenant, and with an approval where one is due."""
        self.must(self.running == TaskRef(context.tenant, context.task_id), f"{name} for {context}")
        call = Made(name, context.task_id, arguments)
        self.made.append(call)
        self.ran[name] += 1
        if self._needs_a_person(call):
            self.must(call in self.approved, f"{call} was not approved")
            if call in self.approved:
                self.approved.remove(call)  # each lets one call happen
        return CORPUS[len(self.made) % len(CORPUS)]

    def _needs_a_person(self, call: Made) -> bool:
        amount = call.arguments.get("amount", 0)
        tainted = self.browsed.get(call.task_id, self.turn) < self.turn
        return (
            call.tool == "pay"
            or (call.tool == "wire" and amount > 10)
            or (call.tool == "send" and tainted)
        )


LEDGER = Ledger()


@tool(effect="read")
def look(where: str, context: ToolContext) -> str:
    """Look."""
    LEDGER.must(type(where) is str, where)
    return LEDGER.happened("look", context, where=where)


@tool(effect="idempotent")
def note(text: Annotated[str, Field(max_length=20)], context: ToolContext) -> str:
    """Note."""
    LEDGER.must(type(text) is str and len(text) <= 20, text)
    return LEDGER.happened("note", context, text=text)


@tool(effect="read", untrusted=True)
def browse(where: str, context: ToolContext) -> str:
    """Read what a stranger wrote."""
    LEDGER.browsed.setdefault(context.task_id, LEDGER.turn)
    return LEDGER.happened("browse", context, where=where)


@tool(effect="unsafe", approval="always")
def pay(
    to: Literal["ann", "bob"], amount: Annotated[int, Field(ge=1, le=100)], context: ToolContext
) -> str:
    """Pay."""
    LEDGER.must(type(amount) is int and 1 <= amount <= 100 and to in ("ann", "bob"), (to, amount))
    return LEDGER.happened("pay", context, to=to, amount=amount)


@tool(effect="unsafe", approval=lambda amount: amount > 10)
def wire(amount: int, context: ToolContext) -> str:
    """Wire."""
    LEDGER.must(type(amount) is int, amount)
    return LEDGER.happened("wire", context, amount=amount)


@tool(effect="unsafe", approval="untrusted")
def send(to: str, body: str, context: ToolContext) -> str:
    """Send."""
    LEDGER.must(type(to) is type(body) is str, (to, body))
    return LEDGER.happened("send", context, to=to, body=body)


@tool(effect="unsafe")
def erase(tenant: str, context: ToolContext) -> str:
    """Erase a tenant: a tool of another agent."""
    LEDGER.must(False, "a tool of another agent has run")
    return LEDGER.happened("erase", context, tenant=tenant)


LIMITS = Limits(max_steps=12)
AGENTS = (
    Agent("clerk", "Serve.", tools=[look, note, browse, pay, wire, send], policy="react",
          ask_human=True, limits=LIMITS),
    Agent("planner", "Plan.", tools=[look, browse, pay, send], ask_human=True, limits=LIMITS),
    Agent("reader", "Read.", tools=[look, browse], policy="react", limits=LIMITS),
    Agent("keeper", "Keep.", tools=[look], policy="react", memory=Memory(read=("user", "tenant")),
          limits=LIMITS),
    Agent("admin", "Rule.", tools=[erase], policy="react", limits=LIMITS),
)  # fmt: skip
ATTACKED = ("clerk", "planner", "reader", "keeper")


class Attack:
    """Tasks of two tenants, a model that is an adversary, and people who answer by the dice."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.adversary = Adversary(self.dice)
        self.outputs = 0
        self.world = World(*AGENTS, chat=self._say)
        self.world.registry = AgentRegistry({agent.name: agent for agent in AGENTS})
        self.executor = self.world.executor()
        self.ended: Counter[str] = Counter()
        self.decided: Counter[str] = Counter()

    def _say(self, call: ModelCall) -> Outcome:
        self.world.chat.calls.clear()
        self.outputs += 1
        LEDGER.turn += 1
        offered = [str(t["function"]["name"]) for t in call.prompt.tools]
        return self.adversary.answer(offered)

    def go_on(self, tasks: int) -> None:
        """So many tasks, one after the other."""
        for number in range(tasks):
            self.task(number)

    def task(self, number: int) -> None:
        """One task from its submission to its end."""
        agent = ATTACKED[number % len(ATTACKED)]
        request = TaskRequest(goal=f"Attack {number}.", agent=agent, user_id="ann")
        tenant = TENANTS[number // len(ATTACKED) % 2]
        ref = self.world.submit(request, tenant=tenant).task.ref
        LEDGER.running = ref
        tip = self.world.run(ref, executor=self.executor)
        while isinstance(tip.next, Paused):
            tip = self._answered(ref, tip.next)
        assert isinstance(tip.next, End)
        assert tip.state.status.is_terminal
        code = tip.next.failure.code if tip.next.failure else "none"
        is_typed = code in CODES or (code == "none" and tip.state.status is TaskStatus.SUCCEEDED)
        assert is_typed, f"{tip.state.status} {code}: {tip.next.failure}"
        self.ended[f"{tip.state.status.value} {code}"] += 1
        if agent == "reader":
            effects = {made.tool for made in LEDGER.made} - {"look", "browse"}
            LEDGER.must(not effects, f"the reader has called {effects}")
        assert LEDGER.violations == []
        LEDGER.approved = [a for a in LEDGER.approved if a.task_id != ref.task_id]
        LEDGER.made.clear()

    def _answered(self, ref: TaskRef, paused: Paused) -> Any:
        for interrupt in paused.interrupts:
            self._decide(ref, interrupt)
        tip = self.world.tip(ref)
        if isinstance(tip.next, Paused | End):
            return tip
        return self.world.run(ref, executor=self.executor)

    def _decide(self, ref: TaskRef, interrupt: Interrupt) -> None:
        if isinstance(self.world.tip(ref).next, End):
            return
        try:
            decision = self._decision(interrupt)
            self.world.decide(ref, interrupt.id, decision, by="key:ann")
        except (InvalidRequest, ValidationError):  # a question that cannot be answered so
            self.world.cancel(ref)
            self.decided["cancelled"] += 1
            return
        self.decided[f"{interrupt.kind.value} {decision.decision}"] += 1
        if interrupt.call is not None and interrupt.kind is InterruptKind.APPROVAL:
            self._let(ref, interrupt, decision)

    def _decision(self, interrupt: Interrupt) -> DecisionRequest:
        if interrupt.kind is InterruptKind.QUESTION:
            return DecisionRequest(
                answer=self.dice.choice(interrupt.choices or ("Red.", CORPUS[0]))
            )
        assert interrupt.kind is InterruptKind.APPROVAL
        kind = self.dice.choice(("approve", "approve", "reject", "edit"))
        assert interrupt.call is not None
        edited = {"pay": {"to": "bob", "amount": 2}, "wire": {"amount": 50}}
        arguments = edited.get(interrupt.call.tool, {"to": "x", "body": "y"})
        return DecisionRequest.model_validate(
            {"decision": kind, **({"arguments": arguments} if kind == "edit" else {})}
        )

    def _let(self, ref: TaskRef, interrupt: Interrupt, decision: DecisionRequest) -> None:
        """What a person who approved has seen: exactly that may happen, once."""
        call = interrupt.call
        assert call is not None
        if decision.decision == "approve":
            try:
                seen = AGENTS[0].toolbox[call.tool].arguments.model_validate_json(call.arguments)
            except ValidationError as exc:
                LEDGER.must(False, f"people were asked about {call}: {exc}")
                return
            LEDGER.approved.append(Made(call.tool, ref.task_id, seen.model_dump()))
        elif decision.decision == "edit":
            LEDGER.approved.append(Made(call.tool, ref.task_id, dict(decision.arguments or {})))


@pytest.fixture(autouse=True)
def fresh_ledger() -> None:
    LEDGER.__init__()  # type: ignore[misc]


def test_ten_thousand_hostile_outputs_reach_nothing_that_the_policy_does_not_allow(
    tell: Tell,
) -> None:
    attack, began, number = Attack(SEED), time.process_time(), 0
    with quiet_log():
        while attack.outputs < OUTPUTS:
            attack.task(number)
            number += 1
    cpu = time.process_time() - began
    assert isinstance(attack.world.facts, InMemoryMemories)
    written = [place for place, drawer in attack.world.facts.drawers.items() if drawer.rows]
    tell(
        f"{attack.outputs} outputs in {number} tasks, seed {SEED}: 0 calls outside policy "
        f"among {sum(LEDGER.ran.values())}, {cpu:.0f} s of CPU; ended: {dict(attack.ended)}"
    )
    assert sum(LEDGER.ran.values()) > 2_000
    assert min(attack.decided[f"approval {kind}"] for kind in ("approve", "reject", "edit")) > 50
    assert attack.decided["question answer"] > 50
    assert {s.split()[0] for s in attack.ended} >= {"succeeded", "failed"}
    assert sorted(written) == [memory_key(t, "user:ann") for t in TENANTS]
    assert LEDGER.ran.keys() == {"look", "note", "browse", "pay", "wire", "send"}


def test_a_call_without_approval_or_for_another_tenant_would_be_noticed() -> None:
    LEDGER.running = TaskRef("acme", "task_1")
    pay = next(t for t in AGENTS[0].toolbox.values() if t.name == "pay")
    pay.call({"to": "ann", "amount": 1}, ToolContext("acme", "task_1", None, "key"))
    pay.call({"to": "eve", "amount": True}, ToolContext("globex", "task_1", None, "key"))
    assert [v.split(" ")[0] for v in LEDGER.violations] == [
        "Made(tool='pay',",
        "('eve',",
        "pay",
        "Made(tool='pay',",
    ]


def hold_nothing(patch: pytest.MonkeyPatch) -> None:
    """A bug: calls are made without asking anybody."""
    patch.setattr(step_attempt, "sort_calls", lambda calls, **_: SortedCalls(tuple(calls), ()))


def take_any_argument(patch: pytest.MonkeyPatch) -> None:
    """A bug: arguments are parsed and not validated."""

    def parse(_tool: Tool, arguments: str) -> dict[str, Any]:
        try:
            return dict(json.loads(arguments))
        except (ValueError, TypeError, RecursionError) as exc:
            raise ToolArgumentsInvalid("no object") from exc

    patch.setattr(Tool, "parse", parse)


def know_every_tool(patch: pytest.MonkeyPatch) -> None:
    """A bug: whatever is deployed can be called by every agent."""
    every = {name: tool for agent in AGENTS for name, tool in agent.toolbox.items()}
    patch.setattr(Agent, "toolbox", property(lambda _: every))


@pytest.mark.parametrize("plant", [hold_nothing, take_any_argument, know_every_tool])
def test_a_planted_bug_is_caught(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = Attack(SEED)
    plant(monkeypatch)
    with quiet_log(), pytest.raises(AssertionError):
        attack.go_on(tasks=400)
    assert LEDGER.violations
