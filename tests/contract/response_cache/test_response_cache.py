"""What every `ResponseCache` does: the twin in memory, and the one in DynamoDB as moto plays it."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import pytest

from ratchet.adapters import aws
from ratchet.adapters.dynamodb_cache import DynamoDbResponseCache
from ratchet.adapters.dynamodb_table import Table
from ratchet.contracts.errors import DataMissing, ServiceRefused, StoreUnavailable
from ratchet.domain import codec, keys
from ratchet.domain.cached_answers import CachedAnswer
from ratchet.domain.messages import Message, ToolCall
from ratchet.model_ports import ResponseCache
from ratchet.testing.clock import FakeClock
from ratchet.testing.response_cache import InMemoryResponseCache
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import create_table
from tests.contract.store.samples import LARGE, START_MS
from tests.contract.store.wire import faults, watched

DIGEST = "ab" * 32
TABLE = "cache"
TTL = 600
ANSWER = CachedAnswer(
    Message("assistant", "It is öpen.", (ToolCall("c1", "look", '{"where": "here"}'),)),
    "tool_calls",
    stored_at_ms=START_MS + 5,
    expires_at=START_MS // 1000 + TTL,
)


class Bench(Protocol):
    cache: ResponseCache
    clock: FakeClock

    def damage(self, tenant: str, digest: str, body: bytes) -> None: ...


class MemoryBench:
    def __init__(self) -> None:
        self.clock = FakeClock(START_MS)
        self.memory = InMemoryResponseCache(self.clock)
        self.cache: ResponseCache = self.memory

    def damage(self, tenant: str, digest: str, body: bytes) -> None:
        key = keys.cache_key(tenant, digest)
        self.memory.entries[key] = replace(self.memory.entries[key], body=body)


class DynamoDbBench:
    def __init__(self) -> None:
        self.clock = FakeClock(START_MS)
        self.client = aws.client("dynamodb")
        create_table(self.client, TABLE)
        self.cache: ResponseCache = DynamoDbResponseCache(
            Table(self.client, TABLE, self.clock), self.clock
        )

    def item(self, tenant: str, digest: str) -> dict[str, Any]:
        found: Any = self.client.get_item(TableName=TABLE, Key=self._key(tenant, digest))
        item: dict[str, Any] = found["Item"]
        return item

    def damage(self, tenant: str, digest: str, body: bytes) -> None:
        item = {**self.item(tenant, digest), "body": {"B": body}}
        self.client.put_item(TableName=TABLE, Item=item)

    def _key(self, tenant: str, digest: str) -> Any:
        return {"pk": {"S": keys.cache_key(tenant, digest)}, "sk": {"S": "CACHE"}}


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


def test_an_unknown_question_has_no_answer(bench: Bench) -> None:
    assert bench.cache.get("acme", DIGEST) is None


def test_a_kept_answer_reads_back_as_it_was(bench: Bench) -> None:
    bench.cache.put("acme", DIGEST, ANSWER)
    assert bench.cache.get("acme", DIGEST) == ANSWER


def test_a_later_answer_takes_the_place_of_an_earlier_one(bench: Bench) -> None:
    later = replace(ANSWER, message=Message("assistant", "Closed."), finish_reason="stop")
    bench.cache.put("acme", DIGEST, ANSWER)
    bench.cache.put("acme", DIGEST, later)
    assert bench.cache.get("acme", DIGEST) == later


def test_the_same_digest_is_another_question_for_another_tenant(bench: Bench) -> None:
    bench.cache.put("acme", DIGEST, ANSWER)
    assert bench.cache.get("acme2", DIGEST) is None
    assert bench.cache.get("globex", DIGEST) is None


def test_an_expired_answer_is_gone_though_nobody_has_deleted_it(bench: Bench) -> None:
    bench.cache.put("acme", DIGEST, ANSWER)
    bench.clock.advance(TTL - 0.001)
    assert bench.cache.get("acme", DIGEST) == ANSWER
    bench.clock.advance(0.001)
    assert bench.cache.get("acme", DIGEST) is None


def test_an_expired_answer_can_be_replaced(bench: Bench) -> None:
    bench.cache.put("acme", DIGEST, ANSWER)
    bench.clock.advance(TTL)
    fresh = replace(ANSWER, expires_at=ANSWER.expires_at + TTL)
    bench.cache.put("acme", DIGEST, fresh)
    assert bench.cache.get("acme", DIGEST) == fresh


@pytest.mark.parametrize(
    "body",
    [b"", b"\x63x", b"\x02rubbish", codec.pack({}), codec.pack({"messages": []})],
    ids=["empty", "newer release", "no deflate", "nothing", "no message"],
)
def test_a_damaged_answer_is_told_apart_from_none(bench: Bench, body: bytes) -> None:
    bench.cache.put("acme", DIGEST, ANSWER)
    bench.damage("acme", DIGEST, body)
    with pytest.raises(DataMissing):
        bench.cache.get("acme", DIGEST)


def test_the_longest_answer_of_a_model_fits_and_what_no_item_holds_is_refused(
    bench: Bench,
) -> None:
    long = replace(ANSWER, message=Message("assistant", LARGE))
    bench.cache.put("acme", DIGEST, long)
    assert bench.cache.get("acme", DIGEST) == long
    noise = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(400_000))
    with pytest.raises(ServiceRefused):
        bench.cache.put("acme", DIGEST, replace(ANSWER, message=Message("assistant", noise)))
    assert bench.cache.get("acme", DIGEST) == long


def test_threads_may_share_it(bench: Bench) -> None:
    def use(number: int) -> None:
        digest = f"{number:064x}"
        bench.cache.put("acme", digest, ANSWER)
        found.append(bench.cache.get("acme", digest))

    found: list[CachedAnswer | None] = []
    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [ANSWER] * 8


def test_a_read_and_a_write_are_one_request_each(dynamodb: DynamoDbBench) -> None:
    with watched(dynamodb.client) as traffic:
        dynamodb.cache.put("acme", DIGEST, ANSWER)
    assert (traffic.writes, traffic.reads) == (1, 0)
    with watched(dynamodb.client) as traffic:
        dynamodb.cache.get("acme", DIGEST)
    assert (traffic.writes, traffic.reads) == (0, 1)


def test_an_item_is_in_its_tenants_partition_and_has_the_tables_ttl(
    dynamodb: DynamoDbBench,
) -> None:
    dynamodb.cache.put("acme", DIGEST, ANSWER)
    item = dynamodb.item("acme", DIGEST)
    assert item["pk"]["S"] == f"TENANT#acme#CACHE#{DIGEST}"
    assert item["expires_at"]["N"] == str(ANSWER.expires_at)
    assert not {"due", "due_at", "tenant_key", "task_id"} & item.keys(), "no index may show it"


def test_a_store_that_does_not_answer_says_so(dynamodb: DynamoDbBench) -> None:
    with (
        faults(dynamodb.client, "PutItem", times=9, applied=False),
        pytest.raises(StoreUnavailable),
    ):
        dynamodb.cache.put("acme", DIGEST, ANSWER)
    with (
        faults(dynamodb.client, "GetItem", times=9, applied=False),
        pytest.raises(StoreUnavailable),
    ):
        dynamodb.cache.get("acme", DIGEST)


def test_a_table_that_is_not_there_is_refused(dynamodb: DynamoDbBench) -> None:
    cache = DynamoDbResponseCache(Table(dynamodb.client, "nowhere", dynamodb.clock), dynamodb.clock)
    with pytest.raises(ServiceRefused):
        cache.get("acme", DIGEST)
