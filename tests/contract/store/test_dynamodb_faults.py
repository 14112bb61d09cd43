"""What the network and DynamoDB may do to a request, and what must then be true."""

from collections.abc import Callable
from typing import Any

import pytest

from ratchet.adapters.errors import ServiceRefused
from ratchet.contracts.errors import DataMissing, StoreUnavailable
from ratchet.contracts.names import TaskStatus
from ratchet.ports import CheckpointStore, IdempotencyClaim, Intent
from tests.contract.store.benches import DynamoDbBench
from tests.contract.store.samples import DONE, LARGE, START_MS, record_of, ref_of, task_of
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


def begin(store: CheckpointStore) -> Any:
    return store.begin_effect(REF, step=1, key="k", attempt_id="mine") == Intent("mine")


WRITES = [
    (create, "PutItem"),
    (create_with_key, "TransactWriteItems"),
    (commit, "PutItem"),
    (finish, "TransactWriteItems"),
    (begin, "PutItem"),
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
        dynamodb.store.mark_started(REF, execution_arn="arn:1", at_ms=START_MS)
    history = dynamodb.store.load(REF)
    assert history is not None
    assert history.state.execution_arn == "arn:1"


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


def test_a_throttled_transaction_is_unavailable(dynamodb: DynamoDbBench) -> None:
    throttled = canceled("ThrottlingError", "None")
    with answers(dynamodb.client, "TransactWriteItems", throttled), pytest.raises(StoreUnavailable):
        finish(dynamodb.store)


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


def test_steps_that_stay_behind_their_head_are_unavailable_not_lost(
    dynamodb: DynamoDbBench,
) -> None:
    finish(dynamodb.store)
    behind = [torn(dynamodb, kept=0)] * 3
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
