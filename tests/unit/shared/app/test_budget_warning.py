"""What is announced while a task spends its budget: each share once, whatever happens."""

import json
from collections import Counter

import pytest

from ratchet import Agent, Limits, tool
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Action, TaskStatus
from ratchet.contracts.task_api import LimitsRequest, ResumeRequest
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.steps import StepRecord
from ratchet.model_ports import ModelAnswer, ModelCall
from tests.unit.shared.app.world import World


@tool(effect="read")
def look(n: int) -> str:
    """Look somewhere."""
    return f"seen {n}"


def spends(cap: float, *, shares: int = 10) -> World:
    """A task whose every step costs a tenth of its cap."""
    output = int(cap / shares * 1e6 / 0.6)

    def answer(call: ModelCall) -> ModelAnswer:
        said = sum(m.role == "assistant" for m in call.prompt.messages)
        asked = ToolCall(f"c{said}", "look", json.dumps({"n": said}))
        usage = Usage(0, 0, min(output, call.max_output_tokens))
        return ModelAnswer(None, (asked,), "tool_calls", usage)

    agent = Agent("spends", "", tools=[look], policy="react", limits=Limits(max_cost_usd=cap))
    return World(agent, chat=answer)


def announced(world: World) -> list[tuple[str, object]]:
    bodies = [json.loads(event.body) for event in world.sns.delivered]
    return [(b["type"], b["data"].get("percent")) for b in bodies]


def warned(records: tuple[StepRecord, ...]) -> list[tuple[int, int]]:
    return [(r.number, p) for r in records if r.warning for p in r.warning.percents]


def ended(world: World) -> TaskRef:
    ref = world.submitted()
    assert world.run(ref).state.status is TaskStatus.BUDGET_EXCEEDED
    world.announce_all(ref)
    return ref


def test_half_four_fifths_and_the_whole_budget_are_announced_while_it_is_spent() -> None:
    world = spends(0.01)
    ref = ended(world)
    kinds = announced(world)
    assert kinds == [
        ("budget.warning", 50),
        ("budget.warning", 80),
        ("budget.warning", 100),
        ("task.budget_exceeded", None),
    ]
    assert [percent for _, percent in warned(world.steps(ref))] == [50, 80, 100]


def test_a_warning_tells_what_was_spent_of_what() -> None:
    world = spends(0.01)
    ref = ended(world)
    data = json.loads(world.sns.delivered[0].body)["data"]
    number = warned(world.steps(ref))[0][0]
    spent = world.steps(ref)[number - 1].totals.cost_microusd / 1e6
    assert (data["task_id"], data["step"]) == (ref.task_id, number)
    assert (data["cost_usd"], data["max_cost_usd"]) == (spent, 0.01)


def test_a_step_that_reaches_two_shares_announces_both() -> None:
    world = spends(0.01, shares=1)
    ended(world)
    kinds = announced(world)
    assert Counter(kinds)[("budget.warning", 50)] == Counter(kinds)[("budget.warning", 80)] == 1


@pytest.mark.parametrize("rings", [0, 1, 3])
def test_however_often_the_bell_rings_each_is_announced_once(rings: int) -> None:
    world = spends(0.01)
    ref = world.submitted()
    state = world.first(ref)
    while state.action is not Action.FINISH:
        if state.action is Action.WARN:
            for _ in range(rings):
                world.announce_all(ref)
        state = world.step(state)
    world.announce_all(ref)
    world.announce_all(ref)
    assert max(Counter(announced(world)).values()) == 1
    assert len(announced(world)) == 4


def test_an_attempt_that_finds_the_step_committed_rings_again() -> None:
    world = spends(0.01)
    state = world.first(world.submitted())
    while state.action is not Action.WARN:
        before, state = state, world.step(state)
    assert world.step(before, attempt=1).action is Action.WARN


def test_a_resumed_task_is_not_warned_of_the_same_again_and_is_of_a_new_cap() -> None:
    world = spends(0.01)
    ref = world.submitted(limits={"max_cost_usd": 0.005})
    world.run(ref)
    first = warned(world.steps(ref))
    world.resume(ref)
    world.run(ref)
    assert warned(world.steps(ref)) == first
    world.resume(ref, ResumeRequest(limits=LimitsRequest(max_cost_usd=0.01)))
    world.run(ref)
    assert [p for _, p in warned(world.steps(ref))[len(first) :]] == [50, 80, 100]
