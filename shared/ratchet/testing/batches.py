"""Batches in memory, beside the tasks in memory."""

import threading
from collections.abc import Sequence

from ratchet.batch_ports import Batch, BatchCreated, Member
from ratchet.contracts.limits import BATCH_RETENTION_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.domain.steps import End, Paused
from ratchet.domain.task import History, Task
from ratchet.ports import CheckpointStore, Clock, IdempotencyClaim
from ratchet.task_list import TaskSummary


class InMemoryBatches:
    """The BatchStore without AWS; safe to share between threads."""

    def __init__(self, store: CheckpointStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._batches: dict[tuple[str, str], Batch] = {}
        self._claims: dict[tuple[str, str], tuple[str, IdempotencyClaim]] = {}

    def create_batch(
        self,
        batch: Batch,
        tasks: Sequence[Task],
        *,
        claim: IdempotencyClaim | None,
        due_at_ms: int,
    ) -> BatchCreated:
        """Write the batch and its queued tasks; with a known key, what that created."""
        with self._lock:
            if claim is not None:
                held = self._claims.get((batch.tenant, claim.key))
                if held is not None and held[1].expires_at >= self._clock.now_ms() // 1000:
                    stored = self._batches[batch.tenant, held[0]]
                    return BatchCreated(stored, True, held[1].body_sha256)
                self._claims[batch.tenant, claim.key] = batch.batch_id, claim
            for task in tasks:
                self._store.create_task(task, claim=None, due_at_ms=due_at_ms)
            self._batches[batch.tenant, batch.batch_id] = batch
            return BatchCreated(batch, is_replay=False)

    def batch(self, tenant: str, batch_id: str) -> Batch | None:
        """The batch; None if this tenant has none of that id (any more)."""
        with self._lock:
            found = self._batches.get((tenant, batch_id))
        if found is None:
            return None
        kept_until = found.created_at_ms // 1000 + BATCH_RETENTION_SECONDS
        return None if kept_until < self._clock.now_ms() // 1000 else found

    def members(self, batch: Batch) -> Sequence[Member]:
        """Its tasks in their order, without those that were erased."""
        tips = (self._store.load_tip(TaskRef(batch.tenant, id_)) for id_ in batch.task_ids)
        return [_member(tip) for tip in tips if tip is not None]


def _member(tip: History) -> Member:
    task, state = tip.task, tip.state
    summary = TaskSummary(
        task.ref.task_id,
        state.status,
        task.agent,
        task.created_at_ms,
        state.updated_at_ms,
        task.user_id,
    )
    is_known = isinstance(tip.next, End | Paused)
    return Member(summary, tip.totals.cost_microusd if is_known else 0)
