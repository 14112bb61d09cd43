"""Batches: many goals accepted at once, and how far they are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

from ratchet.app.new_tasks import NewTasks
from ratchet.app.task_views import summary_views, usd
from ratchet.batch_ports import Batch, BatchCreated, BatchStore
from ratchet.contracts.batch_api import BatchRequest, BatchView
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import RING_AGAIN_SECONDS
from ratchet.contracts.messages import Doorbell
from ratchet.contracts.request_errors import (
    IdempotencyKeyReused,
    InvalidRequest,
    ModelNotPriced,
    TaskNotFound,
    UnknownAgent,
)
from ratchet.contracts.task_api import GoalRequest
from ratchet.domain.keys import is_batch_id
from ratchet.domain.rfc3339 import timestamp
from ratchet.domain.task import Task
from ratchet.observability import logger


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitBatch(NewTasks):
    """The use case of `POST /v1/batches`: all tasks are accepted, or none."""

    batches: BatchStore

    @classmethod
    def of(cls, other: NewTasks, batches: BatchStore) -> Self:
        """This use case on the ports of another one."""
        ports = {field.name: getattr(other, field.name) for field in fields(NewTasks)}
        return cls(**ports, batches=batches)

    def __call__(
        self, request: BatchRequest, *, tenant: str, idempotency_key: str | None = None
    ) -> BatchCreated:
        """Create the tasks, or find the batch that the same key and body created before.

        Raises:
            UnknownAgent, ModelNotPriced, InvalidRequest: a task cannot be carried out; the message says which.
            TenantSuspended: nothing of this tenant may begin.
            IdempotencyKeyReused: the key came with another body before.
            StoreUnavailable: nothing was promised; send the same request again.
        """
        self._check_tenant(tenant)
        tasks = [self._member(asked, tenant, at) for at, asked in enumerate(request.tasks)]
        content = request.model_dump_json(exclude_none=True)
        claim = self.claim(idempotency_key, content, kind="batch")
        batch = Batch(
            tenant,
            "batch_" + self.ids.task_id().removeprefix("task_"),
            self.clock.now_ms(),
            tuple(task.ref.task_id for task in tasks),
        )
        due = batch.created_at_ms + RING_AGAIN_SECONDS * 1000
        created = self.batches.create_batch(batch, tasks, claim=claim, due_at_ms=due)
        if not created.is_replay:
            self._ring_all(tasks)
        elif claim is not None and created.body_sha256 != claim.body_sha256:
            raise IdempotencyKeyReused(
                "this Idempotency-Key came with another batch before; use a new key for a new batch"
            )
        return created

    def _member(self, asked: GoalRequest, tenant: str, at: int) -> Task:
        try:
            return self._fresh(asked, tenant)
        except (InvalidRequest, UnknownAgent, ModelNotPriced) as exc:
            raise type(exc)(f"tasks.{at}: {exc}") from exc

    def _ring_all(self, tasks: Sequence[Task]) -> None:
        """A queue that does not answer once is not asked a hundred times: the sweeper rings for all that are due."""
        for task in tasks:
            try:
                self.inbox.send(Doorbell(task.ref))
            except StoreUnavailable:
                logger.warning("doorbells of a batch failed", extra={"task_id": task.ref.task_id})
                return


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """The use case of `GET /v1/batches/{batch_id}`."""

    batches: BatchStore

    def __call__(self, tenant: str, batch_id: str) -> BatchView:
        """How far the batch is.

        Raises:
            TaskNotFound: this tenant has no such batch.
        """
        batch = self.batches.batch(tenant, batch_id) if is_batch_id(batch_id) else None
        if batch is None:
            raise TaskNotFound(f"there is no batch {batch_id[:64]!r} of yours (any more)")
        return self.view(batch)

    def view(self, batch: Batch) -> BatchView:
        """The batch with its tasks as they stand."""
        members = self.batches.members(batch)
        statuses = Counter(member.task.status for member in members)
        return BatchView(
            batch_id=batch.batch_id,
            created_at=timestamp(batch.created_at_ms),
            total=len(batch.task_ids),
            statuses={status.value: count for status, count in sorted(statuses.items())},
            erased=len(batch.task_ids) - len(members),
            is_over=all(status.is_terminal for status in statuses),
            cost_usd=usd(sum(member.cost_microusd for member in members)),
            tasks=summary_views(member.task for member in members),
        )
