"""What tasks draw on their tenant's day: the same in memory and in DynamoDB."""

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratchet.adapters.dynamodb_budgets import DynamoDbTenantBudgets
from ratchet.budget_ports import TenantBudgets
from ratchet.contracts.messages import Allowance, TaskRef
from ratchet.domain.allowance import Move
from ratchet.testing.clock import FakeClock
from ratchet.testing.tenant_budgets import InMemoryTenantBudgets
from tests.contract.store.wire import faults

DAY, NEXT_DAY = "2026-11-22", "2026-11-23"
ONE, TWO = TaskRef("acme", "task_1"), TaskRef("acme", "task_2")


@pytest.fixture
def dynamodb(client: Any, table: str) -> DynamoDbTenantBudgets:
    return DynamoDbTenantBudgets(client, table=table, clock=FakeClock())


@pytest.fixture(params=["memory", "dynamodb"])
def budgets(request: pytest.FixtureRequest) -> TenantBudgets:
    if request.param == "memory":
        return InMemoryTenantBudgets()
    found: DynamoDbTenantBudgets = request.getfixturevalue("dynamodb")
    return found


def draw(
    before: Allowance | None, microusd: int, *, cap: int | None = 100, day: str = DAY, by: str = "a"
) -> Move:
    ceiling = 0 if before is None else before.ceiling_microusd
    return Move(before, Allowance(day, ceiling + microusd, by), microusd, cap)


def test_a_task_that_never_drew_has_nothing(budgets: TenantBudgets) -> None:
    assert budgets.allowance(ONE) is None
    assert budgets.given_microusd("acme", DAY) == 0


def test_what_is_drawn_is_the_tasks_and_gone_from_the_day(budgets: TenantBudgets) -> None:
    move = draw(None, 60)
    assert budgets.move(ONE, move) == move.after == budgets.allowance(ONE)
    assert budgets.given_microusd("acme", DAY) == 60
    assert budgets.given_microusd("acme", NEXT_DAY) == 0
    assert budgets.given_microusd("other", DAY) == 0


def test_all_tasks_of_a_tenant_draw_on_one_day_up_to_its_cap(budgets: TenantBudgets) -> None:
    budgets.move(ONE, draw(None, 60))
    assert budgets.move(TWO, draw(None, 41)) is None
    assert budgets.allowance(TWO) is None
    assert budgets.move(TWO, draw(None, 40)) == draw(None, 40).after
    assert budgets.given_microusd("acme", DAY) == 100


def test_a_draw_above_the_cap_is_refused_on_an_untouched_day(budgets: TenantBudgets) -> None:
    assert budgets.move(ONE, draw(None, 101)) is None
    assert budgets.move(ONE, draw(None, 1, cap=0)) is None
    assert budgets.given_microusd("acme", DAY) == 0


def test_who_does_not_know_what_stands_moves_nothing_and_is_told(budgets: TenantBudgets) -> None:
    first = draw(None, 10, by="a")
    budgets.move(ONE, first)
    second = draw(first.after, 10, by="b")
    budgets.move(ONE, second)
    assert budgets.move(ONE, draw(first.after, 20, by="a")) == second.after
    assert budgets.move(ONE, draw(None, 20, by="c")) == second.after
    assert budgets.given_microusd("acme", DAY) == 20


def test_the_same_move_again_is_made_once(budgets: TenantBudgets) -> None:
    move = draw(None, 10)
    assert budgets.move(ONE, move) == budgets.move(ONE, move) == move.after
    assert budgets.given_microusd("acme", DAY) == 10


def test_what_is_given_back_can_be_drawn_again(budgets: TenantBudgets) -> None:
    drawn = draw(None, 100)
    budgets.move(ONE, drawn)
    back = Move(drawn.after, Allowance(DAY, 30, "end-1"), -70)
    assert budgets.move(ONE, back) == back.after
    assert budgets.given_microusd("acme", DAY) == 30
    assert budgets.move(TWO, draw(None, 70)) == draw(None, 70).after


def test_without_a_cap_anything_may_be_drawn(budgets: TenantBudgets) -> None:
    budgets.move(ONE, draw(None, 10_000, cap=None))
    assert budgets.given_microusd("acme", DAY) == 10_000


def test_a_new_day_is_drawn_on_by_itself(budgets: TenantBudgets) -> None:
    budgets.move(ONE, draw(None, 100))
    stands = budgets.allowance(ONE)
    tomorrow = Move(stands, Allowance(NEXT_DAY, 150, "a"), 50, 100)
    assert budgets.move(ONE, tomorrow) == tomorrow.after
    assert [budgets.given_microusd("acme", day) for day in (DAY, NEXT_DAY)] == [100, 50]


moves = st.lists(
    st.tuples(st.booleans(), st.integers(-30, 60), st.booleans(), st.sampled_from([DAY, NEXT_DAY])),
    max_size=12,
)


@settings(
    max_examples=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(moves)
def test_both_keep_the_same_books(
    client: Any, table: str, drawn: list[tuple[bool, int, bool, str]]
) -> None:
    ends = (
        InMemoryTenantBudgets(),
        DynamoDbTenantBudgets(client, table=table, clock=FakeClock()),
    )
    tenant = f"t{uuid.uuid1().hex}"
    for n, (first, microusd, is_stale, day) in enumerate(drawn):
        ref = TaskRef(tenant, "task_1" if first else "task_2")
        before = None if is_stale else ends[0].allowance(ref)
        move = draw(before, microusd, cap=100, day=day, by=f"a{n}")
        assert ends[0].move(ref, move) == ends[1].move(ref, move)
        for day_ in (DAY, NEXT_DAY):
            given_ = {end.given_microusd(tenant, day_) for end in ends}
            assert len(given_) == 1
            assert max(given_) <= 100


def test_a_move_whose_answer_was_lost_is_made_once(
    client: Any, dynamodb: DynamoDbTenantBudgets
) -> None:
    move = draw(None, 10)
    with faults(client, "TransactWriteItems", times=1, applied=True):
        assert dynamodb.move(ONE, move) == move.after
    assert dynamodb.given_microusd("acme", DAY) == 10
