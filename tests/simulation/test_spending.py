"""Spend never passes a cap, and the ledger is the sum of the steps, whatever is lost: see `spending_figures`."""

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

import pytest

from ratchet.app import execute_step, lost_attempts, spending, step_attempt, tenant_allowance
from ratchet.app.lost_attempts import Reservation
from ratchet.app.tenant_allowance import TenantAllowance, TenantGovernor
from ratchet.contracts.charge import Charge
from ratchet.contracts.errors import LimitReached
from ratchet.contracts.messages import Allowance, StepRef, TaskRef
from ratchet.domain import keys
from ratchet.domain.allowance import Move
from ratchet.domain.budget import MAX_COST, worst_charge
from ratchet.domain.models import ModelSpec
from ratchet.domain.steps import End, Paused, Totals
from ratchet.domain.task import Task
from ratchet.testing.tenant_budgets import InMemoryTenantBudgets
from tests.figures import Tell
from tests.simulation.spending_figures import Figures, play_many

RUNS = int(os.environ.get("SPENDING_RUNS", "4000"))
"""A quarter of a minute on two cores; SPENDING_RUNS=50000 plays them all, in three minutes."""
SEED = int(os.environ.get("SEED", "1"))
PIECE = 500
FEW = 50
"""Most bugs show in so many runs."""


def test_no_run_passes_its_cap_and_every_ledger_adds_up(
    tell: Tell,
) -> None:
    figures = Figures()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        firsts = range(SEED, SEED + RUNS, PIECE)
        counts = [min(PIECE, SEED + RUNS - first) for first in firsts]
        for piece in pool.map(play_many, firsts, counts):
            figures.add(piece)
    tell(figures.told(SEED))
    assert figures.bad_seeds == []
    assert (figures.overshoots, figures.differences, figures.understated) == (0, 0, 0)
    assert (figures.days_passed, figures.kept, figures.unfinished) == (0, 0, 0)
    assert figures.statuses["budget_exceeded (tenant)"] > RUNS / 100
    assert figures.statuses["budget_exceeded (tokens)"] > RUNS / 100
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
    return patch.object(execute_step, "is_wary", lambda _: False)


def trusts_the_next_execution() -> AbstractContextManager[Any]:
    """An execution that follows another looks at nothing."""
    return patch.object(step_attempt, "carried", lambda _store, event, _: event.step.lost)


def looks_at_the_cap_afterwards() -> AbstractContextManager[Any]:
    """A call may be made as long as the cap is not reached, whatever the call may cost."""

    def as_much_as_it_likes(
        spec: ModelSpec, task: Task, spent: Totals, *, input_tokens: int
    ) -> tuple[int, Charge]:
        if spent.cost_microusd >= task.limits.max_cost_usd * 1_000_000:
            raise LimitReached("spent", MAX_COST)
        return 8192, worst_charge(spec, input_tokens, 8192)

    return patch.object(spending, "worst_case", as_much_as_it_likes)


def counts_the_tokens_of_answers() -> AbstractContextManager[Any]:
    """What a lost call has used is told by nobody, so its tokens are not counted."""
    return patch.object(Totals, "tokens", property(lambda totals: totals.usage.total_tokens))


def writes_no_tokens_down() -> AbstractContextManager[Any]:
    """Whoever follows knows of the dollars only."""
    write = Reservation._write

    def dollars(reservation: Reservation, charge: Charge) -> None:
        write(reservation, Charge(charge.microusd))

    return patch.object(Reservation, "_write", dollars)


def hands_no_tokens_on() -> AbstractContextManager[Any]:
    """Of attempts that lost the race, the state machine carries the dollars to the next step."""
    to_dict = StepRef.to_dict

    def dollars(step: StepRef) -> dict[str, object]:
        return {name: value for name, value in to_dict(step).items() if name != "lost_tokens"}

    return patch.object(StepRef, "to_dict", dollars)


def looks_at_the_day_afterwards() -> AbstractContextManager[Any]:
    """The tenant's cap is compared with what was spent, not with what the call may cost."""
    cover = TenantAllowance.cover
    return patch.object(TenantAllowance, "cover", lambda self, spent, _: cover(self, spent, 0))


def gives_nothing_back() -> AbstractContextManager[Any]:
    """What a task has drawn and not spent is nobody's when it ends."""
    return patch.object(TenantGovernor, "give_back", lambda *_: None)


def gives_back_whoever_ended_it() -> AbstractContextManager[Any]:
    """Also after a cancel, and after the sweeper gave up: a call may be under way of which nobody tells."""
    return patch.object(
        tenant_allowance, "is_settled", lambda tip: isinstance(tip.next, End | Paused)
    )


def gives_back_what_is_in_use() -> AbstractContextManager[Any]:
    """A resumed task goes on with what its end is about to give back."""

    def only_looks(self: TenantAllowance) -> None:
        if self.budgets is not None:
            self.stands = self.budgets.allowance(self.ref)

    return patch.object(TenantAllowance, "take_over", only_looks)


def draws_without_looking() -> AbstractContextManager[Any]:
    """Tasks of a tenant add to the day one after the other, each by what it has read before."""
    return patch.object(
        InMemoryTenantBudgets,
        "move",
        _moved_unseen,
    )


def _moved_unseen(books: InMemoryTenantBudgets, ref: TaskRef, move: Move) -> Allowance:
    books._allowances[keys.task_key(ref)] = move.after
    books._given[keys.tenant_budget_key(ref.tenant), move.after.day] += move.microusd
    return move.after


@pytest.mark.parametrize(
    "bug",
    [
        forgets_lost_calls,
        writes_nothing_down,
        drops_what_losers_spent,
        trusts_the_next_execution,
        looks_at_the_cap_afterwards,
        counts_the_tokens_of_answers,
        writes_no_tokens_down,
        hands_no_tokens_on,
        looks_at_the_day_afterwards,
        gives_nothing_back,
        gives_back_whoever_ended_it,
        gives_back_what_is_in_use,
        draws_without_looking,
    ],
)
def test_a_governor_with_this_bug_is_caught(bug: Any) -> None:
    for first in range(1, 20_000, FEW):
        with bug():
            if play_many(first, FEW).bad_seeds:
                return
    pytest.fail("no run shows it")
