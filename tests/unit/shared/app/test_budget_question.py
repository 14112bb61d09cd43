"""What happens when a limit is reached and the agent may ask a person."""

import json
from typing import Any

import pytest

from ratchet import Agent, Limits, tool
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.limits import INTERRUPT_SECONDS, MAX_STEPS_CAP
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import InterruptKind, TaskStatus
from ratchet.domain.budget_question import raised
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import End, Interrupt, Paused
from ratchet.domain.task import TaskLimits
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import USAGE, says
from tests.unit.shared.app.world import World


@tool(effect="read")
def look(n: int) -> str:
    """Look somewhere."""
    return f"seen {n}"


def agent(**limits: Any) -> Agent:
    return Agent(
        "asks",
        "Help.",
        tools=[look],
        policy="react",
        limits=Limits(**limits),
        ask_over_budget=True,
    )


def script(call: ModelCall) -> ModelAnswer:
    said = sum(m.role == "assistant" for m in call.prompt.messages)
    if said == 5:
        return says("Done.")
    asked = ToolCall(f"c{said}", "look", json.dumps({"n": said}))
    return ModelAnswer(f"Thought {said}.", (asked,), "tool_calls", USAGE)


def paused(world: World, ref: TaskRef) -> Interrupt:
    waits = world.tip(ref).next
    assert isinstance(waits, Paused)
    return waits.interrupts[0]


def answered(world: World, ref: TaskRef, answer: str) -> None:
    world.decide(ref, paused(world, ref).id, DecisionRequest(answer=answer))


@pytest.mark.parametrize(
    ("limits", "more"),
    [
        ({"max_steps": 2}, "max_steps=4"),
        ({"max_cost_usd": 0.0003}, "max_cost_usd=0.0006"),
        ({"max_tokens": 700}, "max_tokens=1400"),
    ],
)
def test_a_limit_that_is_reached_is_asked_about(limits: dict[str, Any], more: str) -> None:
    world = World(agent(**limits), chat=script)
    ref = world.submitted()
    tip = world.run(ref)
    asked = paused(world, ref)
    assert tip.state.status is TaskStatus.INPUT_REQUIRED
    assert asked.kind is InterruptKind.BUDGET
    assert asked.choices == ("raise", "finish")
    assert f"Go on with {more}, or finish" in asked.question


def test_raise_goes_on_with_twice_as_much_and_asks_again() -> None:
    world = World(agent(max_steps=2), chat=script)
    ref = world.submitted()
    for allowed in (4, 8):
        assert world.run(ref).state.status is TaskStatus.INPUT_REQUIRED
        answered(world, ref, "raise")
        assert world.tip(ref).task.limits.max_steps == allowed
    tip = world.run(ref)
    assert (tip.state.status, tip.totals.steps) == (TaskStatus.SUCCEEDED, 6)


def test_finish_ends_with_what_there_is() -> None:
    world = World(agent(max_steps=2), chat=script)
    ref = world.submitted()
    world.run(ref)
    answered(world, ref, "finish")
    end = world.tip(ref).next
    assert isinstance(end, End)
    assert (end.status, end.output) == (TaskStatus.BUDGET_EXCEEDED, {"partial": "Thought 1."})
    assert end.failure is not None
    assert end.failure.code == "max_steps"
    assert end.failure.message.startswith("a person chose to finish")


def test_without_an_answer_the_task_ends_as_it_would_have() -> None:
    world = World(agent(max_steps=2), chat=script)
    ref = world.submitted()
    world.run(ref)
    world.clock.advance(INTERRUPT_SECONDS)
    world.sweep()
    end = world.tip(ref).next
    assert isinstance(end, End)
    assert (end.status, end.output) == (TaskStatus.BUDGET_EXCEEDED, {"partial": "Thought 1."})


def test_a_cancelled_question_leaves_no_word_about_calls() -> None:
    world = World(agent(max_steps=2), chat=script)
    ref = world.submitted()
    world.run(ref)
    world.cancel(ref)
    assert world.steps(ref)[-1].result.messages == ()


def test_the_same_attempt_again_asks_the_same() -> None:
    world = World(agent(max_steps=1), chat=script)
    ref = world.submitted()
    state = world.step(world.first(ref))
    world.step(state)
    asked = paused(world, ref)
    world.step(state, attempt=1)
    assert paused(world, ref) == asked


def test_what_a_person_cannot_raise_is_not_asked_about() -> None:
    assert raised(TaskLimits(max_steps=MAX_STEPS_CAP), "max_steps") is None
    assert raised(TaskLimits(), "tenant_daily_cap") is None
    more = raised(TaskLimits(max_steps=MAX_STEPS_CAP - 1), "max_steps")
    assert more is not None
    assert more.max_steps == MAX_STEPS_CAP
    world = World(agent(), chat=script, tenant_caps="*=0")
    tip = world.run(world.submitted())
    assert tip.state.status is TaskStatus.BUDGET_EXCEEDED
