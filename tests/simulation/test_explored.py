"""What the explorations beside the suite have found: see tests/beside.py."""

import pytest

from tests.figures import Tell
from tests.simulation.explore import Figures
from tests.simulation.explored import PAIRS, SCHEDULES, Explored
from tests.simulation.report import coverage, lines, missing
from tests.simulation.scenarios import COMPLETE


@pytest.fixture
def figures(explored: Explored) -> Figures:
    """Fault plans and random schedules."""
    return explored.plans


def test_no_schedule_breaks_a_promise(figures: Figures, tell: Tell) -> None:
    told = [
        f"{sum(figures.singles.values())} one-fault plans (all), "
        f"{sum(figures.two_fault_plans.values())} two-fault plans, {SCHEDULES} random schedules, "
        f"{figures.faults} faults, {figures.calls} calls",
        *lines(figures),
    ]
    tell("\n".join(told))
    assert figures.failures == []
    assert missing(figures) == []
    assert coverage(figures) == 1.0


@pytest.mark.skipif(PAIRS == 0, reason="no two-fault plans were asked for")
def test_every_two_fault_plan_of_twelve_stories_was_tried(figures: Figures) -> None:
    assert set(COMPLETE) <= set(figures.complete)
    assert len(figures.complete) >= 12
    assert sum(figures.two_fault_plans[name] for name in figures.complete) >= 150_000


def test_a_process_may_die_at_any_line(explored: Explored, tell: Tell) -> None:
    figures = explored.kills
    tell(f"{figures.kills} kills at {len(figures.lines)} (role, line)")
    assert figures.failures == []
    assert figures.violations == 0
    assert figures.kills > 3_000
