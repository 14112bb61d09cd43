"""What lies in the table: TTL, keys, sizes, pages."""

from typing import Any

import pytest

from ratchet.adapters import dynamodb_listing
from ratchet.contracts.errors import DataMissing
from ratchet.contracts.limits import INLINE_BODY_BYTES, TERMINAL_RETENTION_SECONDS
from ratchet.contracts.names import TaskStatus
from ratchet.domain import codec
from ratchet.ports import DeliveryAttempt, IdempotencyClaim, Intent, ListFilter
from tests.contract.store.benches import DynamoDbBench
from tests.contract.store.samples import DONE, LARGE, START_MS, record_of, ref_of, task_of
from tests.contract.store.wire import item_bytes, watched

REF = ref_of()
TASK = task_of()
CLAIM = IdempotencyClaim("order-17", "a" * 64, expires_at=START_MS // 1000 + 3600)


def everything(bench: DynamoDbBench) -> None:
    """One of each request, up to the last step."""
    bench.store.create_task(TASK, claim=CLAIM, due_at_ms=START_MS)
    bench.store.create_task(TASK, claim=CLAIM, due_at_ms=START_MS)
    bench.store.mark_started(REF, execution_arn="arn:1", at_ms=START_MS)
    bench.store.begin_effect(REF, step=1, key="k", attempt_id="a")
    bench.store.end_effect(REF, step=1, key="k", intent=Intent("a", "done"))
    bench.store.commit(TASK, record_of(1), due_at_ms=START_MS)
    bench.store.commit(TASK, record_of(2, text=LARGE), due_at_ms=START_MS)
    bench.store.record_delivery(REF, DeliveryAttempt("evt_1", "sns", True, START_MS, "200"))
    bench.store.delivered_channels(REF, "evt_1")
    bench.store.load(REF)
    bench.store.load_tip(REF)
    bench.store.mark_announced(REF)
    bench.store.list_tasks("acme", where=ListFilter(), limit=5)


def test_no_item_of_a_live_task_can_be_taken_by_ttl(dynamodb: DynamoDbBench) -> None:
    everything(dynamodb)
    mortal = {item["sk"]["S"] for item in dynamodb.items() if "expires_at" in item}
    assert mortal == {"IDEMPOTENCY"}


def test_the_last_step_sets_the_ttl_of_itself_and_the_head(dynamodb: DynamoDbBench) -> None:
    everything(dynamodb)
    last = record_of(3, DONE)
    dynamodb.store.commit(TASK, last, due_at_ms=START_MS)
    mortal = {
        item["sk"]["S"]: int(item["expires_at"]["N"])
        for item in dynamodb.items()
        if "expires_at" in item and item["sk"]["S"] != "IDEMPOTENCY"
    }
    expiry = last.finished_at_ms // 1000 + TERMINAL_RETENTION_SECONDS
    assert mortal == {"STEP#000003": expiry, "TASK": expiry}


def test_every_request_stays_within_its_tenant(dynamodb: DynamoDbBench) -> None:
    with watched(dynamodb.client) as traffic:
        everything(dynamodb)
        dynamodb.store.commit(TASK, record_of(3, DONE), due_at_ms=START_MS)
    partitions = [key for _, body in traffic.requests for key in partition_keys(body)]
    assert len(partitions) >= len(traffic.requests)
    assert all(key == "TENANT#acme" or key.startswith("TENANT#acme#") for key in partitions)


def test_every_read_of_a_task_is_strongly_consistent(dynamodb: DynamoDbBench) -> None:
    with watched(dynamodb.client) as traffic:
        everything(dynamodb)
    reads = [b for n, b in traffic.requests if n in ("Query", "GetItem") and "IndexName" not in b]
    assert len(reads) == 4
    assert all(body["ConsistentRead"] is True for body in reads)


def partition_keys(body: Any) -> list[str]:
    """Whatever selects a partition in a request."""
    found = [v["S"] for n, v in body.get("ExpressionAttributeValues", {}).items() if n == ":pk"]
    found += [
        v["S"] for n, v in body.get("ExpressionAttributeValues", {}).items() if n == ":tenant"
    ]
    found += [body[place]["pk"]["S"] for place in ("Item", "Key") if place in body]
    for write in body.get("TransactItems", ()):
        found += [key for inner in write.values() for key in partition_keys(inner)]
    return found


def test_items_stay_small_whatever_the_steps_hold(dynamodb: DynamoDbBench) -> None:
    dynamodb.store.create_task(task_of(goal=LARGE), claim=None, due_at_ms=START_MS)
    dynamodb.store.begin_effect(REF, step=1, key="k", attempt_id="a")
    dynamodb.store.end_effect(REF, step=1, key="k", intent=Intent("a", LARGE))
    dynamodb.store.commit(TASK, record_of(1, text=LARGE * 20), due_at_ms=START_MS)
    for _ in range(30):
        attempt = DeliveryAttempt("evt_1", "webhook", False, START_MS, "é" * 9_000)
        dynamodb.store.record_delivery(REF, attempt)
    assert max(map(item_bytes, dynamodb.items())) < INLINE_BODY_BYTES + 1024


def test_the_delivery_log_keeps_the_latest_tries(dynamodb: DynamoDbBench) -> None:
    for number in range(25):
        attempt = DeliveryAttempt("evt_1", "sns", False, START_MS + number, str(number))
        dynamodb.store.record_delivery(REF, attempt)
    (item,) = dynamodb.items()
    assert [a["M"]["detail"]["S"] for a in item["attempts"]["L"]] == [
        str(number) for number in range(5, 25)
    ]


def test_a_step_stored_under_another_number_is_noticed(dynamodb: DynamoDbBench) -> None:
    dynamodb.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    dynamodb.store.commit(TASK, record_of(1), due_at_ms=START_MS)
    dynamodb.client.update_item(
        TableName=dynamodb.table,
        Key={"pk": {"S": f"TENANT#acme#TASK#{REF.task_id}"}, "sk": {"S": "STEP#000001"}},
        UpdateExpression="SET body = :body",
        ExpressionAttributeValues={":body": {"B": codec.pack(codec.encode_record(record_of(2)))}},
    )
    with pytest.raises(DataMissing, match="holds step 2"):
        dynamodb.store.load(REF)


def test_an_item_without_its_body_is_noticed(dynamodb: DynamoDbBench) -> None:
    dynamodb.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    dynamodb.client.update_item(
        TableName=dynamodb.table,
        Key={"pk": {"S": f"TENANT#acme#TASK#{REF.task_id}"}, "sk": {"S": "TASK"}},
        UpdateExpression="REMOVE body",
    )
    with pytest.raises(DataMissing, match="no body"):
        dynamodb.store.load(REF)


def test_a_history_of_more_than_a_megabyte_comes_in_pages(dynamodb: DynamoDbBench) -> None:
    dynamodb.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    records = [record_of(n, text=f"{n}{LARGE[:52_000]}") for n in range(1, 41)]
    for record in records:
        dynamodb.store.commit(TASK, record, due_at_ms=START_MS)
    assert dynamodb.payload_keys() == []
    with watched(dynamodb.client) as traffic:
        history = dynamodb.store.load(REF)
    assert history is not None
    assert history.records == tuple(records)
    assert traffic.reads == 2


def test_a_filter_that_lets_little_through_examines_a_bounded_share_and_goes_on(
    dynamodb: DynamoDbBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_listing, "_REQUESTS", 2)
    monkeypatch.setattr(dynamodb_listing, "_EXAMINED_PER_REQUEST", 2)
    for number in range(1, 8):
        dynamodb.store.create_task(task_of(number), claim=None, due_at_ms=START_MS)
    dynamodb.store.commit(task_of(1), record_of(1, DONE), due_at_ms=START_MS)
    where = ListFilter(status=TaskStatus.SUCCEEDED)
    first = dynamodb.store.list_tasks("acme", where=where, limit=1)
    assert (first.tasks, first.after) == ((), ref_of(4).task_id)
    second = dynamodb.store.list_tasks("acme", where=where, limit=1, after=first.after)
    assert [task.task_id for task in second.tasks] == [ref_of(1).task_id]
