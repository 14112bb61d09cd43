"""Spend never passes a cap, and the ledger is the sum of the steps, whatever is lost: see `spending_figures`."""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

import pytest

from ratchet.app import execute_step, lost_attempts, step_attempt
from ratchet.app.lost_attempts import Reservation
from tests.simulation.spending_figures import Figures, play_many

RUNS = int(os.environ.get("SPENDING_RUNS", "50000"))
SEED = int(os.environ.get("SEED", "1"))
PIECE = 500


def test_no_run_passes_its_cap_and_every_ledger_adds_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = Figures()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        firsts = range(SEED, SEED + RUNS, PIECE)
        counts = [min(PIECE, SEED + RUNS - first) for first in firsts]
        for piece in pool.map(play_many, firsts, counts):
            figures.add(piece)
    with capsys.disabled():
        sys.stdout.write(f"\n{figures.told(SEED)}\n")
    assert figures.bad_seeds == []
    assert (figures.overshoots, figures.differences, figures.understated) == (0, 0, 0)
    assert figures.unfinished == 0
    assert figures.unanswered > RUNS / 100  # the runs were not all calm
    assert figures.beside > RUNS / 100


def forgets_lost_calls() -> AbstractContextManager[Any]:
    """Nobody thinks of the attempt that broke off."""
    return patch.object(lost_attempts, "_follows_lost", lambda *_: False)


def writes_nothing_down() -> AbstractContextManager[Any]:
    """Further calls are made as the first one is."""
    return patch.object(Reservation, "cover", lambda *_: None)


def drops_what_losers_spent() -> AbstractContextManager[Any]:
    """A step that another attempt committed is gone on from as it is."""
    return patch.object(execute_step, "is_raced", lambda _: False)


def trusts_the_next_execution() -> AbstractContextManager[Any]:
    """An execution that follows another looks at nothing."""
    return patch.object(
        step_attempt, "carried_microusd", lambda _store, event, _: event.step.lost_microusd
    )


@pytest.mark.parametrize(
    "bug",
    [forgets_lost_calls, writes_nothing_down, drops_what_losers_spent, trusts_the_next_execution],
)
def test_a_governor_with_this_bug_is_caught(bug: Any) -> None:
    for first in range(1, 20_000, PIECE):
        with bug():
            if play_many(first, PIECE).bad_seeds:
                return
    pytest.fail("no run shows it")
