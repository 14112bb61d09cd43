"""What the two-fault plans leave out: plans that are the same schedule as one that is played."""

from collections import Counter

from tests.simulation.alike import last_of, played_for, trace, weight, weights
from tests.simulation.explore import play, single_plans
from tests.simulation.faults import KINDS, Fault
from tests.simulation.handlers import installed
from tests.simulation.scenarios import SCENARIOS

STORY = next(story for story in SCENARIOS if story.name == "unsafe")


def test_each_plan_is_played_or_stood_for_once() -> None:
    with installed():
        plans = list(single_plans(STORY))
    stood_for = Counter(frozenset(played_for(plan).items()) for plan in plans)
    assert stood_for == {frozenset(p.items()): weight(p) for p in plans if weight(p)}
    assert all(weights(site).total() == len(kinds) for site, kinds in KINDS.items())


def test_plans_that_stand_for_each_other_are_the_same_schedule() -> None:
    with installed():
        for plan in single_plans(STORY):
            if weight(plan) > 1:
                assert last_of(plan) != plan
                assert trace(play(STORY, plan)) == trace(play(STORY, last_of(plan)))


def test_another_fault_is_another_schedule() -> None:
    """So the comparison can fail: a write that was lost has happened, and one that was refused has not."""
    kinds = (Fault.REFUSED, Fault.LOST, Fault.STALLED)
    with installed():
        worlds = [play(STORY, {("step_executor:store.commit", 1): kind}) for kind in kinds]
    assert len({trace(world) for world in worlds}) == len(kinds)


def test_a_word_of_the_faults_kind_would_be_seen() -> None:
    """A tool is told which error it was: there, no fault stands for another."""
    assert set(weights("step_executor:tool.pay").values()) == {1}
    with installed():
        worlds = [
            play(STORY, {("step_executor:tool.pay", 1): kind})
            for kind in (Fault.REFUSED, Fault.UNKNOWN)
        ]
    assert trace(worlds[0]) != trace(worlds[1])
