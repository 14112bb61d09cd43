"""What lies in the table: TTL, keys, sizes, pages."""

from dataclasses import replace
from typing import Any

import pytest

from ratchet.adapters import dynamodb_listing
from ratchet.contracts.errors import DataMissing, StoreUnavailable
from ratchet.contracts.limits import (
    INLINE_BODY_BYTES,
    TERMINAL_RETENTION_SECONDS,
    TTL_MARGIN_SECONDS,
)
from ratchet.contracts.names import TaskStatus
from ratchet.delivery_log import DeliveryAttempt
from ratchet.domain import codec
from ratchet.domain.task import TaskLimits
from ratchet.ports import DueTask, IdempotencyClaim
from ratchet.task_list import ListFilter
from tests.contract.store.benches import DynamoDbBench
from tests.contract.store.samples import (
    BROKEN,
    DONE,
    LARGE,
    START_MS,
    begin,
    intent_of,
    record_of,
    ref_of,
    reopening_of,
    start_of,
    task_of,
)
from tests.contract.store.wire import answers, faults, item_bytes, watched

REF = ref_of()
TASK = task_of()
CLAIM = IdempotencyClaim("order-17", "a" * 64, expires_at=START_MS // 1000 + 3600)


def everything(bench: DynamoDbBench) -> None:
    """One of each request, up to the last step."""
    bench.store.create_task(TASK, claim=CLAIM, due_at_ms=START_MS)
    bench.store.create_task(TASK, claim=CLAIM, due_at_ms=START_MS)
    bench.store.mark_started(REF, start_of())
    begin(bench.store)
    bench.store.end_effect(REF, step=1, key="k", intent=intent_of(result="done"))
    bench.store.commit(TASK, record_of(1), due_at_ms=START_MS, effects_of="a")
    bench.store.commit(TASK, record_of(2, text=LARGE), due_at_ms=START_MS)
    bench.store.record_delivery(REF, DeliveryAttempt("evt_1", "sns", True, START_MS, "200"))
    bench.store.deliveries(REF, "evt_1")
    bench.store.load(REF)
    bench.store.load_tip(REF)
    bench.store.due_again(REF, ended_at_ms=START_MS, at_ms=START_MS)
    bench.store.postpone(DueTask(REF, TaskStatus.RUNNING, START_MS), until_ms=START_MS + 1)
    bench.store.list_tasks("acme", where=ListFilter(), limit=5)


def whole_life(bench: DynamoDbBench) -> None:
    """One of each request, to the last item's deletion."""
    everything(bench)
    bench.store.commit(TASK, record_of(3, BROKEN), due_at_ms=START_MS)
    tip = bench.store.load_tip(REF)
    assert tip is not None
    bench.store.reopen(tip, reopening_of(tip, limits=TaskLimits(max_steps=9)))
    bench.store.commit(TASK, record_of(5, DONE), due_at_ms=START_MS)
    bench.clock.advance(TERMINAL_RETENTION_SECONDS + 60)
    assert bench.store.erase(REF) > 0


def test_no_item_of_a_live_task_can_be_taken_by_ttl(dynamodb: DynamoDbBench) -> None:
    everything(dynamodb)
    assert mortal(dynamodb) == {}


def test_the_last_step_sets_the_ttl_of_itself_and_the_head(dynamodb: DynamoDbBench) -> None:
    everything(dynamodb)
    last = record_of(3, DONE)
    dynamodb.store.commit(TASK, last, due_at_ms=START_MS)
    dynamodb.store.due_again(REF, ended_at_ms=last.finished_at_ms, at_ms=START_MS + 5)
    expiry = last.finished_at_ms // 1000 + TERMINAL_RETENTION_SECONDS + TTL_MARGIN_SECONDS
    assert mortal(dynamodb) == {"STEP#000003": expiry, "TASK": expiry}


def test_reopening_takes_the_ttl_and_the_outcome_back(dynamodb: DynamoDbBench) -> None:
    everything(dynamodb)
    live = names_of_the_head(dynamodb)
    dynamodb.store.commit(TASK, record_of(3, BROKEN), due_at_ms=START_MS)
    tip = dynamodb.store.load_tip(REF)
    assert tip is not None
    assert dynamodb.store.reopen(tip, reopening_of(tip))
    assert mortal(dynamodb) == {}
    assert names_of_the_head(dynamodb) == live | {"opened_at"}


@pytest.mark.parametrize(
    ("before", "after", "held"), [("small", LARGE, "body_ref"), (LARGE, "small", "body")]
)
def test_a_head_has_one_body_also_when_new_limits_move_it(
    dynamodb: DynamoDbBench, before: str, after: str, held: str
) -> None:
    dynamodb.store.create_task(task_of(goal=before), claim=None, due_at_ms=START_MS)
    dynamodb.store.commit(TASK, record_of(1, BROKEN), due_at_ms=START_MS)
    tip = dynamodb.store.load_tip(REF)
    assert tip is not None
    moved = replace(tip, task=task_of(goal=after))
    assert dynamodb.store.reopen(moved, reopening_of(moved, limits=TaskLimits(max_steps=9)))
    assert names_of_the_head(dynamodb) & {"body", "body_ref"} == {held}
    now = dynamodb.store.load_tip(REF)
    assert now is not None
    assert now.task == replace(moved.task, limits=TaskLimits(max_steps=9))


def test_what_was_never_set_takes_no_room(dynamodb: DynamoDbBench) -> None:
    dynamodb.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    unset = {"opened_at", "generation", "restarts", "restarted_at_step", "steps", "expires_at"}
    assert not names_of_the_head(dynamodb) & unset
    dynamodb.store.mark_started(REF, start_of(2, restarts=1, at_step=4))
    dynamodb.store.mark_started(REF, start_of(3))
    assert names_of_the_head(dynamodb) & unset == {"generation"}


def test_a_task_that_is_being_erased_is_not_reopened_by_someone_whose_clock_is_behind(
    dynamodb: DynamoDbBench,
) -> None:
    dynamodb.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    dynamodb.store.commit(TASK, record_of(1, BROKEN), due_at_ms=START_MS)
    tip = dynamodb.store.load_tip(REF)
    assert tip is not None
    dynamodb.clock.advance(TERMINAL_RETENTION_SECONDS + 60)
    with (
        faults(dynamodb.client, "BatchWriteItem", times=3, applied=False),
        pytest.raises(StoreUnavailable),
    ):
        dynamodb.store.erase(REF)
    dynamodb.clock.advance(-120)
    assert not dynamodb.store.reopen(tip, reopening_of(tip))
    dynamodb.clock.advance(120)
    assert dynamodb.store.erase(REF) == 2


def test_a_task_reopened_while_it_was_found_to_be_over_is_not_erased(
    dynamodb: DynamoDbBench,
) -> None:
    dynamodb.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    dynamodb.store.commit(TASK, record_of(1, BROKEN), due_at_ms=START_MS)
    over = dynamodb.wire_items()[-1]
    tip = dynamodb.store.load_tip(REF)
    assert tip is not None
    dynamodb.store.reopen(tip, reopening_of(tip))
    dynamodb.clock.advance(TERMINAL_RETENTION_SECONDS + 60)
    with answers(dynamodb.client, "GetItem", {"Item": over}):
        assert dynamodb.store.erase(REF) == 0
    assert len(dynamodb.items()) == 3


def mortal(bench: DynamoDbBench) -> dict[str, int]:
    """What TTL may take some day, but for the idempotency key, and when."""
    return {
        item["sk"]["S"]: int(item["expires_at"]["N"])
        for item in bench.items()
        if "expires_at" in item and item["sk"]["S"] != "IDEMPOTENCY"
    }


def names_of_the_head(bench: DynamoDbBench) -> set[str]:
    (head,) = [item for item in bench.items() if item["sk"]["S"] == "TASK"]
    return set(head)


def test_every_request_about_a_task_stays_within_its_tenant(dynamodb: DynamoDbBench) -> None:
    with watched(dynamodb.client) as traffic:
        whole_life(dynamodb)
    partitions = [key for _, body in traffic.requests for key in partition_keys(body)]
    assert len(partitions) >= len(traffic.requests)
    assert all(key == "TENANT#acme" or key.startswith("TENANT#acme#") for key in partitions)


def test_the_bodies_of_one_task_alone_are_erased(dynamodb: DynamoDbBench) -> None:
    with watched(dynamodb.s3) as traffic:
        whole_life(dynamodb)
    erasing = [(name, body) for name, body in traffic.requests if not name.endswith("Object")]
    assert [name for name, _ in erasing] == ["ListObjectsV2", "DeleteObjects"]
    listed, deleted = (
        request for _, request in erasing
    )  # S3 speaks no JSON: the requests as they are
    assert f"prefix=acme%2F{REF.task_id}%2F" in listed.url
    assert deleted.body.count(b"<Key>") == deleted.body.count(f"<Key>acme/{REF.task_id}/".encode())


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
    batched = [write for writes in body.get("RequestItems", {}).values() for write in writes]
    for write in (*body.get("TransactItems", ()), *batched):
        found += [key for inner in write.values() for key in partition_keys(inner)]
    return found


def test_items_stay_small_whatever_the_steps_hold(dynamodb: DynamoDbBench) -> None:
    dynamodb.store.create_task(task_of(goal=LARGE), claim=None, due_at_ms=START_MS)
    begin(dynamodb.store)
    dynamodb.store.end_effect(REF, step=1, key="k", intent=intent_of(result=LARGE))
    record = record_of(1, text=LARGE * 20)
    dynamodb.store.commit(TASK, record, due_at_ms=START_MS, effects_of="a")
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
