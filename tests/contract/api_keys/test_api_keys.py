"""API keys, in memory and in DynamoDB as moto plays it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from ratchet.adapters import aws
from ratchet.adapters.dynamodb_api_keys import DynamoDbApiKeys
from ratchet.app.api_keys import ManageKeys
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.names import Scope
from ratchet.domain.api_keys import ApiKey
from ratchet.tenancy_ports import ApiKeys
from ratchet.testing.api_keys import CountingChance, InMemoryApiKeys
from ratchet.testing.clock import FakeClock
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench

KEY = ApiKey("0a", "acme", "d1", frozenset({Scope.READ, Scope.ADMIN}), 5, "ci", "ann", 9, None)
PLAIN = ApiKey("0b", "acme", "d2", frozenset({Scope.SUBMIT}), 4)


@pytest.fixture(params=["memory", "dynamodb"])
def keys(request: pytest.FixtureRequest) -> Iterator[ApiKeys]:
    if request.param == "memory":
        yield InMemoryApiKeys()
        return
    with mocked_aws():
        bench = DynamoDbBench()
        yield DynamoDbApiKeys(aws.client("dynamodb"), table=bench.table)
        bench.close()


def test_a_key_is_found_by_its_id_as_it_was_last_written(keys: ApiKeys) -> None:
    assert keys.find("0a") is None
    keys.add(KEY)
    keys.add(PLAIN)
    assert (keys.find("0a"), keys.find("0b"), keys.find("0c")) == (KEY, PLAIN, None)
    assert keys.replace(replace(KEY, expires_at_ms=8))
    assert keys.replace(replace(KEY, revoked_at_ms=7))
    assert keys.find("0a") == replace(KEY, revoked_at_ms=7)


def test_a_revoked_key_is_never_written_over(keys: ApiKeys) -> None:
    keys.add(KEY)
    keys.replace(replace(KEY, revoked_at_ms=7))
    assert not keys.replace(KEY.ending_by(8))
    assert keys.find("0a") == replace(KEY, revoked_at_ms=7)


def test_a_tenant_lists_its_own_keys_oldest_first(keys: ApiKeys) -> None:
    assert list(keys.of_tenant("acme")) == []
    foreign = replace(KEY, id="0c", tenant="acme2")
    for key in (KEY, PLAIN, foreign):
        keys.add(key)
    assert list(keys.of_tenant("acme")) == [PLAIN, KEY]
    assert list(keys.of_tenant("acme2")) == [foreign]


def test_the_table_holds_no_secret_and_the_records_lie_with_their_tenant() -> None:
    with mocked_aws():
        bench = DynamoDbBench()
        client = aws.client("dynamodb")
        store = DynamoDbApiKeys(client, table=bench.table)
        made = ManageKeys(store, FakeClock(), CountingChance()).create(
            "acme", frozenset({Scope.READ})
        )
        items = client.scan(TableName=bench.table)["Items"]
        assert made.text.rpartition("_")[2] not in repr(items)
        assert {item["pk"]["S"] for item in items} == {
            "TENANT#acme#APIKEYS",
            f"APIKEY#{made.key.id}",
        }
        bench.close()


def test_a_key_whose_making_crashed_halfway_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with mocked_aws():
        bench = DynamoDbBench()
        client = aws.client("dynamodb")
        store = DynamoDbApiKeys(client, table=bench.table)
        put = client.put_item

        def once(**request: Any) -> object:
            monkeypatch.setattr(client, "put_item", down)
            return put(**request)

        def down(**_: object) -> None:
            raise ReadTimeoutError(endpoint_url="https://dynamodb")

        monkeypatch.setattr(client, "put_item", once)
        with pytest.raises(StoreUnavailable):
            store.add(KEY)
        assert store.find("0a") is None
        monkeypatch.setattr(client, "get_item", down)
        with pytest.raises(StoreUnavailable):
            store.find("0a")
        bench.close()
