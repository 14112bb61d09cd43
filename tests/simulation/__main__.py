"""`make sim`: all one-fault plans, plans of two faults, and random schedules; the last line is JSON."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence

from tests.simulation.explore import Figures
from tests.simulation.regressions import keep
from tests.simulation.report import coverage, lines
from tests.simulation.runner import dice_pieces, pair_pieces, run_all, run_kills, single_pieces
from tests.simulation.scenarios import SCENARIOS


def main(arguments: Sequence[str] | None = None) -> int:
    """Explore, and say what was found; 1 when a promise was broken."""
    options = _options(arguments)
    started = time.monotonic()
    total = Figures()
    singles = run_all(single_pieces(), options.processes, _quiet)
    _say(
        f"one-fault plans: {sum(singles.singles.values())} (all), violations: {singles.violations}"
    )
    pieces = pair_pieces(singles, most=options.pairs, seed=options.seed)
    pairs = run_all(pieces, options.processes, _progress)
    _say(f"two-fault plans: {sum(pairs.two_fault_plans.values())}, violations: {pairs.violations}")
    kills = run_kills(options.processes, _quiet, stories_of_a_line=len(SCENARIOS))
    _say(f"kills: {kills.kills} at {len(kills.lines)} lines, violations: {kills.violations}")
    began = time.monotonic()
    dice = run_all(dice_pieces(options.seed, options.schedules), options.processes, _progress)
    took = time.monotonic() - began
    rate = dice.schedules / max(took, 0.001)
    _say(
        f"random schedules: {dice.schedules} from seed {options.seed}, {rate:.0f}/s, "
        f"violations: {dice.violations}"
    )
    for figures in (singles, pairs, kills, dice):
        total.add(figures)
    for line in lines(total):
        _say(line)
    for failure in total.failures[:20]:
        _say(
            f"VIOLATION {failure.violations[0]}\n  story {failure.story} seed {failure.seed} plan {failure.plan}"
        )
        _say(f"  kept in {keep(failure)}")
    _say(json.dumps(_summary(total, dice, time.monotonic() - started)))
    return 1 if total.violations else 0


def _summary(total: Figures, dice: Figures, seconds: float) -> dict[str, object]:
    return {
        "schedules": dice.schedules,
        "faults": total.faults,
        "calls": total.calls,
        "scenarios": len(SCENARIOS),
        "two_fault_plans": sum(total.two_fault_plans.values()),
        "two_fault_complete": total.complete,
        "violations": total.violations,
        "coverage": coverage(total),
        "seconds": round(seconds, 1),
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=50_000, help="random schedules")
    parser.add_argument("--seed", type=int, default=1, help="of the first random schedule")
    parser.add_argument(
        "--pairs",
        type=int,
        default=5_000,
        help="most two-fault plans of a story that is not in COMPLETE; 0: none of any story",
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 2)
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _quiet(_: Figures) -> None: ...


def _progress(figures: Figures) -> None:
    if figures.schedules % 10_000 == 0:
        _say(f"  {figures.schedules} schedules, {figures.violations} violations")


if __name__ == "__main__":
    sys.exit(main())
