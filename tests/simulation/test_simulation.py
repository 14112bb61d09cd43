"""The promises of DESIGN.md section 2 under every fault: see RELIABILITY.md section 4."""

from pathlib import Path

import pytest

from tests.simulation import (
    planted_approvals,
    planted_memories,
    planted_offices,
    planted_sessions,
    planted_usage,
)
from tests.simulation.explore import play, play_dice
from tests.simulation.faults import Fault
from tests.simulation.handlers import installed
from tests.simulation.mutants import hunt
from tests.simulation.regressions import kept, replay
from tests.simulation.scenarios import SCENARIOS


@pytest.mark.parametrize("path", kept(), ids=lambda path: path.stem)
def test_what_was_broken_once_stays_mended(path: Path) -> None:
    with installed():
        assert replay(path) == []


def test_the_same_seed_is_the_same_schedule() -> None:
    with installed():
        first, second, other = (play_dice(seed) for seed in (7, 7, 8))
    assert first.injector.calls == second.injector.calls
    assert first.network.digest == second.network.digest
    assert first.network.digest != other.network.digest


@pytest.mark.parametrize("story", SCENARIOS, ids=lambda story: story.name)
def test_a_quiet_day_needs_no_net(story: object) -> None:
    with installed():
        world = play(next(s for s in SCENARIOS if s is story), {})
    assert world.ledger.violations == []


def test_a_dead_process_makes_no_more_calls() -> None:
    story = next(s for s in SCENARIOS if s.name == "planned")
    with installed():
        world = play(story, {("step_executor:store.commit", 1): Fault.DIED_BEFORE})
    assert world.injector.calls.count("step_executor:store.load") == 2
    assert world.ledger.violations == []


@pytest.mark.parametrize(
    "bug",
    [
        "no due at create",
        "commit without condition",
        "end without the head",
        "no intent before an unsafe tool",
        "tool key by place in the answer",
        "due again without condition",
        "warm history taken for complete",
        "webhook id of each attempt",
        "webhook sent again and still disabled",
        "dead delivery stays dead",
        "effect begun after the commit",
        "attempt before not waited for",
        "pause without the head",
        "question open for ever",
        "bodies left behind",
        "content in a log record",
        "content in an error",
        "roll-over takes the current version",
        "resume forgets the version",
        *(bug.name for bug in planted_approvals.BUGS),
        *(bug.name for bug in planted_usage.BUGS),
        "running limit not checked",
        "slot taken without a look at the counters",
        "slot never given back",
        "slot given back twice",
        "nobody rings for those that wait",
        "late start taken for one after the answer",
        "slot taken for kept over an answer",
        *(bug.name for bug in planted_sessions.BUGS),
        *(bug.name for bug in planted_memories.BUGS),
        *(bug.name for bug in planted_offices.BUGS),
    ],
)
def test_a_planted_bug_is_caught(bug: str) -> None:
    assert hunt(bug).is_caught
