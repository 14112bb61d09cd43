"""A planted bug that nothing meets must not pass for one that was caught, nor for one that nobody found."""

from contextlib import ExitStack

import pytest

from ratchet.app.announce_task import AnnounceTask
from ratchet.app.dispatch_task import DispatchTask
from ratchet.app.resume_task import ResumeTask
from ratchet.contracts import limits
from tests.simulation.bugs import Bug, Patch, all_planted, planted, swap, wrap
from tests.simulation.handlers import installed
from tests.simulation.mutants import hunt_for
from tests.simulation.planted import BUGS, NETS

QUIET = swap(DispatchTask, "__call__", lambda *_: None)
UNUSED = wrap(ResumeTask, "_told", lambda original, *args: original(*args))


@pytest.mark.parametrize(
    ("patches", "unmet", "is_caught"),
    [
        ((QUIET,), (), True),
        ((QUIET, UNUSED), ("ResumeTask._told",), False),
        ((UNUSED,), ("ResumeTask._told",), False),
    ],
)
def test_a_bug_counts_as_caught_only_if_all_of_it_was_met(
    patches: tuple[Patch, ...], unmet: tuple[str, ...], is_caught: bool
) -> None:
    verdict = hunt_for(Bug("planted here", patches, (), ("cap",)), schedules=0)
    assert (verdict.unmet, verdict.is_caught) == (unmet, is_caught)
    assert ("NEVER MET" in str(verdict)) is bool(unmet)


MISFIT = swap(DispatchTask, "__call__", lambda _use: None)
ASTRAY = wrap(DispatchTask, "__call__", lambda _original, use, _bell: use.nowhere)


@pytest.mark.parametrize("plant", [MISFIT, ASTRAY])
def test_a_bug_that_falls_over_itself_is_not_taken_for_caught(plant: Patch) -> None:
    verdict = hunt_for(Bug("planted here", (plant,), (), ("cap",)), schedules=0)
    assert verdict.violation
    assert len(verdict.misfits) == 1
    assert not verdict.is_caught
    assert "DOES NOT FIT" in str(verdict)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_what_a_bug_takes_the_place_of_is_there(bug: Bug) -> None:
    with installed(), ExitStack() as nets:
        for net in bug.nets_off:
            nets.enter_context(NETS[net]())
        nets.enter_context(all_planted(bug))


def test_what_is_not_there_cannot_be_planted() -> None:
    with pytest.raises(AttributeError), swap(AnnounceTask, "_events", None)():
        pass


def test_a_number_cannot_tell_whether_it_was_met_and_a_property_can() -> None:
    class Thing:
        size = property(lambda _: 1)

    bug = Bug(
        "two",
        (swap(limits, "MAX_RESTARTS", 3), swap(Thing, "size", property(lambda _: 2))),
    )
    with all_planted(bug) as plants:
        assert [(plant.label, plant.is_met) for plant in plants] == [("Thing.size", False)]
        assert (limits.MAX_RESTARTS, Thing().size) == (3, 2)
        assert [plant.is_met for plant in plants] == [True]
    assert Thing().size == 1


def test_what_a_bug_plants_while_it_runs_is_none_of_its_plants() -> None:
    class Thing:
        def works(self) -> bool:
            return True

    with all_planted(Bug("one", (swap(Thing, "works", lambda _: False),))) as plants:
        with planted(Thing, "works", lambda _: True):
            assert Thing().works()
        assert [plant.is_met for plant in plants] == [False]
