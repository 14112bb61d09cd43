"""What the network and DynamoDB may do to a request, and what must then be true."""

from collections.abc import Callable
from typing import Any

import pytest

from ratchet.contracts.charge import Charge
from ratchet.contracts.errors import DataMissing, ServiceRefused, StoreUnavailable
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.names import TaskStatus
from ratchet.domain import keys
from ratchet.domain.task import History
from ratchet.ports import CheckpointStore, DueTask, IdempotencyClaim, Reserved
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
from tests.contract.store.wire import answers, canceled, faults, refusal, watched

REF = ref_of()
TASK = task_of()
CLAIM = IdempotencyClaim("order-17", "a" * 64, expires_at=START_MS // 1000 + 3600)


def create(store: CheckpointStore) -> Any:
    created = store.create_task(TASK, claim=None, due_at_ms=START_MS)
    return created.task == TASK and not created.is_replay


def create_with_key(store: CheckpointStore) -> Any:
    created = store.create_task(TASK, claim=CLAIM, due_at_ms=START_MS)
    return created.task == TASK and not created.is_replay


def commit(store: CheckpointStore) -> Any:
    return store.commit(TASK, record_of(1), due_at_ms=START_MS) == record_of(1)


def finish(store: CheckpointStore) -> Any:
    store.create_task(TASK, claim=None, due_at_ms=START_MS)
    return store.commit(TASK, record_of(1, DONE), due_at_ms=START_MS) == record_of(1, DONE)


def begin_effect(store: CheckpointStore) -> Any:
    return begin(store) == intent_of()


def reserve(store: CheckpointStore) -> Any:
    return store.reserve(REF, step=1, before=None, after=Reserved(Charge(500, 90), "a"))


WRITES = [
    (create, "PutItem"),
    (create_with_key, "TransactWriteItems"),
    (commit, "PutItem"),
    (finish, "TransactWriteItems"),
    (begin_effect, "TransactWriteItems"),
    (reserve, "TransactWriteItems"),
]


@pytest.mark.parametrize(("write", "operation"), WRITES)
@pytest.mark.parametrize("applied", [True, False])
def test_a_write_whose_answer_was_lost_is_found_to_be_its_own(
    dynamodb: DynamoDbBench,
    write: Callable[[CheckpointStore], Any],
    operation: str,
    applied: bool,
) -> None:
    with faults(dynamodb.client, operation, times=1, applied=applied) as lost:
        assert write(dynamodb.store)
    assert len(lost) == 1


@pytest.mark.parametrize(("write", "operation"), WRITES)
@pytest.mark.parametrize("applied", [True, False])
def test_a_write_that_never_gets_an_answer_is_unavailable_and_may_be_repeated(
    dynamodb: DynamoDbBench,
    write: Callable[[CheckpointStore], Any],
    operation: str,
    applied: bool,
) -> None:
    with (
        faults(dynamodb.client, operation, times=3, applied=applied) as lost,
        pytest.raises(StoreUnavailable),
    ):
        write(dynamodb.store)
    assert len(lost) == 3
    assert write(dynamodb.store)


def test_a_start_whose_answer_was_lost_is_noted_once(dynamodb: DynamoDbBench) -> None:
    create(dynamodb.store)
    with faults(dynamodb.client, "UpdateItem", times=1, applied=True):
        dynamodb.store.mark_started(REF, start_of())
    history = dynamodb.store.load(REF)
    assert history is not None
    assert history.state.generation == 1


def broken(store: CheckpointStore) -> History:
    store.create_task(TASK, claim=None, due_at_ms=START_MS)
    store.commit(TASK, record_of(1, BROKEN), due_at_ms=START_MS)
    tip = store.load_tip(REF)
    assert tip is not None
    return tip


@pytest.mark.parametrize("applied", [True, False])
def test_a_reopening_whose_answer_was_lost_is_done_once(
    dynamodb: DynamoDbBench, applied: bool
) -> None:
    tip = broken(dynamodb.store)
    with faults(dynamodb.client, "TransactWriteItems", times=1, applied=applied) as lost:
        dynamodb.store.reopen(tip, reopening_of(tip))
    assert len(lost) == 1
    history = dynamodb.store.load(REF)
    assert history is not None
    assert (history.state.status, len(history.records)) == (TaskStatus.QUEUED, 2)


def test_a_repeated_transaction_carries_the_token_by_which_aws_knows_it(
    dynamodb: DynamoDbBench,
) -> None:
    tip = broken(dynamodb.store)
    with (
        watched(dynamodb.client) as traffic,
        faults(dynamodb.client, "TransactWriteItems", times=2, applied=False),
    ):
        assert dynamodb.store.reopen(tip, reopening_of(tip))
    tokens = {body["ClientRequestToken"] for _, body in traffic.requests}
    assert (len(traffic.requests), len(tokens)) == (3, 1)


@pytest.mark.parametrize("applied", [True, False])
def test_a_postponement_whose_answer_was_lost_is_done_once(
    dynamodb: DynamoDbBench, applied: bool
) -> None:
    create(dynamodb.store)
    due = DueTask(REF, TaskStatus.QUEUED, START_MS)
    with faults(dynamodb.client, "UpdateItem", times=1, applied=applied):
        dynamodb.store.postpone(due, until_ms=START_MS + 5)
    assert dynamodb.due() == {REF: START_MS + 5}


def over(bench: DynamoDbBench, *, steps: int) -> int:
    """A task past its retention, with so many steps; how many items it has."""
    bench.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    for number in range(1, steps):
        bench.store.commit(TASK, record_of(number), due_at_ms=START_MS)
    bench.store.commit(TASK, record_of(steps, DONE), due_at_ms=START_MS)
    bench.clock.advance(TERMINAL_RETENTION_SECONDS + 600)
    return steps + 1


@pytest.mark.parametrize("operation", ["GetItem", "UpdateItem", "Query", "BatchWriteItem"])
@pytest.mark.parametrize("applied", [True, False])
def test_an_erasing_that_stops_anywhere_is_finished_by_the_next(
    dynamodb: DynamoDbBench, operation: str, applied: bool
) -> None:
    over(dynamodb, steps=30)
    with (
        faults(dynamodb.client, operation, times=3, applied=applied),
        pytest.raises(StoreUnavailable),
    ):
        dynamodb.store.erase(REF)
    assert dynamodb.due() == {REF: START_MS}
    assert dynamodb.store.erase(REF) > 0
    assert (dynamodb.items(), dynamodb.due()) == ([], {})


@pytest.mark.parametrize("operation", ["ListObjectsV2", "DeleteObjects"])
def test_an_erasing_that_cannot_reach_the_bodies_keeps_the_items_that_lead_to_them(
    dynamodb: DynamoDbBench, operation: str
) -> None:
    dynamodb.store.create_task(task_of(goal=LARGE), claim=None, due_at_ms=START_MS)
    items = over(dynamodb, steps=3)
    with faults(dynamodb.s3, operation, times=3, applied=True), pytest.raises(StoreUnavailable):
        dynamodb.store.erase(REF)
    assert len(dynamodb.items()) == items
    assert dynamodb.store.erase(REF) == items
    assert dynamodb.payload_keys() == []


@pytest.mark.parametrize(
    ("code", "error"), [("InternalError", StoreUnavailable), ("AccessDenied", ServiceRefused)]
)
def test_a_body_that_s3_will_not_delete_stops_the_erasing(
    dynamodb: DynamoDbBench,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    error: type[Exception],
) -> None:
    dynamodb.store.create_task(task_of(goal=LARGE), claim=None, due_at_ms=START_MS)
    items = over(dynamodb, steps=3)
    refused = {"Errors": [{"Key": "k", "Code": code, "Message": "no"}]}
    monkeypatch.setattr(dynamodb.s3, "delete_objects", lambda **_: refused)
    with pytest.raises(error, match=code):
        dynamodb.store.erase(REF)
    assert len(dynamodb.items()) == items


def test_a_thousand_bodies_and_more_are_erased_page_by_page(
    dynamodb: DynamoDbBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in "abcde":
        dynamodb.store.commit(TASK, record_of(1, text=text + LARGE), due_at_ms=START_MS)
    listed = dynamodb.s3.list_objects_v2
    monkeypatch.setattr(dynamodb.s3, "list_objects_v2", lambda **where: listed(**where, MaxKeys=2))
    over(dynamodb, steps=2)
    assert dynamodb.store.erase(REF) == 3
    monkeypatch.undo()
    assert dynamodb.payload_keys() == []


def left_over(dynamodb: DynamoDbBench, *, numbers: range) -> dict[str, Any]:
    """An answer that says that these steps were not deleted."""
    pk = {"S": keys.task_key(REF)}
    doomed = [{"pk": pk, "sk": {"S": keys.step_sort_key(number)}} for number in numbers]
    requests = [{"DeleteRequest": {"Key": key}} for key in doomed]
    return {"UnprocessedItems": {dynamodb.table: requests}}


def test_what_a_batch_leaves_over_is_sent_again(dynamodb: DynamoDbBench) -> None:
    items = over(dynamodb, steps=3)
    replies = [left_over(dynamodb, numbers=range(1, 4))] * 2
    started = dynamodb.clock.monotonic()
    with (
        watched(dynamodb.client) as traffic,
        answers(dynamodb.client, "BatchWriteItem", *replies),
    ):
        assert dynamodb.store.erase(REF) == items
    assert [name for name, _ in traffic.requests].count("BatchWriteItem") == 4
    assert dynamodb.clock.monotonic() > started
    assert dynamodb.items() == []


def test_what_a_batch_keeps_leaving_over_is_unavailable(dynamodb: DynamoDbBench) -> None:
    items = over(dynamodb, steps=3)
    endless = [left_over(dynamodb, numbers=range(1, 4))] * 20
    with (
        answers(dynamodb.client, "BatchWriteItem", *endless) as seen,
        pytest.raises(StoreUnavailable, match="left 3 items over"),
    ):
        dynamodb.store.erase(REF)
    assert len(seen) == 6
    assert dynamodb.store.erase(REF) == items


def test_a_conflict_with_another_transaction_is_tried_again(dynamodb: DynamoDbBench) -> None:
    conflict = canceled("TransactionConflict", "None")
    with answers(dynamodb.client, "TransactWriteItems", conflict, conflict) as seen:
        assert finish(dynamodb.store)
    assert len(seen) == 2


def test_a_put_that_meets_a_transaction_is_tried_again(dynamodb: DynamoDbBench) -> None:
    with answers(dynamodb.client, "PutItem", refusal("TransactionConflictException")):
        assert commit(dynamodb.store)


def test_a_conflict_that_does_not_end_is_unavailable(dynamodb: DynamoDbBench) -> None:
    endless = [canceled("None", "TransactionConflict")] * 20
    with (
        answers(dynamodb.client, "TransactWriteItems", *endless) as seen,
        pytest.raises(StoreUnavailable),
    ):
        finish(dynamodb.store)
    assert len(seen) == 5


def test_a_lost_race_shown_as_a_conflict_answers_with_the_winner(dynamodb: DynamoDbBench) -> None:
    assert finish(dynamodb.store)
    mixed = canceled("TransactionConflict", "ConditionalCheckFailed")
    with answers(dynamodb.client, "TransactWriteItems", mixed):
        late = dynamodb.store.commit(TASK, record_of(1, DONE, attempt=9), due_at_ms=START_MS)
    assert late == record_of(1, DONE)


@pytest.mark.parametrize(
    "code",
    [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "InternalServerError",
    ],
)
def test_throttling_that_lasts_is_unavailable(dynamodb: DynamoDbBench, code: str) -> None:
    with (
        answers(dynamodb.client, "PutItem", *[refusal(code)] * 3),
        pytest.raises(StoreUnavailable, match=code),
    ):
        commit(dynamodb.store)


def test_a_transaction_that_was_throttled_is_tried_again(dynamodb: DynamoDbBench) -> None:
    throttled = canceled("ThrottlingError", "None")
    with answers(dynamodb.client, "TransactWriteItems", *[throttled] * 2) as seen:
        assert finish(dynamodb.store)
    assert len(seen) == 2


def test_a_transaction_that_stays_throttled_is_unavailable(dynamodb: DynamoDbBench) -> None:
    throttled = canceled("None", "ProvisionedThroughputExceeded")
    with (
        answers(dynamodb.client, "TransactWriteItems", *[throttled] * 9) as seen,
        pytest.raises(StoreUnavailable),
    ):
        finish(dynamodb.store)
    assert len(seen) == 6


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"]
)
def test_a_refusal_for_good_is_not_tried_again(dynamodb: DynamoDbBench, code: str) -> None:
    with (
        answers(dynamodb.client, "PutItem", *[refusal(code)] * 3) as seen,
        pytest.raises(ServiceRefused, match=code) as raised,
    ):
        commit(dynamodb.store)
    assert len(seen) == 1
    assert not raised.value.retryable


def test_a_refusal_that_names_no_reason_is_missing_data(dynamodb: DynamoDbBench) -> None:
    silent = canceled("None", "ConditionalCheckFailed")
    with answers(dynamodb.client, "TransactWriteItems", silent), pytest.raises(DataMissing):
        create_with_key(dynamodb.store)


def test_a_payload_that_cannot_be_read_now_is_unavailable(dynamodb: DynamoDbBench) -> None:
    create(dynamodb.store)
    dynamodb.store.commit(TASK, record_of(1, text=LARGE), due_at_ms=START_MS)
    with faults(dynamodb.s3, "GetObject", times=3, applied=False), pytest.raises(StoreUnavailable):
        dynamodb.store.load(REF)
    assert dynamodb.store.load(REF) is not None


def torn(bench: DynamoDbBench, *, kept: int, descending: bool = False) -> dict[str, Any]:
    """What a query brings that reads the head after the terminal commit and the steps before it."""
    pk = f"TENANT#acme#TASK#{REF.task_id}"
    items = sorted(bench.wire_items(), key=lambda item: str(item["sk"]))
    own = [item for item in items if item["pk"]["S"] == pk]
    found = [*own[:kept], own[-1]]
    return {"Items": found[::-1] if descending else found}


@pytest.mark.parametrize("tip", [True, False])
def test_a_head_read_after_the_end_and_steps_before_it_are_read_again(
    dynamodb: DynamoDbBench, tip: bool
) -> None:
    create(dynamodb.store)
    commit(dynamodb.store)
    last = record_of(2, DONE)
    dynamodb.store.commit(TASK, last, due_at_ms=START_MS)
    with answers(dynamodb.client, "Query", torn(dynamodb, kept=1, descending=tip)) as seen:
        history = dynamodb.store.load_tip(REF) if tip else dynamodb.store.load(REF)
    assert len(seen) == 1
    assert history is not None
    assert history.records[-1] == last


@pytest.mark.parametrize("tip", [True, False])
def test_a_head_read_before_a_reopening_and_steps_after_it_are_read_again(
    dynamodb: DynamoDbBench, tip: bool
) -> None:
    ended = broken(dynamodb.store)
    old_head = torn(dynamodb, kept=0)["Items"]
    dynamodb.store.reopen(ended, reopening_of(ended))
    steps = torn(dynamodb, kept=2)["Items"][:2]
    found = [*old_head, *steps[::-1]] if tip else [*steps, *old_head]
    with answers(dynamodb.client, "Query", {"Items": found}) as seen:
        history = dynamodb.store.load_tip(REF) if tip else dynamodb.store.load(REF)
    assert len(seen) == 1
    assert history is not None
    assert history.state.status is TaskStatus.QUEUED
    assert history.next == reopening_of(ended).record.next


def test_steps_that_stay_behind_their_head_are_unavailable_not_lost(
    dynamodb: DynamoDbBench,
) -> None:
    finish(dynamodb.store)
    behind = [torn(dynamodb, kept=0)] * 4
    for read in (dynamodb.store.load, dynamodb.store.load_tip):
        with answers(dynamodb.client, "Query", *behind), pytest.raises(StoreUnavailable):
            read(REF)


def test_a_head_read_before_the_end_shows_the_end_that_its_steps_show(
    dynamodb: DynamoDbBench,
) -> None:
    create(dynamodb.store)
    queued = torn(dynamodb, kept=0)["Items"]
    dynamodb.store.commit(TASK, record_of(1, DONE), due_at_ms=START_MS)
    ended = torn(dynamodb, kept=1)["Items"]
    with answers(dynamodb.client, "Query", {"Items": [ended[0], queued[0]]}):
        history = dynamodb.store.load(REF)
    assert history is not None
    assert history.state.status is TaskStatus.SUCCEEDED
    assert history.state.updated_at_ms == record_of(1, DONE).finished_at_ms


def test_a_payload_that_cannot_be_written_leaves_no_item(dynamodb: DynamoDbBench) -> None:
    large = record_of(1, text=LARGE)
    with (
        watched(dynamodb.client) as traffic,
        faults(dynamodb.s3, "PutObject", times=3, applied=True),
        pytest.raises(StoreUnavailable),
    ):
        dynamodb.store.commit(TASK, large, due_at_ms=START_MS)
    assert traffic.requests == []
