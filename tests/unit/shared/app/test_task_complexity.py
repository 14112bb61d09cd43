"""Who rates a task decides its routes for its whole life, and every step says who it was."""

import json

from ratchet import Agent, tool
from ratchet.app.task_views import task_view, timeline_view
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import StepType
from ratchet.contracts.task_api import ForkRequest
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import says
from tests.unit.shared.app.world import World

PLANNED = "complex"


@tool(effect="read")
def look() -> str:
    """Look."""
    return "seen"


PLANS = Agent("plans", "Help.", tools=[look])
REACTS = Agent("reacts", "Help.", policy="react")
LONG_LIST = "\n".join(f"- demand {n} {'x' * 500}" for n in range(4))


def chat(call: ModelCall) -> ModelAnswer:
    form = call.prompt.response_format
    is_plan = form is not None and form.name == "plan"
    return says(json.dumps({"plan": ["look"], "complexity": PLANNED}) if is_plan else "Done.")


def told(world: World, ref: TaskRef) -> list[tuple[str, str | None, str | None]]:
    history = world.store.load(ref)
    assert history is not None
    steps = timeline_view(history).steps
    return [(s.complexity.value, s.complexity_source, s.model) for s in steps]


def test_the_plan_rates_a_task_whose_caller_says_nothing() -> None:
    world = World(PLANS, chat=chat)
    ref = world.submitted()
    world.run(ref)
    assert told(world, ref) == [
        ("simple", None, "o3-mini"),
        ("complex", "plan", "gpt-4o"),
        ("complex", "plan", "o3"),
    ]
    view = task_view(world.tip(ref))
    assert (view.complexity, view.complexity_source) == (None, None)


def test_the_callers_word_wins_over_the_plans() -> None:
    world = World(PLANS, chat=chat)
    ref = world.submitted(complexity="simple")
    world.run(ref)
    assert told(world, ref) == [
        ("simple", "caller", "o3-mini"),
        ("simple", "caller", "gpt-4o-mini"),
        ("simple", "caller", "gpt-4o"),
    ]
    view = task_view(world.tip(ref))
    assert (view.complexity, view.complexity_source) == ("simple", "caller")


def test_the_callers_word_holds_for_the_first_step_too() -> None:
    world = World(PLANS, chat=chat)
    ref = world.submitted(complexity="complex")
    assert world.tip(ref).task.first_step.complexity == "complex"


def test_a_task_without_a_planning_step_is_rated_by_its_goal() -> None:
    world = World(REACTS, chat=chat)
    easy, hard = world.submitted("Refund A-1."), world.submitted(LONG_LIST)
    for ref in (easy, hard):
        world.run(ref)
    assert told(world, easy) == [("simple", "heuristic", "gpt-4o-mini")]
    assert told(world, hard) == [("complex", "heuristic", "gpt-4o")]


def test_a_fork_keeps_the_rating_of_its_parent() -> None:
    world = World(PLANS, chat=chat)
    ref = world.submitted(complexity="simple")
    world.run(ref)
    fork = world.fork(ref, ForkRequest(step=1)).task.ref
    world.run(fork)
    assert told(world, fork)[0] == ("simple", "caller", "gpt-4o-mini")


def test_a_fork_of_a_planned_task_goes_by_the_plan_that_it_inherits() -> None:
    world = World(PLANS, chat=chat)
    ref = world.submitted()
    world.run(ref)
    fork = world.fork(ref, ForkRequest(step=1)).task.ref
    world.run(fork)
    assert told(world, fork)[0] == ("complex", "plan", "gpt-4o")
    assert world.steps(fork)[0].result.type is StepType.TOOL_DISPATCH
