"""The routing override, in memory and in DynamoDB as moto plays it."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import ReadTimeoutError

from ratchet.adapters import aws
from ratchet.adapters.dynamodb_routing import DynamoDbRoutingOverride
from ratchet.contracts.errors import ServiceRefused, StoreUnavailable
from ratchet.ports import RoutingOverride
from ratchet.testing.routing_override import InMemoryRoutingOverride
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import TABLE, DynamoDbBench


@pytest.fixture(params=["memory", "dynamodb"])
def override(request: pytest.FixtureRequest) -> Iterator[RoutingOverride]:
    if request.param == "memory":
        yield InMemoryRoutingOverride()
        return
    with mocked_aws():
        bench = DynamoDbBench()
        yield DynamoDbRoutingOverride(aws.client("dynamodb"), table=bench.table)
        bench.close()


def test_there_is_none_until_one_is_written_and_after_it_is_taken_away(
    override: RoutingOverride,
) -> None:
    assert override.read() is None
    override.write(None)
    override.write('{"default": ["o3"]}')
    override.write('{"default": ["gpt-4o"]}')
    assert override.read() == '{"default": ["gpt-4o"]}'
    override.write(None)
    assert override.read() is None


def test_a_table_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def timeout(**_: object) -> None:
        raise ReadTimeoutError(endpoint_url="https://dynamodb")

    with mocked_aws():
        client = aws.client("dynamodb")
        override = DynamoDbRoutingOverride(client, table="routes")
        monkeypatch.setattr(client, "get_item", timeout)
        monkeypatch.setattr(client, "put_item", timeout)
        with pytest.raises(StoreUnavailable):
            override.read()
        with pytest.raises(StoreUnavailable):
            override.write("{}")


def test_a_table_that_is_not_there_is_refused_for_good() -> None:
    with mocked_aws():
        override = DynamoDbRoutingOverride(aws.client("dynamodb"), table=f"no-{TABLE}")
        with pytest.raises(ServiceRefused):
            override.read()
