"""What every `KnownGoals` does: the twin in memory, and the one in DynamoDB as moto plays it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ratchet.adapters import aws
from ratchet.adapters.dynamodb_goals import DynamoDbKnownGoals
from ratchet.adapters.dynamodb_table import Table
from ratchet.contracts.errors import DataMissing, ServiceRefused, StoreUnavailable
from ratchet.contracts.limits import MAX_KNOWN_GOALS
from ratchet.domain.keys import UnsafeKey
from ratchet.domain.semantic_cache import GoalVector, KnownGoal
from ratchet.model_ports import KnownGoals
from ratchet.testing.clock import FakeClock
from ratchet.testing.known_goals import InMemoryKnownGoals
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import create_table
from tests.contract.store.samples import START_MS
from tests.contract.store.wire import faults, watched

SCOPE = "ab" * 32
TABLE = "goals"
TTL = 600
GOAL = KnownGoal("task_01", GoalVector.of([1.0, -2.0, 0.5]), START_MS + 5, START_MS // 1000 + TTL)


class MemoryBench:
    def __init__(self) -> None:
        self.clock = FakeClock(START_MS)
        self.goals: KnownGoals = InMemoryKnownGoals(self.clock)


class DynamoDbBench:
    def __init__(self) -> None:
        self.clock = FakeClock(START_MS)
        self.client = aws.client("dynamodb")
        create_table(self.client, TABLE)
        self.goals: KnownGoals = DynamoDbKnownGoals(
            Table(self.client, TABLE, self.clock), self.clock
        )


Bench = MemoryBench | DynamoDbBench


@pytest.fixture
def dynamodb() -> Iterator[DynamoDbBench]:
    with mocked_aws():
        yield DynamoDbBench()


@pytest.fixture(params=["memory", "dynamodb"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        return MemoryBench()
    found: DynamoDbBench = request.getfixturevalue(request.param)
    return found


def test_what_was_added_is_known_as_it_was(bench: Bench) -> None:
    assert list(bench.goals.newest("acme", SCOPE)) == []
    bench.goals.add("acme", SCOPE, GOAL)
    assert list(bench.goals.newest("acme", SCOPE)) == [GOAL]


def test_the_newest_comes_first(bench: Bench) -> None:
    for number in (2, 1, 3):
        bench.goals.add("acme", SCOPE, replace(GOAL, task_id=f"task_0{number}"))
    ids = [goal.task_id for goal in bench.goals.newest("acme", SCOPE)]
    assert ids == ["task_03", "task_02", "task_01"]


def test_a_goal_of_the_same_task_takes_the_place_of_the_earlier_one(bench: Bench) -> None:
    later = replace(GOAL, asked_at_ms=GOAL.asked_at_ms + 7)
    bench.goals.add("acme", SCOPE, GOAL)
    bench.goals.add("acme", SCOPE, later)
    assert list(bench.goals.newest("acme", SCOPE)) == [later]


def test_neither_another_tenant_nor_another_scope_knows_it(bench: Bench) -> None:
    bench.goals.add("acme", SCOPE, GOAL)
    for tenant, scope in (("acme2", SCOPE), ("globex", SCOPE), ("acme", "cd" * 32)):
        assert list(bench.goals.newest(tenant, scope)) == []


@pytest.mark.parametrize("tenant", ["acme#GOALS", "", "a b", "acme/../globex"])
def test_a_tenant_that_could_leave_its_place_in_the_key_is_refused(
    bench: Bench, tenant: str
) -> None:
    with pytest.raises(UnsafeKey):
        bench.goals.newest(tenant, SCOPE)
    with pytest.raises(UnsafeKey):
        bench.goals.add(tenant, SCOPE, GOAL)


def test_an_expired_goal_is_gone_though_nobody_has_deleted_it(bench: Bench) -> None:
    bench.goals.add("acme", SCOPE, GOAL)
    bench.clock.advance(TTL - 0.001)
    assert list(bench.goals.newest("acme", SCOPE)) == [GOAL]
    bench.clock.advance(0.001)
    assert list(bench.goals.newest("acme", SCOPE)) == []


def test_however_many_there_are_one_request_reads_the_newest(dynamodb: DynamoDbBench) -> None:
    memory = MemoryBench()
    wide = GoalVector.of([1.0] * 1_536)
    for number in range(MAX_KNOWN_GOALS + 5):
        goal = replace(GOAL, task_id=f"task_{number:04d}", vector=wide)
        for bench in (dynamodb, memory):
            bench.goals.add("acme", SCOPE, goal)
    with watched(dynamodb.client) as traffic:
        found = dynamodb.goals.newest("acme", SCOPE)
    assert (traffic.reads, traffic.writes) == (1, 0)
    assert list(found) == list(memory.goals.newest("acme", SCOPE))
    assert (len(found), found[0].task_id) == (MAX_KNOWN_GOALS, f"task_{MAX_KNOWN_GOALS + 4:04d}")


def test_an_item_is_in_its_tenants_partition_and_has_the_tables_ttl(
    dynamodb: DynamoDbBench,
) -> None:
    with watched(dynamodb.client) as traffic:
        dynamodb.goals.add("acme", SCOPE, GOAL)
    assert (traffic.writes, traffic.reads) == (1, 0)
    item = the_item(dynamodb)
    assert (item["pk"]["S"], item["sk"]["S"]) == (f"TENANT#acme#GOALS#{SCOPE}", "task_01")
    assert item["expires_at"]["N"] == str(GOAL.expires_at)
    assert not {"due", "due_at", "tenant_key", "task_id"} & item.keys(), "no index may show it"


@pytest.mark.parametrize("missing", ["vector", "asked_at", "expires_at"])
def test_a_damaged_goal_says_so(dynamodb: DynamoDbBench, missing: str) -> None:
    dynamodb.goals.add("acme", SCOPE, GOAL)
    item = the_item(dynamodb)
    del item[missing]
    dynamodb.client.put_item(TableName=TABLE, Item=item)
    with pytest.raises(DataMissing, match=missing):
        dynamodb.goals.newest("acme", SCOPE)


def test_a_store_that_does_not_answer_says_so(dynamodb: DynamoDbBench) -> None:
    with (
        faults(dynamodb.client, "PutItem", times=9, applied=False),
        pytest.raises(StoreUnavailable),
    ):
        dynamodb.goals.add("acme", SCOPE, GOAL)
    with (
        faults(dynamodb.client, "Query", times=9, applied=False),
        pytest.raises(StoreUnavailable),
    ):
        dynamodb.goals.newest("acme", SCOPE)


def test_a_table_that_is_not_there_is_refused(dynamodb: DynamoDbBench) -> None:
    nowhere = Table(dynamodb.client, "nowhere", dynamodb.clock)
    with pytest.raises(ServiceRefused):
        DynamoDbKnownGoals(nowhere, dynamodb.clock).newest("acme", SCOPE)


def the_item(bench: DynamoDbBench) -> dict[str, Any]:
    (item,) = bench.client.scan(TableName=TABLE)["Items"]
    found: dict[str, Any] = item
    return found
