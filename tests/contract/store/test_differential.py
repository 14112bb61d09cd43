"""The same random operations on the twin and on DynamoDB give the same answers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratchet.contracts.errors import RatchetError
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.delivery_log import DeliveryAttempt
from ratchet.domain import keys
from ratchet.domain.steps import End, Paused, Step
from ratchet.domain.task import TaskLimits
from ratchet.ports import ANY_ATTEMPT, DueTask, IdempotencyClaim
from ratchet.task_list import ListFilter
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import EVER, Bench, DynamoDbBench, MemoryBench
from tests.contract.store.samples import (
    ACTING,
    ASKING,
    BROKEN,
    DONE,
    LARGE,
    START_MS,
    intent_of,
    plan_of,
    record_of,
    ref_of,
    reopening_of,
    start_of,
    task_of,
)
from tests.figures import Tell

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


# Most operations meet on one task.
tenants = st.sampled_from(["acme", "acme", "acme", "other"])
numbers = st.sampled_from([1, 1, 1, 2])
steps = st.integers(1, 3)
names = st.sampled_from(["k", "l"])
flags = st.booleans()
owners = st.sampled_from([None, ANY_ATTEMPT, "k", "l"])
versions = st.sampled_from([None, "m:1", "m:2"])
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
    endings: list[Step | Paused | End] = [ACTING, ACTING, ASKING, DONE, BROKEN]
    following = draw(st.sampled_from(endings))
    record = record_of(draw(steps), following, attempt=draw(st.integers(0, 2)), text=draw(texts))
    due, owner = draw(times), draw(owners)
    return call("commit", task, record, due_at_ms=due, effects_of=owner)


@st.composite
def loads(draw: st.DrawFn) -> Operation:
    ref, after = draw(refs), draw(st.integers(0, 3))
    if draw(flags):
        return call("load_tip", ref)
    return call("load", ref, after=after)


@st.composite
def starts(draw: st.DrawFn) -> Operation:
    generation, restarts = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    start = start_of(generation, at_ms=draw(times), restarts=restarts, at_step=draw(steps))
    opened = draw(st.sampled_from([START_MS + 1, START_MS + 1, START_MS + 4_000]))
    start = replace(start, opened_at_ms=opened, machine_version=draw(versions))
    return call("mark_started", draw(refs), start)


@st.composite
def dues(draw: st.DrawFn) -> Operation:
    kind = draw(st.sampled_from(["due_tasks", "due_tasks", "postpone", "due_again"]))
    ref, at_ms = draw(refs), draw(times)
    if kind == "due_again":
        return call(kind, ref, ended_at_ms=draw(times), at_ms=at_ms)
    if kind == "due_tasks":
        return call(kind, keys.due_key(ref), now_ms=at_ms, limit=draw(st.integers(1, 3)))
    return call(kind, DueTask(ref, TaskStatus.QUEUED, draw(times)), until_ms=at_ms)


@dataclass(frozen=True)
class Reopen:
    """Reopen a task with its tip as the store shows it, or a stale one that ends with another step."""

    ref: TaskRef
    at_ms: int
    limits: TaskLimits | None
    stale: bool
    upgrade: bool

    def __call__(self, bench: Bench) -> Any:
        tip = bench.store.load_tip(self.ref)
        if tip is None or not tip.records:
            return None
        if self.stale:
            tip = replace(tip, records=(record_of(1, BROKEN),))
        reopening = reopening_of(tip, at_ms=self.at_ms, limits=self.limits)
        return bench.store.reopen(tip, replace(reopening, upgrade=self.upgrade))


@dataclass(frozen=True)
class PostponeDue:
    """Postpone whatever is found due, twice."""

    ref: TaskRef
    until_ms: int

    def __call__(self, bench: Bench) -> Any:
        found = bench.store.due_tasks(keys.due_key(self.ref), now_ms=EVER, limit=2)
        return [bench.store.postpone(d, until_ms=self.until_ms) for d in found for _ in range(2)]


limits = st.sampled_from(
    [None, TaskLimits(max_steps=7, max_cost_usd=0.25), TaskLimits(max_steps=9)]
)
reopenings = st.builds(Reopen, refs, times, limits, flags, flags)
erasings = st.builds(lambda ref: call("erase", ref), refs)


@st.composite
def effects(draw: st.DrawFn) -> Operation:
    ref, step, key, attempt = draw(refs), draw(steps), draw(names), draw(names)
    plan = plan_of(attempt)
    match draw(st.sampled_from(["begin", "begin", "end", "look", "adopt", "retake"])):
        case "begin":
            intent = intent_of(attempt)
            return call("begin_effect", ref, plan, step=step, key=key, intent=intent)
        case "end":
            intent = intent_of(attempt, result=draw(texts), ok=draw(flags))
            return call("end_effect", ref, step=step, key=key, intent=intent)
        case "look":
            return call("begun_effects", ref, step=step)
        case "adopt":
            return call("adopt_plan", ref, plan, step=step, owner=draw(names))
        case _:
            before, after = intent_of(attempt), intent_of(draw(names))
            return call("retake_effect", ref, step=step, key=key, before=before, after=after)


@st.composite
def deliveries(draw: st.DrawFn) -> Operation:
    ref, event, channel = draw(refs), draw(st.sampled_from(["e1", "e10"])), draw(names)
    kinds = ("look", "log", "record", "record", "give_up", "redeliver", "dead")
    match draw(st.sampled_from(kinds)):
        case "look":
            return call("deliveries", ref, event)
        case "log":
            return call("task_deliveries", ref)
        case "record":
            times_of = (draw(times), "200", draw(times))
            attempt = DeliveryAttempt(event, channel, draw(flags), *times_of)
            return call("record_delivery", ref, attempt)
        case "give_up":
            earlier = draw(st.integers(0, 2))
            return call("give_up_delivery", ref, event, channel=channel, earlier_tries=earlier)
        case "redeliver":
            return call("redeliver", ref, event, channel=channel)
        case _:
            return call("dead_deliveries", draw(tenants), limit=draw(st.integers(1, 3)))


@st.composite
def lists(draw: st.DrawFn) -> Operation:
    tenant, limit = draw(tenants), draw(st.integers(1, 3))
    where = ListFilter(
        status=draw(st.sampled_from([None, TaskStatus.QUEUED, TaskStatus.SUCCEEDED])),
        agent=draw(st.sampled_from([None, "odd"])),
        user_id=draw(st.sampled_from([None, "u"])),
        from_ms=draw(st.sampled_from([None, 0, 1])),
        until_ms=draw(st.sampled_from([None, 0, 2**50])),
    )
    after = draw(st.none() | st.builds(lambda number: ref_of(number).task_id, numbers))
    return call("list_tasks", tenant, where=where, limit=limit, after=after)


@st.composite
def pauses(draw: st.DrawFn) -> Operation:
    seconds = draw(st.sampled_from([1, 30, 31 * 24 * 3600]))
    return call("advance", seconds)


operations = st.one_of(
    creations(),
    commits(),
    loads(),
    starts(),
    effects(),
    deliveries(),
    lists(),
    pauses(),
    dues(),
    reopenings,
    erasings,
    st.builds(PostponeDue, refs, times),
)


@st.composite
def lives(draw: st.DrawFn) -> list[Any]:
    """A task that has got some way through its life, then anything."""
    task, due = task_of(), START_MS
    life = [
        call("create_task", task, claim=None, due_at_ms=due),
        call("mark_started", task.ref, replace(start_of(1), machine_version=draw(versions))),
        call("commit", task, record_of(1, text=draw(texts)), due_at_ms=due),
        call("commit", task, record_of(2, draw(st.sampled_from([DONE, BROKEN]))), due_at_ms=due),
        Reopen(task.ref, START_MS + 4_000, draw(limits), stale=draw(flags), upgrade=draw(flags)),
        call("mark_started", task.ref, start_of(2)),
        call("commit", task, record_of(4, BROKEN), due_at_ms=due),
        call("advance", 31 * 24 * 3600),
        call("erase", task.ref),
    ]
    begun = life[: draw(st.integers(0, len(life)))]
    return [*begun, *draw(st.lists(operations, min_size=3, max_size=15))]


def is_possible(operation: Any, bench: Bench) -> bool:
    """No attempt ever commits a step behind one that ended the task: it would have to have seen it."""
    if not isinstance(operation, Operation) or operation.name != "commit":
        return True
    task, record = operation.args
    tip = bench.store.load_tip(task.ref)
    is_after_end = tip is not None and tip.state.status.is_terminal
    return not is_after_end or isinstance(record.next, End)


def answer(operation: Any, bench: Bench) -> object:
    try:
        return operation(bench)
    except RatchetError as exc:
        return type(exc)


def check_mortality(bench: DynamoDbBench) -> None:
    """Of a live task nothing expires; of an ended one the head and the step that ended it, together."""
    tasks = [item for item in bench.items() if item["sk"]["S"] != "IDEMPOTENCY"]
    heads = {item["pk"]["S"]: item for item in tasks if item["sk"]["S"] == "TASK"}
    for item in tasks:
        head = heads.get(item["pk"]["S"], {})
        ended_at = keys.step_sort_key(int(head["steps"]["N"])) if "steps" in head else None
        is_mortal = ended_at is not None and item["sk"]["S"] in ("TASK", ended_at)
        assert item.get("expires_at") == (head.get("expires_at") if is_mortal else None)


@pytest.fixture(scope="module")
def examples(tell: Tell) -> Iterator[list[int]]:
    done: list[int] = []
    with mocked_aws():
        yield done
    tell(f"differential: {len(done)} examples, {sum(done)} operations on both stores")


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(sequence=lives())
def test_both_stores_answer_alike(examples: list[int], sequence: list[Any]) -> None:
    memory, dynamodb = MemoryBench(), DynamoDbBench()
    try:
        for operation in sequence:
            if is_possible(operation, memory):
                assert answer(operation, memory) == answer(operation, dynamodb)
                check_mortality(dynamodb)
        assert memory.due() == dynamodb.due()
        assert memory.payload_keys() == dynamodb.payload_keys()
    finally:
        dynamodb.close()
    examples.append(len(sequence))
