"""`make mutants`: bugs planted one by one; each must be caught, also with the net beside it off. Last line JSON."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context

from tests.simulation.bugs import Bug
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

    @property
    def is_caught(self) -> bool:
        """Whether any check objected."""
        return bool(self.violation)


def hunt(name: str, *, schedules: int = SCHEDULES) -> Verdict:
    """Run the suite on a bug until something objects."""
    bug = next(b for b in BUGS if b.name == name)
    started = time.monotonic()
    with installed(), ExitStack() as nets:
        for net in bug.nets_off:
            nets.enter_context(NETS[net]())
        schedules_left = _suite(bug, schedules)
        while (found := _objection(bug, schedules_left)) is not None:
            how, world = found
            if not bug.nets_off or _is_right_without(world):
                took = time.monotonic() - started
                return Verdict(name, how, world.ledger.violations[0], took)
    return Verdict(name, "", "", time.monotonic() - started)


def _objection(bug: Bug, schedules: Iterator[tuple[str, World]]) -> tuple[str, World] | None:
    """The next schedule that breaks a promise while the bug is planted."""
    with ExitStack() as stack:
        for plant in bug.patches:
            stack.enter_context(plant())
        return next((found for found in schedules if found[1].ledger.violations), None)


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
    """Hunt these bugs, several at once."""
    verdicts = []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for verdict in pool.map(hunt, names):
            found = f"{verdict.how}: {verdict.violation}" if verdict.is_caught else "MISSED"
            tell(f"{verdict.bug:<44} {verdict.seconds:5.1f} s  {found}\n")
            verdicts.append(verdict)
    return verdicts


if __name__ == "__main__":
    sys.exit(main())
