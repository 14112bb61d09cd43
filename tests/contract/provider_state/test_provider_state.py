"""What executors share about deployments: the same in memory and in DynamoDB, one request each."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratchet.adapters.dynamodb_providers import DynamoDbProviders
from ratchet.contracts.errors import StoreUnavailable
from ratchet.domain.quota import REQUESTS, SECOND, TOKENS, Move, hold
from ratchet.model_ports import ProviderState
from ratchet.testing.clock import FakeClock
from ratchet.testing.provider_state import InMemoryProviders
from tests.contract.store.wire import faults, item_bytes, watched

NOW = 1_767_225_600 * SECOND
BOTH = frozenset({REQUESTS, TOKENS})


@pytest.fixture
def dynamodb(client: Any, table: str) -> DynamoDbProviders:
    return DynamoDbProviders(client, table=table, clock=FakeClock())


@pytest.fixture(params=["memory", "dynamodb"])
def state(request: pytest.FixtureRequest) -> ProviderState:
    if request.param == "memory":
        return InMemoryProviders()
    found: DynamoDbProviders = request.getfixturevalue("dynamodb")
    return found


def at(now: int, by: int = SECOND, *, restarts: frozenset[str] = frozenset()) -> Move:
    return Move(now, {REQUESTS: by, TOKENS: 2 * by}, now + 10 * SECOND, restarts)


def test_a_line_that_was_never_taken_can_only_be_started(state: ProviderState) -> None:
    assert state.move("eu", 0, at(NOW)) == (False, {})
    started = {REQUESTS: NOW + SECOND, TOKENS: NOW + 2 * SECOND}
    assert state.move("eu", 0, at(NOW, restarts=BOTH)) == (True, started)


def test_a_line_goes_on_from_where_it_is(state: ProviderState) -> None:
    state.move("eu", 0, at(NOW, restarts=BOTH))
    stands = {REQUESTS: NOW + 2 * SECOND, TOKENS: NOW + 4 * SECOND}
    assert state.move("eu", 0, at(NOW)) == (True, stands)


def test_a_line_too_far_ahead_or_behind_is_shown_and_left_alone(state: ProviderState) -> None:
    _, stands = state.move("eu", 0, at(NOW, 6 * SECOND, restarts=BOTH))
    assert state.move("eu", 0, at(NOW)) == (False, stands)
    assert state.move("eu", 0, at(NOW + 3_600 * SECOND)) == (False, stands)
    assert state.move("eu", 0, at(NOW, restarts=BOTH)) == (False, stands)


def test_a_line_that_ends_now_is_not_idle(state: ProviderState) -> None:
    _, stands = state.move("eu", 0, at(NOW, 0, restarts=BOTH))
    assert state.move("eu", 0, at(NOW, restarts=BOTH)) == (False, stands)
    assert state.move("eu", 0, at(NOW))[0]


def test_one_kind_may_be_idle_while_the_other_is_busy(state: ProviderState) -> None:
    state.move("eu", 0, at(NOW, 4 * SECOND, restarts=BOTH))
    later = NOW + 7 * SECOND
    moved, stands = state.move("eu", 0, at(later, restarts=frozenset({REQUESTS})))
    assert (moved, stands) == (True, {REQUESTS: later + SECOND, TOKENS: NOW + 10 * SECOND})


def test_a_kind_that_is_behind_follows_the_other_and_never_goes_back(state: ProviderState) -> None:
    far = NOW + 8 * SECOND
    state.move("eu", 0, Move(NOW, {TOKENS: 8 * SECOND}, NOW, frozenset({TOKENS})))
    follow = Move(NOW, {REQUESTS: SECOND, TOKENS: 0}, far, follows=frozenset({REQUESTS}))
    stands = {REQUESTS: far + SECOND, TOKENS: far}
    assert state.move("eu", 0, follow) == (True, stands)
    assert state.move("eu", 0, follow) == (False, stands), "it is ahead now"


def test_a_line_can_be_held(state: ProviderState) -> None:
    assert state.move("eu", 0, hold(NOW, REQUESTS)) == (True, {REQUESTS: NOW})
    assert state.move("eu", 0, hold(NOW - 1, REQUESTS)) == (False, {REQUESTS: NOW})


def test_deployments_and_shards_have_lines_of_their_own(state: ProviderState) -> None:
    state.move("eu", 0, at(NOW, restarts=BOTH))
    assert state.move("eu", 1, at(NOW)) == (False, {})
    assert state.move("us", 0, at(NOW)) == (False, {})


def test_a_deployment_works_until_somebody_says_otherwise(state: ProviderState) -> None:
    assert state.probe_at("eu") == 0
    assert state.set_probe_at("eu", 5_000, seen=0) == 5_000
    assert (state.probe_at("eu"), state.probe_at("us")) == (5_000, 0)


def test_of_two_who_saw_the_same_one_changes_it(state: ProviderState) -> None:
    state.set_probe_at("eu", 5_000, seen=0)
    assert state.set_probe_at("eu", 9_000, seen=5_000) == 9_000
    assert state.set_probe_at("eu", 8_000, seen=5_000) == 9_000
    assert state.set_probe_at("eu", 0, seen=9_000) == 0
    assert state.set_probe_at("eu", 7_000, seen=0) == 7_000


def as_it_can_be(m: Move) -> Move:
    follows = m.follows if m.by.keys() == BOTH else frozenset()
    restarts = m.restarts & m.by.keys() if not follows else frozenset()
    return Move(m.now, m.by, max(m.latest, m.now), restarts, follows)


moves = st.lists(
    st.builds(
        Move,
        st.integers(0, 20).map(lambda n: NOW + n * SECOND // 2),
        st.dictionaries(st.sampled_from(sorted(BOTH)), st.integers(0, 3 * SECOND), min_size=1),
        st.integers(0, 30).map(lambda n: NOW + n * SECOND // 2),
        st.frozensets(st.sampled_from(sorted(BOTH))),
        st.frozensets(st.sampled_from(sorted(BOTH)), max_size=1),
    ).map(as_it_can_be),
    max_size=8,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moves)
def test_dynamodb_moves_a_line_as_the_fake_does(
    dynamodb: DynamoDbProviders, played: list[Move]
) -> None:
    memory, name = InMemoryProviders(), uuid.uuid1().hex
    for move in played:
        assert dynamodb.move(name, 0, move) == memory.move(name, 0, move)


@pytest.mark.parametrize(
    "ask",
    [
        lambda state: state.move("eu", 0, at(NOW)),
        lambda state: state.move("eu", 0, at(NOW, restarts=BOTH)),
        lambda state: state.probe_at("eu"),
        lambda state: state.set_probe_at("eu", 5, seen=0),
    ],
)
def test_every_question_is_one_request(
    dynamodb: DynamoDbProviders, client: Any, ask: Callable[[ProviderState], object]
) -> None:
    dynamodb.move("eu", 0, at(NOW, restarts=BOTH))
    dynamodb.set_probe_at("eu", 5_000, seen=0)
    with watched(client) as traffic:
        ask(dynamodb)
    assert len(traffic.requests) == 1


def test_items_are_numbers_under_the_providers_own_partition(
    dynamodb: DynamoDbProviders, client: Any, table: str
) -> None:
    dynamodb.move("eu", 3, at(NOW, restarts=BOTH))
    dynamodb.set_probe_at("eu", 5_000, seen=0)
    items = client.scan(TableName=table)["Items"]
    keys = sorted((item["pk"]["S"], item["sk"]["S"]) for item in items)
    assert keys == [("PROVIDER#eu", "CIRCUIT"), ("PROVIDER#eu#3", "LINE")]
    assert all(set(v) == {"N"} for item in items for k, v in item.items() if k not in ("pk", "sk"))
    assert all(item_bytes(item) < 1024 for item in items), "a move is one write unit"


def test_a_change_whose_answer_was_lost_is_recognised(
    dynamodb: DynamoDbProviders, client: Any
) -> None:
    with faults(client, "UpdateItem", times=1, applied=True):
        assert dynamodb.set_probe_at("eu", 5_000, seen=0) == 5_000


def test_a_table_that_does_not_answer_is_unavailable(
    dynamodb: DynamoDbProviders, client: Any
) -> None:
    with faults(client, "UpdateItem", times=9, applied=False), pytest.raises(StoreUnavailable):
        dynamodb.move("eu", 0, at(NOW))
