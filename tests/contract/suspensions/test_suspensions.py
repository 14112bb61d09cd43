"""Suspended tenants, in memory and in DynamoDB as moto plays it."""

from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import HTTPClientError

from ratchet.adapters import aws
from ratchet.adapters.dynamodb_suspensions import DynamoDbSuspensions
from ratchet.contracts.errors import StoreUnavailable
from ratchet.domain.suspension import Suspension
from ratchet.tenancy_ports import Suspensions
from ratchet.testing.suspensions import InMemorySuspensions
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench

SINCE = Suspension(1_700_000_000_000, "unpaid")


@pytest.fixture(params=["memory", "dynamodb"])
def suspensions(request: pytest.FixtureRequest) -> Iterator[Suspensions]:
    if request.param == "memory":
        yield InMemorySuspensions()
        return
    with mocked_aws():
        dynamodb = DynamoDbBench()
        yield DynamoDbSuspensions(aws.client("dynamodb"), table=dynamodb.table)
        dynamodb.close()


def test_a_tenant_is_suspended_until_it_goes_on(suspensions: Suspensions) -> None:
    assert suspensions.find("acme") is None
    assert suspensions.begin("acme", SINCE) == SINCE
    assert suspensions.find("acme", consistent=True) == SINCE
    assert suspensions.find("acme-2") is None
    suspensions.end("acme")
    assert suspensions.find("acme") is None
    suspensions.end("acme")


def test_the_first_suspension_stands(suspensions: Suspensions) -> None:
    suspensions.begin("acme", SINCE)
    later = Suspension(SINCE.since_ms + 1, "")
    assert suspensions.begin("acme", later) == SINCE
    assert suspensions.find("acme") == SINCE


def test_an_outage_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with mocked_aws():
        client = aws.client("dynamodb")
        suspensions = DynamoDbSuspensions(client, table="t")

        def down(**_: object) -> None:
            raise HTTPClientError(error="down")

        for name in ("get_item", "put_item", "delete_item"):
            monkeypatch.setattr(client, name, down)
        acts: list[Callable[[], object]] = [
            lambda: suspensions.find("acme"),
            lambda: suspensions.begin("acme", SINCE),
            lambda: suspensions.end("acme"),
        ]
        for act in acts:
            with pytest.raises(StoreUnavailable):
                act()
