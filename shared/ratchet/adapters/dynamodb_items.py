"""How tasks and steps look as items. Pure: keys and attributes in, values out."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ratchet.adapters.dynamodb_bodies import Bodies
from ratchet.adapters.dynamodb_table import Item
from ratchet.contracts.errors import DataMissing
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Standing, TaskStatus, WaitingFor
from ratchet.domain import codec, keys
from ratchet.domain.steps import End, Paused, StepRecord
from ratchet.domain.task import History, SessionPlace, Task, TaskState, is_over
from ratchet.ports import IdempotencyClaim
from ratchet.task_list import TaskSummary

RESERVED = "effects_of"
"""The attribute of a step's place while effects are begun for it and it is not committed: the plan's owner."""


def is_reservation(item: Item) -> bool:
    """Whether an item only keeps a step's place for whoever tells of its effects."""
    return RESERVED in item


def key(pk: str, sk: str) -> Item:
    """A primary key."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def head_key(ref: TaskRef) -> Item:
    """The key of a task's head."""
    return key(keys.task_key(ref), keys.HEAD)


def step_key(ref: TaskRef, number: int) -> Item:
    """The key of one step."""
    return key(keys.task_key(ref), keys.step_sort_key(number))


def task_range(ref: TaskRef, *, first: str) -> dict[str, Any]:
    """A query of a task's steps from that sort key on, and its head, which sorts last."""
    return {
        "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :head",
        "ExpressionAttributeValues": {
            ":pk": {"S": keys.task_key(ref)},
            ":first": {"S": first},
            ":head": {"S": keys.HEAD},
        },
        "ConsistentRead": True,
    }


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
    if task.session is not None:
        head["session_id"] = {"S": task.session.session_id}
        head["session_number"] = number(task.session.number)
        head["session_standing"] = {"S": Standing.WAITS.value}
    return head


def read_place(head: Item) -> SessionPlace | None:
    """The session that a task belongs to."""
    if "session_id" not in head:
        return None
    return SessionPlace(head["session_id"]["S"], _read_number(head, "session_number"))


def place_key(tenant: str, place: SessionPlace) -> Item:
    """The key of a task's place in its session."""
    return key(keys.session_key(tenant, place.session_id), keys.place_sort_key(place.number))


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


CURRENT = "current"
"""Stands for the version of an upgraded task that has not been started since: whichever is current then."""


def read_state(head: Item) -> TaskState:
    """Where the task stands."""
    return TaskState(
        status=TaskStatus(head["status"]["S"]),
        updated_at_ms=_read_number(head, "updated_at"),
        opened_at_ms=_read_number(head, "opened_at" if "opened_at" in head else "created_at"),
        generation=_read_number(head, "generation"),
        restarts=_read_number(head, "restarts"),
        restarted_at_step=_read_number(head, "restarted_at_step"),
        machine_version=_read_version(head),
        slot=_read_number(head, "slot") if "slot" in head else None,
        waiting_for=WaitingFor(head["waiting_for"]["S"]) if "waiting_for" in head else None,
        standing=Standing(head["session_standing"]["S"]) if "session_standing" in head else None,
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


def is_expired(head: Item, now_ms: int) -> bool:
    """Whether the retention of the task is over: readers treat it as gone."""
    return is_over(read_state(head), now_ms=now_ms)


TOMBSTONE = "tombstone"
_NOBODY = {RESERVED: {"S": "erased"}}


def closed_place(key: Item) -> Item:
    """What stays of a deleted task's step for a while: nobody can commit it, or begin effects of it."""
    return {**key, **_NOBODY}


def tombstone(head: Item) -> Item:
    """What stays of a deleted task's head for a while: no reader sees it, and it says nothing of the task."""
    kept = ("pk", "sk", "status", "updated_at", "expires_at")
    marks = {"erasing": {"BOOL": True}, TOMBSTONE: {"BOOL": True}}
    return {name: head[name] for name in kept if name in head} | marks


def is_gone(head: Item, now_ms: int) -> bool:
    """Whether no reader sees the task: its retention is over, or its erasing has begun and parts of it may be gone."""
    return "erasing" in head or is_expired(head, now_ms)


def is_torn(head: Item, records: Sequence[StepRecord], *, after: int) -> bool:
    """Whether head and steps were read on two sides of the end or pause of the task, or of its going on.

    A head that says where the task ended or paused fits only steps up to that one.
    """
    if "steps" not in head:
        return False
    ended_at = int(head["steps"]["N"])
    return records[-1].number != ended_at if records else after < ended_at


def history(task: Task, head: Item, records: Iterable[StepRecord]) -> History:
    """A task as of its last step: when that ends or pauses it, so does the state, whichever was read first."""
    records = tuple(records)
    state = read_state(head)
    following = records[-1].next if records else None
    if isinstance(following, End | Paused) and "steps" not in head:
        status = following.status if isinstance(following, End) else TaskStatus.INPUT_REQUIRED
        state = replace(state, status=status, updated_at_ms=records[-1].finished_at_ms)
    return History(task, state, records)


def check_order(ref: TaskRef, records: Iterable[StepRecord], *, after: int) -> None:
    """Step numbers have no gap.

    Raises:
        DataMissing: a step is gone.
    """
    for expected, record in enumerate(records, start=after + 1):
        if record.number != expected:
            raise DataMissing(f"step {expected} of {ref.task_id} is gone")


def _read_version(head: Item) -> str | None:
    version: str | None = head.get("machine_version", {}).get("S")
    return None if version == CURRENT else version


def _read_number(head: Item, name: str) -> int:
    return int(head[name]["N"]) if name in head else 0
