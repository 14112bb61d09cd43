"""`make mutants`: bugs planted one by one; each must be met, fit and be caught, also with the net beside it off.

The last line is JSON. A bug that nothing meets counts as missed: it may be planted where no call goes any more.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context

from tests.simulation.bugs import Bug, all_planted
from tests.simulation.explore import play, play_dice, single_plans
from tests.simulation.handlers import installed
from tests.simulation.planted import BUGS, NETS
from tests.simulation.regressions import kept, read
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.world import World

SCHEDULES = 1_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a planted bug was caught, or that it was not."""

    bug: str
    how: str
    violation: str
    seconds: float
    unmet: tuple[str, ...] = ()
    """What of it no schedule ever met. A bug that nothing meets is no bug, whoever objects to what."""
    misfits: tuple[str, ...] = ()
    """What of it fell over itself: whoever objected, objected to that."""

    @property
    def is_caught(self) -> bool:
        """Whether any check objected, and to the bug."""
        return bool(self.violation) and not self.unmet and not self.misfits

    def __str__(self) -> str:
        """A line of the list."""
        found = f"{self.how}: {self.violation}" if self.violation else "MISSED"
        wrong = [f"NEVER MET: {label}; " for label in self.unmet]
        wrong += [f"DOES NOT FIT: {misfit}; " for misfit in self.misfits]
        return f"{self.bug:<44} {self.seconds:5.1f} s  {''.join(wrong)}{found}\n"


def hunt(name: str, *, schedules: int = SCHEDULES) -> Verdict:
    """Run the suite on a planted bug until something objects."""
    return hunt_for(next(b for b in BUGS if b.name == name), schedules=schedules)


def hunt_for(bug: Bug, *, schedules: int = SCHEDULES) -> Verdict:
    """Run the suite on a bug until something objects."""
    started = time.monotonic()
    how, violation = "", ""
    unmet: set[str] | None = None
    misfits: set[str] = set()
    with installed(), ExitStack() as nets:
        for net in bug.nets_off:
            nets.enter_context(NETS[net]())
        schedules_left = _suite(bug, schedules)
        while not violation:
            found = _objection(bug, schedules_left)
            unmet = found.unmet if unmet is None else unmet & found.unmet
            misfits |= found.misfits
            if found.world is None:
                break
            if _is_right_without(found.world):
                how, violation = found.how, found.world.ledger.violations[0]
    took, wrong = time.monotonic() - started, (unmet or set(), misfits)
    return Verdict(bug.name, how, violation, took, *(tuple(sorted(some)) for some in wrong))


@dataclass(frozen=True, slots=True)
class _Objection:
    """The schedule that broke a promise while the bug was planted, None if none did; and what was never met."""

    how: str
    world: World | None
    unmet: set[str]
    misfits: set[str]


def _objection(bug: Bug, schedules: Iterator[tuple[str, World]]) -> _Objection:
    with all_planted(bug) as plants:
        how, world = next((f for f in schedules if f[1].ledger.violations), ("", None))
    unmet = {plant.label for plant in plants if not plant.is_met}
    misfits = {f"{plant.label} ({plant.misfit})" for plant in plants if plant.misfit}
    return _Objection(how, world, unmet, misfits)


def _is_right_without(world: World) -> bool:
    """Whether the same schedule is right with the same nets off and without the bug."""
    return not play(world.story, world.injector.injected).ledger.violations


def _suite(bug: Bug, schedules: int) -> Iterator[tuple[str, World]]:
    """Stories as they are, with one fault, then as the dice say."""
    stories = [s for s in SCENARIOS if not bug.stories or s.name in bug.stories]
    for story in stories:
        yield f"{story.name}, no fault", play(story, {})
    for path in kept():
        story, plan = read(path)
        if story in stories or path.stem in bug.stories:
            yield f"{path.stem}, kept", play(story, plan)
    for story in stories:
        for plan in single_plans(story):
            yield f"{story.name}, one fault", play(story, plan)
    for seed in range(0 if bug.stories else schedules):
        yield "a random schedule", play_dice(seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Hunt all, print the list."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    names = options.names or [bug.name for bug in BUGS]
    verdicts = hunt_all(names, options.processes, sys.stdout.write)
    missed = [v.bug for v in verdicts if not v.is_caught]
    summary = {"planted": len(verdicts), "caught": len(verdicts) - len(missed), "missed": missed}
    sys.stdout.write(json.dumps(summary) + "\n")
    return 1 if missed else 0


def hunt_all(names: Sequence[str], processes: int, tell: Callable[[str], object]) -> list[Verdict]:
    """Hunt these bugs, several at once; told in the order in which they are done."""
    verdicts = []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(hunt, name) for name in names]):
            verdict = done.result()
            tell(str(verdict))
            verdicts.append(verdict)
    return verdicts


if __name__ == "__main__":
    sys.exit(main())
