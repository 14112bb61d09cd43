"""A flood of one tenant's tasks does not hold up another tenant's: the use cases themselves, in virtual time."""

import pytest

from ratchet.domain.admission import LimitRules
from ratchet.domain.slots import AdmissionRules
from tests.figures import Tell
from tests.simulation.town import Town, p95, quiet

FLOOD, QUIET = 10_000, 10


def run(rules: AdmissionRules, *, flood: int, quiet_at: float, is_fair_queue: bool = True) -> Town:
    town = Town(rules, is_fair_queue=is_fair_queue)
    with quiet():
        if flood:
            town.submit("big", number=flood)
        town.submit("quiet", number=QUIET, at=quiet_at)
        town.run()
    return town


def test_ten_thousand_tasks_hold_up_ten_of_another_tenant_for_no_more_than_twice_their_time(
    tell: Tell,
) -> None:
    rules = AdmissionRules(deployment=LimitRules(100, 100))
    solo = p95(run(rules, flood=0, quiet_at=60).delays("quiet"))
    town = run(rules, flood=FLOOD, quiet_at=60)
    fair = p95(town.delays("quiet"))
    figures = f"p95 start delay {fair:.2f} s, alone {solo:.2f} s; all ended after {town.now:.0f} s"
    tell(f"flood of {FLOOD} against {QUIET}, limit 100: {figures}")
    assert fair <= 2 * solo
    assert len(town.delays("big")) == FLOOD
    assert not town.slots_by_heads()
    # A lone tenant runs nine tenths of the limit, 30 s a task: slots do not stand empty for long.
    assert town.now < 1.1 * FLOOD * 30 / 90


@pytest.mark.parametrize(
    ("rules", "quiet_at"),
    [
        (AdmissionRules(tenant_limit=50), 0.0),
        (AdmissionRules(tenant_limit=50), 60.0),
        (AdmissionRules(deployment=LimitRules(100, 100)), 0.0),
        (AdmissionRules(deployment=LimitRules(20, 900)), 60.0),
    ],
)
def test_whenever_the_quiet_ones_come_and_whatever_is_limited(
    tell: Tell, rules: AdmissionRules, quiet_at: float
) -> None:
    solo = p95(run(rules, flood=0, quiet_at=quiet_at).delays("quiet"))
    fair = p95(run(rules, flood=1_000, quiet_at=quiet_at).delays("quiet"))
    tell(f"{rules}, quiet at {quiet_at:.0f} s: p95 {fair:.2f} s, alone {solo:.2f} s")
    assert fair <= 2 * solo


def test_without_the_reserve_of_a_limit_of_20_the_quiet_ones_wait_for_a_few_ends(
    tell: Tell,
) -> None:
    """Running tasks are not stopped: two of ten start at once, the others before all that wait."""
    town = run(AdmissionRules(deployment=LimitRules(20, 20)), flood=500, quiet_at=60)
    delays = town.delays("quiet")
    tell(f"limit 20: the quiet tenant's start delays {[round(d, 1) for d in delays]} s")
    assert delays[1] < 2
    assert delays[-1] < 40, "the longest task"


def test_in_a_queue_that_is_not_fair_the_doorbells_themselves_would_wait() -> None:
    rules = AdmissionRules(deployment=LimitRules(100, 100))
    solo = p95(run(rules, flood=0, quiet_at=1).delays("quiet"))
    town = run(rules, flood=1_000, quiet_at=1, is_fair_queue=False)
    assert p95(town.delays("quiet")) > 10 * solo


def test_without_limits_a_task_costs_what_it_did_before() -> None:
    """All that dispatcher and deliverer ask for ten tasks; the sweeper, once a minute, looks who waits."""
    names = run(AdmissionRules(), flood=0, quiet_at=0).faults.names
    sweeps = names.pop("store.due_tasks") // 8
    assert names.pop("store.board") == sweeps
    assert names == {
        "store.load_tip": 2 * QUIET,
        "machine.start": QUIET,
        "store.mark_started": QUIET,
        "store.deliveries": QUIET,
        "store.record_delivery": QUIET,
        "store.due_again": QUIET,
        **dict.fromkeys(("store.counted", "store.load", "store.count"), QUIET),  # the usage ledger
    }


def test_with_limits_a_task_that_starts_at_once_costs_two_reads_and_two_transactions() -> None:
    names = run(AdmissionRules(tenant_limit=50), flood=0, quiet_at=0).faults.names
    assert names["store.seat"] == names["store.unseat"] == QUIET
    assert names["store.counts"] <= 2 * QUIET
    assert names["store.park"] == names["store.first_waiting"] - names["store.seat"] == 0
