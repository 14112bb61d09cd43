"""Checkpoints in memory: the same answers as DynamoDB, for tests and examples.

Bodies pass through the codec and meet the limits that hold on AWS, so that what cannot be stored there cannot be here.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from ratchet.contracts.errors import AttemptSuperseded, DataMissing
from ratchet.contracts.limits import RING_AGAIN_SECONDS, TOMBSTONE_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Standing, TaskStatus
from ratchet.contracts.request_errors import TaskAlreadyFinished, TaskNotFound
from ratchet.domain import codec, keys
from ratchet.domain.steps import End, Paused, StepRecord
from ratchet.domain.task import History, Task, TaskState, is_over
from ratchet.ports import ANY_ATTEMPT, Clock, Created, DueTask, IdempotencyClaim, Reopening, Start
from ratchet.task_list import ListFilter, Page
from ratchet.testing.store_deliveries import InMemoryDeliveries
from ratchet.testing.store_ledgers import InMemoryLedgers
from ratchet.testing.store_rows import Head, Partition, is_settled
from ratchet.testing.store_sessions import InMemorySessions
from ratchet.testing.store_slots import InMemorySlots
from ratchet.testing.store_usage import InMemoryUsage


class InMemoryCheckpoints(
    InMemorySessions, InMemoryLedgers, InMemoryDeliveries, InMemoryUsage, InMemorySlots
):
    """The CheckpointStore, the SlotStore and the SessionStore without AWS; safe to share between threads."""

    def __init__(self, clock: Clock) -> None:
        InMemoryLedgers.__init__(self)
        InMemorySlots.__init__(self)
        InMemorySessions.__init__(self)
        self._clock = clock
        self._claims: dict[str, tuple[TaskRef, IdempotencyClaim]] = {}
        self._counters = {}
        self._gone_webhooks = {}

    def create_task(self, task: Task, *, claim: IdempotencyClaim | None, due_at_ms: int) -> Created:
        """Write a queued task (and the claim) atomically; with a known key, return what it created instead."""
        return self._create(task, claim, due_at_ms=due_at_ms)

    def _create(
        self,
        task: Task,
        claim: IdempotencyClaim | None,
        *,
        due_at_ms: int,
        join: Callable[[], None] = lambda: None,
    ) -> Created:
        """As `create_task`; `join` is done with it, or raises and nothing is done."""
        body = self.payloads.write(task.ref, codec.encode_task(task))
        state = TaskState(TaskStatus.QUEUED, task.created_at_ms, task.created_at_ms)
        if task.session is not None:
            state = replace(state, standing=Standing.WAITS)
        head = Head(task.ref, body, task.created_at_ms, task.agent, task.user_id, state, due_at_ms)
        head.session = task.session
        head.check_size()
        digest = None if claim is None else claim.body_sha256
        with self._lock:
            claimed = self._claimed(task.ref.tenant, claim)
            if claimed is not None:
                ref, earlier = claimed
                return self._created(task, ref, earlier.body_sha256)
            partition = self._partitions[keys.task_key(task.ref)]
            if partition.head is not None:
                return self._created(task, task.ref, digest)
            join()
            partition.head = head
            if claim is not None:
                self._claims[keys.idempotency_key(task.ref.tenant, claim.key)] = task.ref, claim
            return Created(task, state, is_replay=False, body_sha256=digest)

    def load(self, ref: TaskRef, *, after: int = 0) -> History | None:
        """The task with its steps after number `after`. None if there is no such task."""
        with self._lock:
            partition = self._partitions[keys.task_key(ref)]
            head = self._living(partition)
            if head is None:
                return None
            steps = {n: body for n, body in partition.steps.items() if n > after}
            for expected, number in enumerate(sorted(steps), start=after + 1):
                if number != expected:
                    raise DataMissing(f"step {expected} of {ref.task_id} is gone")
            return self.payloads.read_history(head, steps)

    def load_tip(self, ref: TaskRef) -> History | None:
        """The task with only its last committed step."""
        with self._lock:
            partition = self._partitions[keys.task_key(ref)]
            head = self._living(partition)
            if head is None:
                return None
            last = sorted(partition.steps)[-1:]
            return self.payloads.read_history(head, {n: partition.steps[n] for n in last})

    def load_remains(self, ref: TaskRef) -> History | None:
        """The task with its last step as far as they can be read; stand-ins for what cannot."""
        with self._lock:
            partition = self._partitions[keys.task_key(ref)]
            head = self._living(partition)
            return None if head is None else self.payloads.read_remains(head, partition.steps)

    def mark_started(self, ref: TaskRef, start: Start) -> None:
        """Note that an execution runs the task; of one that has ended, paused or was reopened only that it did."""
        with self._lock:
            head = self._partitions[keys.task_key(ref)].head
            if head is None or head.state.generation >= start.generation:
                return
            generation, version = start.generation, start.machine_version
            if is_settled(head.state):
                head.state = replace(head.state, generation=generation, machine_version=version)
                head.is_upgraded = False
            elif start.opened_at_ms != head.state.opened_at_ms:
                kept = head.state.machine_version or (None if head.is_upgraded else version)
                head.state = replace(head.state, generation=generation, machine_version=kept)
            elif head.may_start():
                head.run(start)
                self._leave_line(head)

    def commit(
        self, task: Task, record: StepRecord, *, due_at_ms: int, effects_of: str | None = None
    ) -> StepRecord:
        """Record a step unless its number is taken; returns the step that holds the number now."""
        body = self.payloads.write(task.ref, codec.encode_record(record))
        with self._lock:
            partition = self._partitions[keys.task_key(task.ref)]
            if record.number in partition.steps:
                return self.payloads.read_record(partition.steps[record.number])
            plan = partition.plans.get(record.number)
            if plan is not None and effects_of not in (plan.owner, ANY_ATTEMPT):
                raise AttemptSuperseded(
                    f"effects were begun for step {record.number} of {task.ref.task_id}"
                )
            if isinstance(record.next, End | Paused):
                self._settle(task.ref, partition, record).due_at_ms = due_at_ms
            partition.steps[record.number] = body
            return record

    def reopen(self, tip: History, reopening: Reopening) -> bool:
        """Queue a task that ended or paused again with its next step; False if someone has done so, or it is over."""
        ref, record = tip.task.ref, reopening.record
        if is_over(tip.state, now_ms=self._clock.now_ms()):
            return False
        task = replace(tip.task, limits=reopening.limits)
        body = None if task == tip.task else self.payloads.write(ref, codec.encode_task(task))
        step = self.payloads.write(ref, codec.encode_record(record))
        with self._lock:
            partition = self._partitions[keys.task_key(ref)]
            head = partition.head
            if head is None or record.number in partition.steps or not _is_same_end(head, tip):
                return False
            at = reopening.at_ms
            version = None if reopening.upgrade else head.state.machine_version
            head.state = TaskState(
                TaskStatus.QUEUED,
                at,
                at,
                head.state.generation,
                machine_version=version,
                slot=head.state.slot,
                standing=head.state.standing,
            )
            head.is_upgraded |= reopening.upgrade
            head.body, head.due_at_ms = body or head.body, reopening.due_at_ms
            partition.steps[record.number] = step
            return True

    def due_tasks(self, shard: str, *, now_ms: int, limit: int) -> Sequence[DueTask]:
        """What someone should look at by now, longest due first."""
        with self._lock:
            heads = [p.head for p in self._partitions.values() if p.head is not None]
            found = [
                DueTask(head.ref, head.state.status, head.due_at_ms)
                for head in heads
                if keys.due_key(head.ref) == shard and head.due_at_ms <= now_ms
            ]
        return sorted(found, key=lambda due: due.due_at_ms)[:limit]

    def postpone(self, due: DueTask, *, until_ms: int) -> bool:
        """Look again at that time; False if the task changed since it was found."""
        with self._lock:
            head = self._partitions[keys.task_key(due.ref)].head
            if head is None or head.due_at_ms != due.due_at_ms:
                return False
            head.due_at_ms = until_ms
            return True

    def due_again(self, ref: TaskRef, *, ended_at_ms: int, at_ms: int) -> None:
        """Look again at a task that ended or paused then; nothing if it has gone on since."""
        with self._lock:
            head = self._partitions[keys.task_key(ref)].head
            settled = head is not None and is_settled(head.state)
            is_kept = head is not None and settled and not head.is_erasing
            if head is not None and is_kept and head.state.updated_at_ms == ended_at_ms:
                head.due_at_ms = at_ms

    def erase(self, ref: TaskRef) -> int:
        """Delete a task that no reader sees any more; returns the items deleted, 0 while readers can see it."""
        with self._lock:
            partition = self._partitions[keys.task_key(ref)]
            head, now_ms = partition.head, self._clock.now_ms()
            if head is None or is_over(head.state, now_ms=now_ms):
                return self._erase(ref, partition, partition.erase)
            if head.is_tombstone:
                is_due = now_ms >= head.due_at_ms
                return self._erase(ref, partition, partition.erase) if is_due else 0
            return self._bury(ref, partition) if head.is_erasing else 0

    def _bury(self, ref: TaskRef, partition: Partition) -> int:
        due_at_ms = self._clock.now_ms() + TOMBSTONE_SECONDS * 1000
        return self._erase(ref, partition, lambda: partition.bury(due_at_ms))

    def _erase(self, ref: TaskRef, partition: Partition, forget: Callable[[], int]) -> int:
        place = None if partition.head is None else partition.head.session
        if partition.head is not None:
            self._begin_erasing(partition.head)
        self.payloads.erase(ref)
        erased = forget()
        return erased + (0 if place is None else self._leave_place(ref.tenant, place))

    def _begin_erasing(self, head: Head) -> None:
        head.is_erasing = True
        soon_ms = self._clock.now_ms() + RING_AGAIN_SECONDS * 1000
        head.due_at_ms = min(head.due_at_ms, soon_ms)
        if head.state.slot is not None:
            self._unseat(head)

    def list_tasks(
        self, tenant: str, *, where: ListFilter, limit: int, after: str | None = None
    ) -> Page:
        """Tasks of a tenant, newest first."""
        prefix = f"{keys.tenant_key(tenant)}#"
        with self._lock:
            heads = [
                head
                for pk, partition in self._partitions.items()
                if pk.startswith(prefix) and (head := self._listed(partition)) is not None
            ]
        lines = sorted((h.summary() for h in heads), key=lambda t: t.task_id, reverse=True)
        wanted = [
            line for line in lines if (not after or line.task_id < after) and where.passes(line)
        ]
        more = len(wanted) > limit
        return Page(tuple(wanted[:limit]), after=wanted[limit - 1].task_id if more else None)

    @property
    def lock(self) -> threading.Lock:
        """What guards the tasks, for the twins of stores that write beside them."""
        return self._lock

    def partition(self, ref: TaskRef) -> Partition:
        """The items of a task, for who holds the lock."""
        return self._partitions[keys.task_key(ref)]

    def forget_head(self, ref: TaskRef) -> None:
        """What TTL does in the end."""
        with self._lock:
            self._partitions[keys.task_key(ref)].head = None

    def _claimed(
        self, tenant: str, claim: IdempotencyClaim | None
    ) -> tuple[TaskRef, IdempotencyClaim] | None:
        if claim is None:
            return None
        found = self._claims.get(keys.idempotency_key(tenant, claim.key))
        now = self._clock.now_ms() // 1000
        return None if found is None or found[1].expires_at < now else found

    def _created(self, task: Task, ref: TaskRef, digest: str | None) -> Created:
        head = self._partitions[keys.task_key(ref)].head
        if head is None or head.is_erasing:
            raise DataMissing(f"{ref.task_id}, which the idempotency key created, is gone")
        stored = self.payloads.read_task(head)
        return Created(stored, head.state, stored != task, digest)

    def _settle(self, ref: TaskRef, partition: Partition, record: StepRecord) -> Head:
        head = partition.head
        if head is None:
            raise TaskNotFound(f"{ref.task_id} does not exist")
        if head.state.status.is_terminal:
            raise TaskAlreadyFinished(f"{ref.task_id} has ended at another step")
        following = record.next
        status = following.status if isinstance(following, End) else TaskStatus.INPUT_REQUIRED
        head.state = replace(head.state, status=status, updated_at_ms=record.finished_at_ms)
        self._leave_line(head)
        return head

    def _living(self, partition: Partition) -> Head | None:
        head = self._listed(partition)
        return None if head is None or head.is_erasing else head

    def _listed(self, partition: Partition) -> Head | None:
        """The head, also of a task that is half erased."""
        head = partition.head
        if head is None or head.is_tombstone or is_over(head.state, now_ms=self._clock.now_ms()):
            return None
        return head


def _is_same_end(head: Head, tip: History) -> bool:
    seen = (tip.state.status, tip.state.updated_at_ms)
    return not head.is_erasing and (head.state.status, head.state.updated_at_ms) == seen
