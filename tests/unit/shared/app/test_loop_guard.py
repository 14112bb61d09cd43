"""What ends an agent that goes round in circles."""

from dataclasses import replace

from ratchet import Agent, Limits, tool
from ratchet.contracts.names import TaskStatus
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import End
from ratchet.testing.chat import asks, says
from tests.unit.shared.app.world import World


@tool(effect="read")
def look(where: str) -> str:
    """Look somewhere."""
    return "nothing"


LOOKS = asks(ToolCall("c1", "look", '{"where": "here"}'))
LOOP = Agent("loop", "Help.", tools=[look], policy="react")


def test_a_model_that_always_makes_the_same_call_is_stopped_after_the_better_model_has_tried() -> (
    None
):
    world = World(LOOP, chat=lambda _: LOOKS)
    ref = world.submitted()
    tip = world.run(ref)
    models = [record.result.model for record in world.steps(ref)]
    assert models == ["gpt-4o-mini"] * 3 + ["gpt-4o", "gpt-4o-mini"]
    assert tip.state.status is TaskStatus.FAILED
    assert isinstance(tip.next, End)
    assert tip.next.failure is not None
    assert tip.next.failure.code == "loop_detected"
    assert "look: called 5 times in a row" in tip.next.failure.message


def test_what_there_is_of_the_result_comes_with_the_end() -> None:
    thought = replace(LOOKS, content="I look.")
    world = World(LOOP, chat=lambda _: thought)
    end = world.run(world.submitted()).next
    assert isinstance(end, End)
    assert end.output == {"partial": "I look."}


def test_one_other_call_starts_the_count_anew() -> None:
    other = asks(ToolCall("c1", "look", '{"where": "there"}'))
    world = World(LOOP, chat=[*[LOOKS] * 4, other, *[LOOKS] * 4, says("Done.")])
    assert world.run(world.submitted()).state.status is TaskStatus.SUCCEEDED


def test_an_agent_that_polls_may() -> None:
    world = World(replace(LOOP, loop_guard=False), chat=[*[LOOKS] * 8, says("Done.")])
    assert world.run(world.submitted()).state.status is TaskStatus.SUCCEEDED


def test_a_step_that_cannot_pay_for_the_better_model_is_done_by_its_own() -> None:
    agent = replace(LOOP, limits=Limits(max_cost_usd=0.003))
    world = World(agent, chat=lambda _: LOOKS)
    ref = world.submitted()
    world.run(ref)
    fourth = world.steps(ref)[3].result
    assert fourth.model == "gpt-4o-mini"
    assert fourth.reason.startswith("cheaper than gpt-4o, which the rest of max_cost_usd")
    assert fourth.reason.endswith("escalated: the same call of look with the same result 3 times")
