"""When a step of a simple task is done by the complex route, and what its record says of it."""

import json
from collections.abc import Callable, Iterator

import pytest

from ratchet import Agent, Answer, Confidence, Limits, tool
from ratchet.contracts.errors import ModelThrottled, ModelUnavailable
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import StepType, TaskStatus
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import End, StepRecord
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import USAGE, Outcome, asks, says
from tests.unit.shared.app.world import World

SMALL, LARGE = "gpt-4o-mini", "gpt-4o"


@tool(effect="read")
def look(where: str) -> str:
    """Look."""
    return f"nothing {where}"


def unsure(answer: Answer) -> Confidence:
    return Confidence.LOW if "guess" in answer.text else Confidence.OK


def checked(check: Callable[[Answer], Confidence] = unsure, **options: object) -> Agent:
    return Agent("careful", "Help.", tools=[look], policy="react", check=check, **options)  # type: ignore[arg-type]


def by_model(small: Outcome, large: Outcome) -> Callable[[ModelCall], Outcome]:
    return lambda call: small if call.model == SMALL else large


def ran(world: World, **request: object) -> tuple[TaskRef, tuple[StepRecord, ...]]:
    ref = world.submitted(**request)  # type: ignore[arg-type]
    world.run(ref)
    return ref, world.steps(ref)


def output(world: World, ref: TaskRef) -> object:
    end = world.tip(ref).next
    assert isinstance(end, End)
    return end.output


def test_an_answer_of_low_confidence_is_replaced_by_the_complex_routes_once() -> None:
    world = World(checked(), chat=by_model(says("A guess."), says("Another guess.")))
    ref, (step,) = ran(world)
    assert [call.model for call in world.chat.calls] == [SMALL, LARGE]
    assert step.result.model == LARGE
    assert step.result.reason == (f"preferred; escalated: low confidence in the answer of {SMALL}")
    assert output(world, ref) == "Another guess."
    assert world.chat.calls[0].prompt == world.chat.calls[1].prompt
    assert step.result.usage == says("A guess.").usage + says("Another guess.").usage
    (other,) = step.result.others
    assert (other.model, other.usage) == (SMALL, says("A guess.").usage)
    assert 0 < other.cost_microusd < step.result.cost_microusd


def test_a_sure_answer_costs_one_call() -> None:
    world = World(checked(), chat=by_model(says("Surely."), says("-")))
    _, (step,) = ran(world)
    assert (len(world.chat.calls), step.result.reason) == (1, "preferred")


def test_what_asks_is_not_checked() -> None:
    answers = iter([asks(ToolCall("c", "look", '{"where": "guess"}')), says("Surely.")])
    world = World(checked(), chat=lambda _: next(answers))
    _, steps = ran(world)
    assert [step.result.model for step in steps] == [SMALL, SMALL]


def test_the_check_sees_type_text_and_the_value_of_the_result() -> None:
    seen: list[Answer] = []

    def look_at(answer: Answer) -> Confidence:
        seen.append(answer)
        return Confidence.OK

    world = World(checked(look_at), chat=[says("Surely.")])
    ran(world)
    assert seen == [Answer(StepType.TOOL_DISPATCH, "Surely.", "Surely.")]


@pytest.mark.parametrize(
    ("large", "why"),
    [
        (ModelThrottled("later"), "no answer: model_throttled"),
        (ModelUnavailable("down"), "no answer: model_unavailable"),
        (ModelAnswer(None, (), "stop", USAGE, refusal="No."), "no answer: model_refused"),
        (says(""), "no usable answer"),
    ],
)
def test_an_answer_in_hand_stands_when_the_complex_route_has_none(large: Outcome, why: str) -> None:
    world = World(checked(), chat=by_model(says("A guess."), large))
    ref, (step,) = ran(world)
    assert output(world, ref) == "A guess."
    assert step.result.model == SMALL
    assert step.result.reason == f"preferred; low confidence, but the complex route gave {why}"


def test_it_stands_too_when_the_cap_does_not_pay_for_another_call() -> None:
    # Enough for the small model's worst case, not for the large one's.
    agent = checked(limits=Limits(max_cost_usd=0.002))
    world = World(agent, chat=by_model(says("A guess."), says("-")))
    ref, (step,) = ran(world)
    assert output(world, ref) == "A guess."
    assert "max_cost_usd" not in step.result.reason
    assert step.result.reason.endswith("gave no answer: limit_reached")


def test_a_step_of_the_complex_route_has_nowhere_to_go_but_says_what_the_check_thinks() -> None:
    world = World(checked(), chat=by_model(says("-"), says("A guess.")))
    _, (step,) = ran(world, complexity="complex")
    assert (step.result.model, step.result.reason) == (LARGE, "preferred; low confidence")


def broken(_: Answer) -> Confidence:
    raise LookupError("a bug")


def mistyped(_: Answer) -> Confidence:
    return "perhaps"  # type: ignore[return-value]


@pytest.mark.parametrize(("check", "error"), [(broken, "LookupError"), (mistyped, "ValueError")])
def test_a_check_that_fails_leaves_the_answer_and_a_note(
    check: Callable[[Answer], Confidence], error: str
) -> None:
    world = World(checked(check), chat=[says("Surely.")])
    ref, (step,) = ran(world)
    assert step.result.reason == f"preferred; its check failed: {error}"
    assert world.tip(ref).state.status is TaskStatus.SUCCEEDED


def test_the_third_repetition_of_a_call_sends_one_step_to_the_complex_route() -> None:
    again = asks(ToolCall("c", "look", json.dumps({"where": "here"})))
    answers: list[ModelAnswer] = [again, again, again, again, says("Nothing is there.")]
    given = iter(answers)
    world = World(Agent("loops", "Help.", tools=[look], policy="react"), chat=lambda _: next(given))
    _, steps = ran(world)
    assert [step.result.model for step in steps] == [SMALL, SMALL, SMALL, LARGE, SMALL]
    assert steps[3].result.reason == (
        "preferred; escalated: the same call of look with the same result 3 times"
    )


def test_an_attempt_that_runs_again_decides_the_same() -> None:
    again = asks(ToolCall("c", "look", json.dumps({"where": "here"})))
    answers: list[Outcome] = [
        again,
        again,
        again,
        ModelUnavailable("reset"),
        says("Nothing is there."),
    ]
    given: Iterator[Outcome] = iter(answers)
    world = World(Agent("loops", "Help.", tools=[look], policy="react"), chat=lambda _: next(given))
    _, steps = ran(world)
    assert [call.model for call in world.chat.calls][3:] == [LARGE, LARGE]
    assert steps[3].result.reason.endswith("3 times")
