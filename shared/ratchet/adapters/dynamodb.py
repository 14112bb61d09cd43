"""Checkpoints in DynamoDB: one table, append-only steps, one conditional write per step.

A step is an item that is put once. Whoever comes second, be it a racing attempt or the same request sent again after
its answer was lost, gets the item that stands, so a lost answer needs no care. A terminal step and the head's status
are one transaction.

Live items carry no TTL. The terminal transaction sets it on the two items that it writes, the head and the last step,
and nowhere else: setting it on all steps would double the writes of every task. The sweeper erases the task before
that, when its retention is over and readers see it no more; TTL is the backstop for what holds the task's outcome.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from ratchet.adapters import dynamodb_items as items
from ratchet.adapters import dynamodb_updates as updates
from ratchet.adapters.dynamodb_agenda import DynamoDbAgenda
from ratchet.adapters.dynamodb_bodies import Bodies
from ratchet.adapters.dynamodb_deliveries import DynamoDbDeliveries
from ratchet.adapters.dynamodb_erasing import DynamoDbErasing
from ratchet.adapters.dynamodb_ledgers import DynamoDbLedgers
from ratchet.adapters.dynamodb_listing import DynamoDbListing
from ratchet.adapters.dynamodb_remains import DynamoDbRemains
from ratchet.adapters.dynamodb_sessions import DynamoDbSessions
from ratchet.adapters.dynamodb_table import Item, Refused, Table
from ratchet.adapters.dynamodb_usage import DynamoDbUsage
from ratchet.contracts.errors import AttemptSuperseded, DataMissing, StoreUnavailable
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.request_errors import TaskAlreadyFinished, TaskNotFound
from ratchet.domain import codec, keys
from ratchet.domain.steps import End, Paused, StepRecord
from ratchet.domain.task import History, Task, is_over
from ratchet.ports import ANY_ATTEMPT, Clock, Created, IdempotencyClaim, Reopening, Start
from ratchet.task_list import ListFilter, Page

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

    from ratchet.adapters.payloads import Payloads

_READS = 4


class DynamoDbCheckpoints(
    DynamoDbSessions,
    DynamoDbLedgers,
    DynamoDbDeliveries,
    DynamoDbAgenda,
    DynamoDbErasing,
    DynamoDbRemains,
    DynamoDbUsage,
):
    """The CheckpointStore, the SlotStore and the SessionStore on AWS."""

    def __init__(
        self, client: "DynamoDBClient", *, table: str, payloads: "Payloads", clock: Clock
    ) -> None:
        super().__init__(Table(client, table, clock), Bodies(payloads))
        self._listing = DynamoDbListing(self._table)
        self._clock = clock

    def create_task(self, task: Task, *, claim: IdempotencyClaim | None, due_at_ms: int) -> Created:
        """Write a queued task (and the claim) atomically; with a known key, return what it created instead."""
        body = self._bodies.write(task.ref, codec.encode_task(task))
        head = items.new_head(task, body, due_at_ms=due_at_ms)
        if claim is None:
            stored = self._table.put_new(head)
            return _written(task, head) if stored is None else self._created(task, stored)
        try:
            self._table.transact(
                {"Put": self._new_claim(task, claim)},
                {"Put": _new(head)},
            )
        except Refused as refused:
            return self._created_before(task, claim, refused)
        return _written(task, head, body_sha256=claim.body_sha256)

    def _new_claim(self, task: Task, claim: IdempotencyClaim) -> Item:
        return {
            "Item": items.new_claim(task, claim),
            # TTL may lag for days: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
            "ConditionExpression": "attribute_not_exists(pk) OR expires_at < :now",
            "ExpressionAttributeValues": {":now": items.number(self._clock.now_ms() // 1000)},
        }

    def load(self, ref: TaskRef, *, after: int = 0) -> History | None:
        """The task with its steps after number `after`: one read request (more above 1 MB)."""
        request = items.task_range(ref, first=keys.step_sort_key(after + 1))
        for _ in range(_READS):
            found = [item for page in self._table.query(request) for item in page["Items"]]
            head = self._living_head(found)
            if head is None:
                return None
            records = self._records(ref, found)
            items.check_order(ref, records, after=after)
            if not items.is_torn(head, records, after=after):
                return items.history(items.read_task(ref, head, self._bodies), head, records)
        raise StoreUnavailable(f"the last step of {ref.task_id} cannot be read yet")

    def load_tip(self, ref: TaskRef) -> History | None:
        """The task with only its last committed step: one read request of two items, two while effects are begun."""
        request = {
            **items.task_range(ref, first=keys.STEP_PREFIX),
            "ScanIndexForward": False,
            "Limit": 2,
        }
        for _ in range(_READS):
            found = list(reversed(next(self._table.query(request))["Items"]))
            head = self._living_head(found)
            if head is None:
                return None
            if items.is_reservation(found[0]) and request["Limit"] == 2:
                request["Limit"] = 3
                continue
            records = self._records(ref, found)
            if not items.is_torn(head, records, after=0):
                return items.history(items.read_task(ref, head, self._bodies), head, records)
        raise StoreUnavailable(f"the last step of {ref.task_id} cannot be read yet")

    def mark_started(self, ref: TaskRef, start: Start) -> None:
        """Note that an execution runs the task; of one that has ended, paused or was reopened only that it did."""
        notes = (updates.started, updates.had_started, updates.started_before)
        for note in notes:  # each holds in another case, so that one of them is taken, or none
            if self._table.update(note(ref, start)):
                return

    def commit(
        self, task: Task, record: StepRecord, *, due_at_ms: int, effects_of: str | None = None
    ) -> StepRecord:
        """Record a step unless its number is taken; returns the step that holds the number now.

        Raises:
            AttemptSuperseded: effects were begun for this step, and the record does not tell of them.
            TaskAlreadyFinished: the record ends or pauses a task that another step has ended.
            TaskNotFound: the record ends or pauses a task that there is not.
        """
        ref = task.ref
        put = _new(self._step(ref, record), effects_of=effects_of)
        if isinstance(record.next, End | Paused):
            settled = updates.settled(ref, record, due_at_ms=due_at_ms)
            stored = self._put_last(ref, put, record, settled)
        else:
            stored = self._table.put(put)
        if stored is None:
            return record
        if items.is_reservation(stored):
            raise AttemptSuperseded(f"effects were begun for step {record.number} of {ref.task_id}")
        return items.read_record(ref, stored, self._bodies)

    def reopen(self, tip: History, reopening: Reopening) -> bool:
        """Queue a task that ended or paused again with its next step; False if someone has done so, or it is over."""
        ref, record, last = tip.task.ref, reopening.record, tip.records[-1]
        if is_over(tip.state, now_ms=self._clock.now_ms()):
            return False
        task = replace(tip.task, limits=reopening.limits)
        body = {} if task == tip.task else self._bodies.write(ref, codec.encode_task(task))
        kept = [{"Update": updates.kept(ref, last.number)}] if isinstance(last.next, End) else []
        try:
            self._table.transact(
                {"Put": _new(self._step(ref, record))},
                {"Update": updates.reopened(tip, reopening, body)},
                *kept,
            )
        except Refused:
            return False
        return True

    def list_tasks(
        self, tenant: str, *, where: ListFilter, limit: int, after: str | None = None
    ) -> Page:
        """Tasks of a tenant, newest first (eventually consistent)."""
        return self._listing.page(
            tenant, where=where, limit=limit, after=after, now_ms=self._clock.now_ms()
        )

    def _records(self, ref: TaskRef, found: list[Item]) -> list[StepRecord]:
        """The committed steps of a query that ends with the head."""
        steps = [item for item in found[:-1] if not items.is_reservation(item)]
        return [items.read_record(ref, item, self._bodies) for item in steps]

    def _step(self, ref: TaskRef, record: StepRecord) -> Item:
        body = self._bodies.write(ref, codec.encode_record(record))
        return {**items.step_key(ref, record.number), **body}

    def _put_last(
        self, ref: TaskRef, put: Item, record: StepRecord, settled: updates.Update
    ) -> Item | None:
        """Put the step that ends or pauses the task, with the head; returns the step that took its number before."""
        put = {**put, "Item": {**put["Item"], **updates.expiry(record)}}
        try:
            self._table.transact({"Put": put}, {"Update": settled})
        except Refused as refused:
            if refused.failed[0]:
                return refused.items[0] or self._table.get(items.step_key(ref, record.number))
            stored = self._table.get(items.step_key(ref, record.number))
            is_free = stored is None or items.is_reservation(stored)
            if is_free and refused.items[1] is None:
                raise TaskNotFound(f"{ref.task_id} does not exist") from None
            if is_free:
                raise TaskAlreadyFinished(f"{ref.task_id} has ended at another step") from None
            return stored
        return None

    def _created_before(self, task: Task, claim: IdempotencyClaim, refused: Refused) -> Created:
        """What holds the key (maybe this very request, sent again), or else the task id."""
        if not refused.failed[0]:
            stored = refused.items[1]
            if stored is None:
                raise DataMissing(f"{task.ref.task_id} was refused without a reason")
            return self._created(task, stored, body_sha256=claim.body_sha256)
        held = refused.items[0] or {}
        ref = TaskRef(task.ref.tenant, held["task_id"]["S"])
        head = self._table.get(items.head_key(ref))
        if head is None or "erasing" in head:
            raise DataMissing(f"{ref.task_id}, which the idempotency key created, is gone")
        return self._created(task, head, ref=ref, body_sha256=held["body_sha256"]["S"])

    def _created(
        self, task: Task, head: Item, *, ref: TaskRef | None = None, body_sha256: str | None = None
    ) -> Created:
        stored = items.read_task(ref or task.ref, head, self._bodies)
        return Created(stored, items.read_state(head), stored != task, body_sha256)

    def _living_head(self, found: list[Item]) -> Item | None:
        """The head, which sorts last, unless it is gone or about to be."""
        if not found or found[-1]["sk"]["S"] != keys.HEAD:
            return None
        return None if items.is_gone(found[-1], self._clock.now_ms()) else found[-1]


def _new(item: Item, *, effects_of: str | None = None) -> Item:
    """Put an item where there is none, or where its place is kept for who tells of the effects of that attempt."""
    new = "attribute_not_exists(pk)"
    if effects_of is None:
        return {"Item": item, "ConditionExpression": new}
    if effects_of == ANY_ATTEMPT:
        return {"Item": item, "ConditionExpression": f"{new} OR attribute_exists({items.RESERVED})"}
    return {
        "Item": item,
        "ConditionExpression": f"{new} OR {items.RESERVED} = :owner",
        "ExpressionAttributeValues": {":owner": {"S": effects_of}},
    }


def _written(task: Task, head: Item, *, body_sha256: str | None = None) -> Created:
    return Created(task, items.read_state(head), is_replay=False, body_sha256=body_sha256)
