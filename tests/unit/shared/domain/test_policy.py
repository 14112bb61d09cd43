import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.contracts.names import Complexity, StepType
from ratchet.domain.messages import Message
from ratchet.domain.policy import DIGEST_CHARS, POLICIES, AgentTraits, Done, PlanAct, React
from ratchet.domain.steps import Step, StepResult
from tests.unit.shared.builders import a_result, tool_messages

TOOLS = AgentTraits(has_tools=True, has_output=False)
PLAN = a_result(StepType.PLANNING, rating=Complexity.COMPLEX)
ACTED = a_result(StepType.TOOL_DISPATCH, *tool_messages(), ok=True)
ANSWERED = a_result(StepType.TOOL_DISPATCH, Message("assistant", "ready"))
THOUGHT = a_result(StepType.REASONING, Message("assistant", "so"))
FINAL = a_result(StepType.FINAL_SYNTHESIS, Message("assistant", "42"))


def test_a_task_begins_with_one_plan() -> None:
    assert PlanAct().next_step((), TOOLS) == Step(StepType.PLANNING, Complexity.SIMPLE)


def test_the_plan_rates_every_later_step() -> None:
    assert PlanAct().next_step([PLAN], TOOLS) == Step(StepType.TOOL_DISPATCH, Complexity.COMPLEX)
    assert PlanAct().next_step([PLAN, ANSWERED], TOOLS) == Step(
        StepType.FINAL_SYNTHESIS, Complexity.COMPLEX
    )


def test_an_agent_without_tools_goes_from_plan_to_answer() -> None:
    traits = AgentTraits(has_tools=False, has_output=False)
    assert PlanAct().next_step([PLAN], traits) == Step(StepType.FINAL_SYNTHESIS, Complexity.COMPLEX)


def test_it_acts_while_tools_are_called_and_concludes_when_they_are_not() -> None:
    policy = PlanAct()
    assert policy.next_step([PLAN, ACTED], TOOLS) == Step(
        StepType.TOOL_DISPATCH, Complexity.COMPLEX
    )
    assert policy.next_step([PLAN, ACTED, ANSWERED, FINAL], TOOLS) == Done()


@pytest.mark.parametrize(
    "result",
    [
        a_result(StepType.TOOL_DISPATCH, *tool_messages("error"), ok=False),
        a_result(StepType.TOOL_DISPATCH, *tool_messages("x" * DIGEST_CHARS), ok=True),
    ],
    ids=["failure", "long result"],
)
def test_failures_and_long_results_are_reasoned_about(result: StepResult) -> None:
    following = PlanAct().next_step([PLAN, result], TOOLS)
    assert following == Step(StepType.REASONING, Complexity.COMPLEX)
    assert PlanAct().next_step([PLAN, result, THOUGHT], TOOLS) == Step(
        StepType.TOOL_DISPATCH, Complexity.COMPLEX
    )


def test_acting_is_announced_once() -> None:
    policy, acting = PlanAct(), Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE)
    assert policy.directive(acting, [PLAN]) is not None
    assert policy.directive(acting, [PLAN, ACTED]) is None


def test_react_loops_until_an_answer_without_tools() -> None:
    policy = React()
    assert policy.next_step((), TOOLS) == Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE)
    assert policy.next_step([ACTED], TOOLS) == Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE)
    assert policy.next_step([ACTED, ANSWERED], TOOLS) == Done()


def test_react_asks_for_a_structured_answer_when_the_agent_has_an_output_type() -> None:
    traits = AgentTraits(has_tools=True, has_output=True)
    final = Step(StepType.FINAL_SYNTHESIS, Complexity.SIMPLE)
    assert React().next_step([ANSWERED], traits) == final
    assert React().directive(final, [ANSWERED]) is not None
    assert React().next_step([ANSWERED, FINAL], traits) == Done()


@given(
    name=st.sampled_from(sorted(POLICIES)),
    moves=st.lists(st.sampled_from([ACTED, ANSWERED, PLAN, THOUGHT, FINAL]), max_size=12),
    traits=st.builds(AgentTraits, has_tools=st.booleans(), has_output=st.booleans()),
)
def test_every_history_has_a_next_step_and_always_the_same(
    name: str, moves: list[StepResult], traits: AgentTraits
) -> None:
    policy = POLICIES[name]
    first, second = policy.next_step(moves, traits), policy.next_step(list(moves), traits)
    assert first == second
    if isinstance(first, Step):
        policy.directive(first, moves)
