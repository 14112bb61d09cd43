import pytest

from ratchet.contracts.names import Complexity, ComplexitySource, StepType
from ratchet.domain.complexity import MANY_TOOLS, Rating, guess, rate, source_of
from tests.unit.shared.builders import ACTING, PLANNING, a_result

LIST = "Compare them:\n- price\n- weight\n2. range\n3) warranty\n"
LONG = "All work and no play. " * 80


@pytest.mark.parametrize("level", Complexity)
def test_the_callers_word_is_taken_whatever_the_agent_is(level: Complexity) -> None:
    for first in (PLANNING, ACTING):
        rating = rate(level, goal=LONG, first_step=first)
        assert rating == Rating(level, ComplexitySource.CALLER)


def test_an_agent_that_plans_rates_its_task_itself() -> None:
    assert rate(None, goal=LONG, first_step=PLANNING, tools=50) is None


def test_an_agent_that_does_not_plan_is_rated_by_the_heuristic() -> None:
    rating = rate(None, goal="Refund A-1.", first_step=ACTING, tools=2)
    assert rating == Rating(Complexity.SIMPLE, ComplexitySource.HEURISTIC)


@pytest.mark.parametrize(
    ("goal", "tools", "level"),
    [
        ("Refund order A-1001.", 0, Complexity.SIMPLE),
        (LONG, 0, Complexity.SIMPLE),
        (LIST, 0, Complexity.SIMPLE),
        ("Refund order A-1001.", MANY_TOOLS, Complexity.SIMPLE),
        (LONG, MANY_TOOLS, Complexity.COMPLEX),
        (LIST, MANY_TOOLS, Complexity.COMPLEX),
        (LIST + LONG, 0, Complexity.COMPLEX),
        ("Why? When? Where? Who?", MANY_TOOLS, Complexity.COMPLEX),
        ("为何\uff1f何时\uff1f何处\uff1f何人\uff1f", MANY_TOOLS, Complexity.COMPLEX),
        ("A well-known 3.5 kW unit - is it 2.0 or 2.1?", MANY_TOOLS, Complexity.SIMPLE),
    ],
)
def test_two_of_three_signs_make_a_goal_complex(goal: str, tools: int, level: Complexity) -> None:
    assert guess(goal, tools=tools) is level


def test_a_step_was_rated_by_the_tasks_rating_or_else_by_the_plan_before_it() -> None:
    plan = a_result(StepType.PLANNING, rating=Complexity.COMPLEX)
    asked = Rating(Complexity.SIMPLE, ComplexitySource.CALLER)
    assert source_of(None, []) is None
    assert source_of(None, [plan]) is ComplexitySource.PLAN
    assert source_of(asked, [plan]) is ComplexitySource.CALLER
