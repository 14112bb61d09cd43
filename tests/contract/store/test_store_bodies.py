"""Large bodies, and what is too large: on the twin and on DynamoDB."""

from dataclasses import replace

import pytest

from ratchet.contracts.errors import DataMissing, ServiceRefused
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.delivery_log import DeliveryAttempt
from ratchet.domain import codec
from ratchet.domain.task import TaskLimits
from ratchet.ports import IdempotencyClaim
from tests.contract.store.benches import Bench
from tests.contract.store.samples import (
    BROKEN,
    DONE,
    LARGE,
    START_MS,
    begin,
    fork_of,
    record_of,
    ref_of,
    reopening_of,
    task_of,
)

REF = ref_of()
TASK = task_of()
CLAIM = IdempotencyClaim("fork-17", "a" * 64, expires_at=START_MS // 1000 + 3600)


def test_a_large_step_and_a_large_goal_read_back(bench: Bench) -> None:
    large = task_of(goal=LARGE)
    bench.store.create_task(large, claim=None, due_at_ms=START_MS)
    record = record_of(1, text=LARGE)
    bench.store.commit(large, record, due_at_ms=START_MS)
    adopted = bench.store.commit(large, record_of(1), due_at_ms=START_MS)
    history = bench.store.load(REF)
    assert history is not None
    assert (history.task, history.records, adopted) == (large, (record,), record)
    assert len(bench.payload_keys()) == 2


@pytest.mark.parametrize(
    ("text", "payloads"), [("found it", 0), (LARGE, 1)], ids=["small", "large"]
)
def test_a_fork_reads_back_with_what_it_inherited(bench: Bench, text: str, payloads: int) -> None:
    fork = fork_of(1, record_of(1).result, record_of(2, text=text).result)
    created = bench.store.create_task(fork, claim=CLAIM, due_at_ms=START_MS)
    assert len(bench.payload_keys()) == payloads
    assert bench.store.create_task(fork, claim=CLAIM, due_at_ms=START_MS) == created
    assert (created.task, created.is_replay) == (fork, False)
    bench.store.commit(fork, record_of(1, BROKEN), due_at_ms=START_MS)
    tip = bench.store.load_tip(REF)
    assert tip is not None
    assert bench.store.reopen(tip, reopening_of(tip, limits=TaskLimits(max_steps=9)))
    history = bench.store.load(REF)
    assert history is not None
    assert history.task == replace(fork, limits=TaskLimits(max_steps=9))
    assert [m.content for m in history.messages if m.role == "tool"] == [
        "found it",
        text,
        "found it",
    ]


def test_a_fork_needs_nothing_of_a_parent_that_is_gone(bench: Bench) -> None:
    parent = task_of(99)
    bench.store.create_task(parent, claim=None, due_at_ms=START_MS)
    bench.store.commit(parent, record_of(1, text=LARGE), due_at_ms=START_MS)
    bench.store.commit(parent, record_of(2, DONE), due_at_ms=START_MS)
    fork = fork_of(1, record_of(1, text=LARGE).result)
    bench.store.create_task(fork, claim=None, due_at_ms=START_MS)
    bench.clock.advance(TERMINAL_RETENTION_SECONDS + 3)
    assert bench.store.erase(parent.ref) > 0
    history = bench.store.load(REF)
    assert history is not None
    assert history.task == fork


FORGED = codec.pack(codec.encode_record(record_of(1, text="forged")))


@pytest.mark.parametrize("body", [None, b"", b"other bytes", FORGED])
def test_a_large_body_that_is_gone_or_altered_is_never_read_as_something_else(
    bench: Bench, body: bytes | None
) -> None:
    bench.store.create_task(TASK, claim=None, due_at_ms=START_MS)
    bench.store.commit(TASK, record_of(1, text=LARGE), due_at_ms=START_MS)
    (key,) = bench.payload_keys()
    if body is None:
        bench.lose_payload(key)
    else:
        bench.alter_payload(key, body)
    with pytest.raises(DataMissing):
        bench.store.load(REF)


def test_payloads_lie_under_their_tenants_prefix(bench: Bench) -> None:
    bench.store.create_task(task_of(goal=LARGE), claim=None, due_at_ms=START_MS)
    (key,) = bench.payload_keys()
    assert key.startswith(f"acme/{REF.task_id}/")


def test_what_does_not_fit_into_an_item_is_refused_for_good(bench: Bench) -> None:
    with pytest.raises(ServiceRefused):
        bench.store.create_task(task_of(user_id="u" * 410_000), claim=None, due_at_ms=START_MS)
    with pytest.raises(ServiceRefused):
        begin(bench.store, "k" * 1_100)
    attempt = DeliveryAttempt("evt_1", "c" * 1_100, True, START_MS, "200")
    with pytest.raises(ServiceRefused):
        bench.store.record_delivery(REF, attempt)
    assert bench.store.load(REF) is None
