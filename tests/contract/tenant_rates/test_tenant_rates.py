"""Token buckets of tenants, in memory and in DynamoDB as moto plays it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from botocore.exceptions import ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratchet.adapters import aws
from ratchet.adapters.dynamodb_rates import DynamoDbTenantRates
from ratchet.contracts.errors import StoreUnavailable
from ratchet.domain.request_rate import RequestRate
from ratchet.tenancy_ports import TenantRates
from ratchet.testing.clock import FakeClock
from ratchet.testing.tenant_rates import InMemoryTenantRates
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench

TWO_A_SECOND = RequestRate(per_second=2, burst=3)


@dataclass
class Bench:
    rates: TenantRates
    clock: FakeClock


@pytest.fixture(params=["memory", "dynamodb"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    clock = FakeClock()
    if request.param == "memory":
        yield Bench(InMemoryTenantRates(clock), clock)
        return
    with mocked_aws():
        dynamodb = DynamoDbBench()
        rates = DynamoDbTenantRates(aws.client("dynamodb"), table=dynamodb.table, clock=clock)
        yield Bench(rates, clock)
        dynamodb.close()


def test_a_burst_is_let_through_and_then_the_rate(bench: Bench) -> None:
    assert [bench.rates.take("acme", TWO_A_SECOND) for _ in range(4)] == [None, None, None, 1]
    bench.clock.advance(0.499)
    assert bench.rates.take("acme", TWO_A_SECOND) == 1
    bench.clock.advance(0.001)
    assert bench.rates.take("acme", TWO_A_SECOND) is None
    assert bench.rates.take("acme", TWO_A_SECOND) == 1


def test_after_the_seconds_that_were_told_there_is_a_token(bench: Bench) -> None:
    slow = RequestRate(per_second=1, burst=1)
    assert bench.rates.take("acme", slow) is None
    wait = bench.rates.take("acme", slow)
    assert wait == 1
    bench.clock.advance(wait)
    assert bench.rates.take("acme", slow) is None


def test_a_tenant_spends_nothing_of_another(bench: Bench) -> None:
    for _ in range(4):
        bench.rates.take("acme", TWO_A_SECOND)
    assert bench.rates.take("acme-2", TWO_A_SECOND) is None


def test_a_bucket_holds_no_more_after_a_long_time(bench: Bench) -> None:
    bench.rates.take("acme", TWO_A_SECOND)
    bench.clock.advance(3600)
    assert [bench.rates.take("acme", TWO_A_SECOND) for _ in range(4)] == [None, None, None, 1]


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    gaps=st.lists(st.integers(0, 900), max_size=60),
    per_second=st.integers(1, 20),
    burst=st.integers(1, 10),
)
def test_no_window_lets_more_through_than_burst_and_rate(
    gaps: list[int], per_second: int, burst: int
) -> None:
    clock = FakeClock()
    rates, rate = InMemoryTenantRates(clock), RequestRate(per_second, burst)
    passed = []
    for gap in gaps:
        clock.advance(gap / 1000)
        if rates.take("acme", rate) is None:
            passed.append(clock.now_ms())
    for first, start in enumerate(passed):
        for count, end in enumerate(passed[first:], start=1):
            assert count <= burst + (end - start) * 1000 // rate.token_us + 1


@settings(max_examples=20, deadline=None)
@given(gaps=st.lists(st.integers(0, 900), max_size=25), per_second=st.integers(1, 5))
def test_both_let_the_same_requests_through(gaps: list[int], per_second: int) -> None:
    clock, rate = FakeClock(), RequestRate(per_second, 3)
    memory = InMemoryTenantRates(clock)
    with mocked_aws():
        bench = DynamoDbBench()
        rates = DynamoDbTenantRates(aws.client("dynamodb"), table=bench.table, clock=clock)
        for gap in gaps:
            clock.advance(gap / 1000)
            assert rates.take("acme", rate) == memory.take("acme", rate)
        bench.close()


def test_a_table_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def timeout(**_: object) -> None:
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    with mocked_aws():
        client = aws.client("dynamodb")
        monkeypatch.setattr(client, "update_item", timeout)
        with pytest.raises(StoreUnavailable):
            DynamoDbTenantRates(client, table="rates", clock=FakeClock()).take("a", TWO_A_SECOND)
