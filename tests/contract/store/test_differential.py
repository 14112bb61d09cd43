"""The same random operations on the twin and on DynamoDB give the same answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratchet.contracts.errors import RatchetError
from ratchet.contracts.names import TaskStatus
from ratchet.domain.steps import End, Step
from ratchet.ports import DeliveryAttempt, IdempotencyClaim, Intent, ListFilter
from tests.contract.moto_aws import mocked_aws, show
from tests.contract.store.benches import Bench, DynamoDbBench, MemoryBench
from tests.contract.store.samples import (
    ACTING,
    BROKEN,
    DONE,
    LARGE,
    START_MS,
    record_of,
    ref_of,
    task_of,
)

EXAMPLES = 100


@dataclass(frozen=True)
class Operation:
    """One call; its repr is what a failing example shows."""

    name: str
    args: tuple[Any, ...]
    options: dict[str, Any]

    def __call__(self, bench: Bench) -> Any:
        target = bench.clock if self.name == "advance" else bench.store
        return getattr(target, self.name)(*self.args, **self.options)


def call(name: str, *args: Any, **options: Any) -> Operation:
    return Operation(name, args, options)


tenants = st.sampled_from(["acme", "other"])
numbers = st.integers(1, 2)
steps = st.integers(1, 3)
names = st.sampled_from(["k", "l"])
flags = st.booleans()
times = st.integers(START_MS, START_MS + 5_000)
refs = st.builds(ref_of, numbers, tenants)
texts = st.sampled_from(["", "found it", "£ 5 \U0001f600", LARGE])


@st.composite
def creations(draw: st.DrawFn) -> Operation:
    goal = draw(st.sampled_from(["Find it", LARGE]))
    user, agent = draw(st.sampled_from([None, "u"])), draw(st.sampled_from(["odd", "even"]))
    task = task_of(draw(numbers), draw(tenants), goal=goal, user_id=user, agent=agent)
    claim = draw(
        st.none()
        | st.builds(
            IdempotencyClaim,
            names,
            st.sampled_from(["a" * 64, "b" * 64]),
            st.integers(START_MS // 1000, START_MS // 1000 + 60),
        )
    )
    due = draw(times)
    return call("create_task", task, claim=claim, due_at_ms=due)


@st.composite
def commits(draw: st.DrawFn) -> Operation:
    task = task_of(draw(numbers), draw(tenants))
    endings: list[Step | End] = [ACTING, ACTING, DONE, BROKEN]
    following = draw(st.sampled_from(endings))
    record = record_of(draw(steps), following, attempt=draw(st.integers(0, 2)), text=draw(texts))
    due = draw(times)
    return call("commit", task, record, due_at_ms=due)


@st.composite
def loads(draw: st.DrawFn) -> Operation:
    ref, after = draw(refs), draw(st.integers(0, 3))
    if draw(flags):
        return call("load_tip", ref)
    return call("load", ref, after=after)


@st.composite
def starts(draw: st.DrawFn) -> Operation:
    ref, at_ms, arn = draw(refs), draw(times), draw(names)
    if draw(flags):
        return call("mark_announced", ref)
    return call("mark_started", ref, execution_arn=arn, at_ms=at_ms)


@st.composite
def effects(draw: st.DrawFn) -> Operation:
    ref, step, key, attempt = draw(refs), draw(steps), draw(names), draw(names)
    if draw(flags):
        return call("begin_effect", ref, step=step, key=key, attempt_id=attempt)
    intent = Intent(attempt, draw(texts), draw(flags))
    return call("end_effect", ref, step=step, key=key, intent=intent)


@st.composite
def deliveries(draw: st.DrawFn) -> Operation:
    ref, event, channel = draw(refs), draw(st.sampled_from(["e1", "e10"])), draw(names)
    if draw(flags):
        return call("delivered_channels", ref, event)
    attempt = DeliveryAttempt(event, channel, draw(flags), draw(times), "200")
    return call("record_delivery", ref, attempt)


@st.composite
def lists(draw: st.DrawFn) -> Operation:
    tenant, limit = draw(tenants), draw(st.integers(1, 3))
    where = ListFilter(
        status=draw(st.sampled_from([None, TaskStatus.QUEUED, TaskStatus.SUCCEEDED])),
        agent=draw(st.sampled_from([None, "odd"])),
        user_id=draw(st.sampled_from([None, "u"])),
    )
    after = draw(st.none() | st.builds(lambda number: ref_of(number).task_id, numbers))
    return call("list_tasks", tenant, where=where, limit=limit, after=after)


@st.composite
def pauses(draw: st.DrawFn) -> Operation:
    seconds = draw(st.sampled_from([1, 30, 31 * 24 * 3600]))
    return call("advance", seconds)


operations = (
    creations() | commits() | loads() | starts() | effects() | deliveries() | lists() | pauses()
)


def answer(operation: Operation, bench: Bench) -> object:
    try:
        return operation(bench)
    except RatchetError as exc:
        return type(exc)


@pytest.fixture(scope="module")
def examples(request: pytest.FixtureRequest) -> Iterator[list[int]]:
    done: list[int] = []
    with mocked_aws():
        yield done
    show(request, f"differential: {len(done)} examples, {sum(done)} operations on both stores")


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(sequence=st.lists(operations, min_size=5, max_size=25))
def test_both_stores_answer_alike(examples: list[int], sequence: list[Operation]) -> None:
    memory, dynamodb = MemoryBench(), DynamoDbBench()
    try:
        for operation in sequence:
            assert answer(operation, memory) == answer(operation, dynamodb)
        assert memory.due() == dynamodb.due()
        assert memory.payload_keys() == dynamodb.payload_keys()
    finally:
        dynamodb.close()
    examples.append(len(sequence))
