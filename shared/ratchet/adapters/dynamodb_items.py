"""How tasks and steps look as items. Pure: keys and attributes in, values out."""

from collections.abc import Iterable, Sequence

from ratchet.adapters.dynamodb_bodies import Bodies
from ratchet.adapters.dynamodb_table import Item
from ratchet.contracts.errors import DataMissing
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TERMINAL_STATUSES, TaskStatus
from ratchet.domain import codec, keys
from ratchet.domain.steps import End, StepRecord
from ratchet.domain.task import History, Task, TaskState
from ratchet.ports import IdempotencyClaim, TaskSummary

TERMINAL_VALUES: Item = {
    f":{status.value}": {"S": status.value} for status in sorted(TERMINAL_STATUSES)
}
TERMINAL_NAMES = ", ".join(TERMINAL_VALUES)
"""For conditions on #status: a terminal status never changes."""


def key(pk: str, sk: str) -> Item:
    """A primary key."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def head_key(ref: TaskRef) -> Item:
    """The key of a task's head."""
    return key(keys.task_key(ref), keys.HEAD)


def step_key(ref: TaskRef, number: int) -> Item:
    """The key of one step."""
    return key(keys.task_key(ref), keys.step_sort_key(number))


def new_head(task: Task, body: Item, *, due_at_ms: int) -> Item:
    """The head of a queued task; `due` and `due_at` put it into the sparse index of work to do."""
    head: Item = {
        **head_key(task.ref),
        **body,
        "tenant_key": {"S": keys.tenant_key(task.ref.tenant)},
        "task_id": {"S": task.ref.task_id},
        "status": {"S": TaskStatus.QUEUED.value},
        "agent": {"S": task.agent},
        "created_at": number(task.created_at_ms),
        "updated_at": number(task.created_at_ms),
        **due(task.ref, due_at_ms),
    }
    if task.user_id is not None:
        head["user_id"] = {"S": task.user_id}
    return head


def due(ref: TaskRef, due_at_ms: int) -> Item:
    """The attributes that the `due` index is built on."""
    return {"due": {"S": keys.due_key(ref)}, "due_at": number(due_at_ms)}


def new_claim(task: Task, claim: IdempotencyClaim) -> Item:
    """The item of an Idempotency-Key; never part of a live task, so TTL may have it from the start."""
    return {
        **key(keys.idempotency_key(task.ref.tenant, claim.key), "IDEMPOTENCY"),
        "task_id": {"S": task.ref.task_id},
        "body_sha256": {"S": claim.body_sha256},
        "expires_at": number(claim.expires_at),
    }


def number(value: int) -> Item:
    """A number as DynamoDB takes it."""
    return {"N": str(value)}


def read_task(ref: TaskRef, head: Item, bodies: Bodies) -> Task:
    """What was asked."""
    return codec.decode_task(ref, int(head["created_at"]["N"]), bodies.read(ref, head))


def read_state(head: Item) -> TaskState:
    """Where the task stands."""
    return TaskState(
        status=TaskStatus(head["status"]["S"]),
        updated_at_ms=int(head["updated_at"]["N"]),
        execution_arn=head["execution"]["S"] if "execution" in head else None,
    )


def read_record(ref: TaskRef, item: Item, bodies: Bodies) -> StepRecord:
    """A step, checked to be the one that its key says.

    Raises:
        DataMissing: it is another one, or cannot be read.
    """
    record = codec.decode_record(bodies.read(ref, item))
    if keys.step_sort_key(record.number) != item["sk"]["S"]:
        raise DataMissing(f"{item['sk']['S']} of {ref.task_id} holds step {record.number}")
    return record


def read_summary(item: Item) -> TaskSummary:
    """A line of the `by_tenant` index."""
    return TaskSummary(
        task_id=item["task_id"]["S"],
        status=TaskStatus(item["status"]["S"]),
        agent=item["agent"]["S"],
        created_at_ms=int(item["created_at"]["N"]),
        updated_at_ms=int(item["updated_at"]["N"]),
        user_id=item["user_id"]["S"] if "user_id" in item else None,
    )


def expires_at(finished_at_ms: int) -> int:
    """When TTL may take a task that ended then, in epoch seconds."""
    return finished_at_ms // 1000 + TERMINAL_RETENTION_SECONDS


def is_expired(head: Item, now_ms: int) -> bool:
    """Whether TTL may take the head at any moment: readers treat it as gone."""
    return "expires_at" in head and int(head["expires_at"]["N"]) * 1000 < now_ms


def is_torn(head: Item, records: Sequence[StepRecord], *, after: int) -> bool:
    """Whether the head was read after the terminal commit and the steps before it."""
    last = records[-1].number if records else after
    return "steps" in head and last < int(head["steps"]["N"])


def history(task: Task, head: Item, records: Iterable[StepRecord]) -> History:
    """A task as of its last step: when that ends it, so does the state, whichever was read first."""
    records = tuple(records)
    state = read_state(head)
    if records and isinstance(records[-1].next, End) and not state.status.is_terminal:
        end = records[-1].next
        state = TaskState(end.status, records[-1].finished_at_ms, state.execution_arn)
    return History(task, state, records)


def check_order(ref: TaskRef, records: Iterable[StepRecord], *, after: int) -> None:
    """Step numbers have no gap.

    Raises:
        DataMissing: a step is gone.
    """
    for expected, record in enumerate(records, start=after + 1):
        if record.number != expected:
            raise DataMissing(f"step {expected} of {ref.task_id} is gone")
