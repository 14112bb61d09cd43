import pytest

from ratchet.contracts.names import StepType
from ratchet.domain.escalation import Escalate, before_step, repetitions, stuck
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.steps import StepResult
from tests.unit.shared.builders import a_result

THINKING = a_result(StepType.REASONING, Message("assistant", "Hm."))


def call(where: str = "here", found: str = "nothing", id_: str = "call_1") -> StepResult:
    said = Message("assistant", None, (ToolCall(id_, "look", where),))
    return a_result(StepType.TOOL_DISPATCH, said, Message("tool", found, (), id_), ok=True)


@pytest.mark.parametrize(
    ("work", "times"),
    [
        ([], 0),
        ([THINKING], 0),
        ([call()], 1),
        ([call(id_="a"), call(id_="b")], 2),
        ([call(), THINKING, call(), THINKING], 2),
        ([call(), call(found="something"), call()], 1),
        ([call(), call("there"), call("there")], 2),
    ],
)
def test_the_same_call_with_the_same_result_counts_whatever_its_id_and_the_thinking_between(
    work: list[StepResult], times: int
) -> None:
    assert repetitions(work) == times


def test_the_step_after_the_third_repetition_is_escalated_and_no_other() -> None:
    work = [call() for _ in range(5)]
    asked = [before_step(work[:n]) is not None for n in range(6)]
    assert asked == [False, False, False, True, False, False]
    assert before_step(work[:3]) == Escalate("the same call of look with the same result 3 times")


def test_only_the_very_next_step_is() -> None:
    work = [call(), call(), call(), THINKING]
    assert before_step(work) is None


def test_the_fifth_repetition_in_a_row_is_one_too_many() -> None:
    work = [call() for _ in range(6)]
    assert [stuck(work[:n]) is not None for n in range(7)] == [False] * 5 + [True] * 2


def test_a_step_without_calls_is_never_what_a_task_is_stuck_at() -> None:
    assert stuck([*[call()] * 5, THINKING]) is None
    assert stuck([]) is None


def test_the_order_of_arguments_does_not_hide_a_repetition() -> None:
    assert repetitions([call('{"a": 1, "b": 2}'), call('{"b": 2, "a": 1}')]) == 2
