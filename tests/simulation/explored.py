"""All that CI explores, as one piece of work that can be done beside other tests."""

import os
import pickle
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.explore import Figures
from tests.simulation.runner import (
    dice_pieces,
    pair_pieces,
    run_all,
    run_kills,
    single_pieces,
)

PROCESSES = 2
SCHEDULES = int(os.environ.get("SIM_SCHEDULES", "50000"))
PAIRS = int(os.environ.get("SIM_PAIRS", "10"))
ONE_IN = 40
"""Of the random schedules of several tasks, which take two to four times as long, so few are played: one in forty.
With `make sim` and `make soak` all are, 35,000 of 50,000."""
STORIES_OF_A_LINE = 3
"""Processes die at each line in the shortest stories that reach it; in all of them with `make sim`."""
NICE = 19
"""Whatever else runs goes first."""


@dataclass(frozen=True, slots=True)
class Explored:
    """Fault plans with random schedules, and processes killed at every line."""

    plans: Figures
    kills: Figures


def explore() -> Explored:
    """All one-fault plans, those of two faults, random schedules, kills."""
    plans = run_all(single_pieces(), PROCESSES, _quiet)
    pieces = [*pair_pieces(plans, most=PAIRS, seed=1), *dice_pieces(1, SCHEDULES, one_in=ONE_IN)]
    plans.add(run_all(pieces, PROCESSES, _quiet))
    return Explored(plans, run_kills(PROCESSES, _quiet, stories_of_a_line=STORIES_OF_A_LINE))


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGKILL)


def _quiet(_: Figures) -> None: ...


def explore_to(path: str) -> None:
    """Write what was found to a file. The whole process group ends with whoever holds the other end of stdin."""
    os.nice(NICE)
    with suppress(OSError):  # Linux weighs sessions first, then the processes in them: see sched(7)
        Path("/proc/self/autogroup").write_text(str(NICE))
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    Path(path).write_bytes(pickle.dumps(explore()))
