"""What the cache adds to the requests of a step, on DynamoDB as moto plays it."""

from collections.abc import Iterator

import pytest

from ratchet import Agent, SemanticCache
from ratchet.adapters.dynamodb_cache import DynamoDbResponseCache
from ratchet.adapters.dynamodb_goals import DynamoDbKnownGoals
from ratchet.adapters.dynamodb_table import Table
from ratchet.testing.chat import says
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench
from tests.contract.store.wire import watched
from tests.unit.shared.app.world import World


@pytest.fixture
def bench() -> Iterator[DynamoDbBench]:
    with mocked_aws():
        yield DynamoDbBench()


def step_requests(bench: DynamoDbBench, agent: Agent, *, times: int) -> list[tuple[int, int]]:
    """Reads and writes of the only step of so many equal tasks, each in a fresh sandbox."""
    world = World(agent, chat=lambda _: says("Here."), kept=(bench.store, bench.clock))
    table = Table(bench.client, bench.table, bench.clock)
    world.goals = DynamoDbKnownGoals(table, bench.clock)  # type: ignore[assignment]
    world.cache = DynamoDbResponseCache(table, bench.clock)
    found = []
    for _ in range(times):
        state = world.first(world.submitted())
        with watched(bench.client) as traffic:
            world.step(state)
        found.append((traffic.reads, traffic.writes))
    return found


def test_without_the_opt_in_a_step_costs_what_it_did(bench: DynamoDbBench) -> None:
    agent = Agent("talker", "Talk.", policy="react")
    assert step_requests(bench, agent, times=2) == [(1, 1), (1, 1)]


def test_a_miss_adds_a_read_and_a_write_and_a_hit_a_read(bench: DynamoDbBench) -> None:
    agent = Agent("talker", "Talk.", policy="react", cache_ttl_seconds=60)
    assert step_requests(bench, agent, times=3) == [(2, 2), (2, 1), (2, 1)]


def test_a_new_goal_adds_a_read_and_two_writes_and_a_known_one_two_reads(
    bench: DynamoDbBench,
) -> None:
    # The writes: the goal, and the reservation for the model, which is the second paid call after the embedding.
    cache = SemanticCache(threshold=0.9)
    agent = Agent("talker", "Talk.", policy="react", semantic_cache=cache)
    assert step_requests(bench, agent, times=3) == [(2, 3), (3, 1), (3, 1)]
