"""Who starts next, and how many may run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.contracts import limits
from ratchet.domain.admission import (
    Candidate,
    Limit,
    LimitRules,
    Signals,
    Slots,
    adjusted,
    choose,
)

RULES = LimitRules(minimum=20, maximum=900)
COUNTS = st.integers(0, 10_000)
SIGNALS = st.builds(
    Signals, depth=COUNTS, running=COUNTS, calls=COUNTS, throttled=COUNTS, parked=COUNTS
)


def limit_after(before: Limit | int, **seen: int) -> int:
    limit = before if isinstance(before, Limit) else Limit(before)
    return adjusted(limit, Signals(**{"depth": 0, "running": 0, **seen}), RULES).value


def head(tenant: str, since_ms: int = 0, priority: int = 0) -> Candidate:
    return Candidate(tenant, f"{tenant}-{since_ms}", since_ms, priority)


def test_an_idle_deployment_falls_to_the_minimum() -> None:
    assert limit_after(900, depth=0, running=0) == 20


def test_without_a_backlog_the_limit_falls_no_further_than_to_what_runs_and_a_few_more() -> None:
    assert limit_after(900, depth=0, running=300) == 310
    assert limit_after(100, depth=0, running=300) == 100


@pytest.mark.parametrize(("depth", "after"), [(1, 40), (10, 40), (11, 80), (10_000, 80)])
def test_only_a_backlog_above_ten_raises_the_limit(depth: int, after: int) -> None:
    assert limit_after(40, depth=depth, running=40) == after


def test_the_limit_stops_at_the_maximum() -> None:
    assert limit_after(800, depth=50, running=800) == 900


def test_answers_429_take_a_fifth_of_what_runs_and_later_rises_are_careful() -> None:
    cut = adjusted(Limit(400), Signals(500, 400, calls=100, throttled=10), RULES)
    assert cut == Limit(320, throttled_at=400)

    assert limit_after(cut, depth=500, running=320) == 336
    assert limit_after(Limit(20, throttled_at=400), depth=500, running=20) == 40


def test_one_429_in_a_thousand_calls_changes_nothing() -> None:
    assert limit_after(100, depth=500, running=100, calls=1_000, throttled=1) == 200
    assert limit_after(100, depth=500, running=100, calls=999, throttled=1) == 80


def test_steps_that_park_for_the_token_bucket_hold_the_limit() -> None:
    assert limit_after(100, depth=500, running=100, calls=100, parked=10) == 200
    assert limit_after(100, depth=500, running=100, calls=100, parked=11) == 100


@given(COUNTS, SIGNALS)
def test_the_limit_stays_within_its_rules(before: int, seen: Signals) -> None:
    assert 20 <= adjusted(Limit(before), seen, RULES).value <= 900


def test_rules_that_leave_no_room_are_refused() -> None:
    with pytest.raises(ValueError, match="between 1 <= minimum <= maximum"):
        LimitRules(minimum=10, maximum=9)


def test_the_tenant_with_the_least_running_goes_first() -> None:
    slots = Slots(100, {"big": 50, "quiet": 1})

    assert choose([head("big", 0), head("quiet", 900)], slots) == head("quiet", 900)


def test_among_equals_priority_decides_then_age() -> None:
    slots = Slots(100, {})

    assert choose([head("a", 1), head("b", 2, priority=5)], slots) == head("b", 2, priority=5)
    assert choose([head("a", 2), head("b", 1)], slots) == head("b", 1)


def test_priority_does_not_buy_another_tenants_share() -> None:
    slots = Slots(100, {"big": 50, "quiet": 10})

    assert choose([head("big", 0, priority=99), head("quiet", 5)], slots) == head("quiet", 5)


def test_a_tenants_own_tasks_go_by_priority_then_age() -> None:
    tasks = [head("a", 3), head("a", 1), head("a", 9, priority=1)]

    assert [t.since_ms for t in sorted(tasks, key=lambda t: t.rank)] == [9, 1, 3]


def test_a_tenant_at_its_cap_waits_while_others_start() -> None:
    slots = Slots(100, {"a": 5, "b": 6}, tenant_limit=5, tenant_limits={"b": 7})

    assert choose([head("a"), head("b")], slots) == head("b")
    assert choose([head("a")], slots) is None


def test_a_tenth_of_the_slots_is_kept_for_tenants_that_have_little() -> None:
    slots = Slots(100, {"big": 90})

    assert choose([head("big")], slots) is None
    assert choose([head("big"), head("quiet")], slots) == head("quiet")
    assert choose([head("quiet")], Slots(100, {"big": 90, "quiet": 10})) is None


def test_nobody_starts_when_all_slots_are_taken() -> None:
    assert choose([head("quiet")], Slots(100, {"big": 100})) is None


def test_without_fairness_the_oldest_starts_and_nothing_is_kept() -> None:
    slots = Slots(100, {"big": 99}, is_fair=False)

    assert choose([head("big", 0), head("quiet", 1, priority=9)], slots) == head("big", 0)


@given(
    st.integers(1, 50),
    st.dictionaries(st.sampled_from("abcde"), st.integers(1, 40), min_size=1),
)
def test_starting_one_after_another_never_passes_the_limit_and_is_even(
    limit: int, waiting: dict[str, int]
) -> None:
    left, running = dict(waiting), dict.fromkeys(waiting, 0)
    while task := choose((head(t) for t, n in left.items() if n), Slots(limit, running)):
        left[task.tenant] -= 1
        running[task.tenant] += 1

    reserve = limit * limits.ADMISSION_RESERVE_PERCENT // 100
    assert limit - reserve <= sum(running.values()) <= limit or not any(left.values())
    kept_waiting = [running[tenant] for tenant, count in left.items() if count]
    assert all(most <= least + 1 for least in kept_waiting for most in running.values())
