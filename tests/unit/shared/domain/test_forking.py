"""What a fork inherits, as pure functions."""

import pytest

from ratchet.contracts.names import Complexity, StepType
from ratchet.contracts.request_errors import InvalidRequest, TaskNotForkable
from ratchet.domain.forking import MAX_IDS_NAMED, fork_point, instruction, with_answers
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.steps import Step, StepResult
from tests.unit.shared.builders import ACTING, a_history, a_result, tool_messages

CALLED = a_result(StepType.TOOL_DISPATCH, *tool_messages(), ok=True)


def answers(results: tuple[StepResult, ...]) -> list[str | None]:
    return [m.content for r in results for m in r.messages if m.role == "tool"]


def test_what_is_inherited_has_been_paid_for() -> None:
    paid = StepResult(
        StepType.TOOL_DISPATCH,
        Complexity.SIMPLE,
        messages=tool_messages(),
        rating=Complexity.COMPLEX,
        model="o3",
        route="tool_dispatch simple",
        reason="preferred",
        usage=Usage(100, 50, 20, 5),
        cost_microusd=30,
    )
    point = fork_point(a_history(paid), None)
    (inherited,) = point.inherited
    assert (point.step, point.next) == (1, ACTING)
    assert (inherited.usage, inherited.cost_microusd, inherited.model) == (Usage(), 0, None)
    assert (inherited.messages, inherited.rating) == (paid.messages, Complexity.COMPLEX)


def test_a_step_that_said_nothing_leaves_nothing_to_inherit() -> None:
    silent = StepResult(StepType.REASONING, Complexity.SIMPLE)
    assert fork_point(a_history(CALLED, silent), 2).inherited == (CALLED,)


def test_calls_that_wait_for_their_results_are_no_place_to_go_on_from() -> None:
    asked = Message("assistant", None, (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}")))
    told = Message("tool", "saw it", tool_call_id="a")
    waiting = a_result(StepType.TOOL_DISPATCH, asked, told)
    with pytest.raises(TaskNotForkable, match="step 2 waits for the result of b; fork from an"):
        fork_point(a_history(CALLED, waiting), None)
    later = a_result(StepType.TOOL_DISPATCH, Message("tool", "approved", tool_call_id="b"))
    assert fork_point(a_history(CALLED, waiting, later), None).step == 3


def test_of_two_calls_with_the_same_id_the_latest_is_answered_anew() -> None:
    assert answers(with_answers((CALLED, CALLED), {"call_1": "lost it"})) == [
        "found it",
        "lost it",
    ]


def test_without_answers_the_work_stays_as_it_is() -> None:
    assert with_answers((CALLED,), {}) == (CALLED,)


def test_only_the_latest_of_many_known_calls_are_named() -> None:
    many = tuple(
        a_result(StepType.TOOL_DISPATCH, Message("tool", "x", tool_call_id=f"call_{n}"))
        for n in range(MAX_IDS_NAMED + 1)
    )
    with pytest.raises(InvalidRequest, match=r"up to that step are \.\.\., call_1, call_2, "):
        with_answers(many, {"other": "x"})


def test_an_instruction_is_a_users_message_of_the_step_that_it_precedes() -> None:
    said = instruction("Be brief.", before=Step(StepType.REASONING, Complexity.COMPLEX))
    assert (said.type, said.complexity) == (StepType.REASONING, Complexity.COMPLEX)
    assert said.messages == (Message("user", "[ratchet:fork] Be brief."),)
