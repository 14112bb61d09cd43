"""What batches need from the world: many tasks written as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ratchet.domain.task import Task
from ratchet.ports import IdempotencyClaim
from ratchet.task_list import TaskSummary


@dataclass(frozen=True, slots=True)
class Batch:
    """Tasks that were submitted together; never changes."""

    tenant: str
    batch_id: str
    created_at_ms: int
    task_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BatchCreated:
    """What submitting did: `batch` is the new one, or the one that the same key created before."""

    batch: Batch
    is_replay: bool
    body_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A task of a batch; `cost_microusd` is known of those that have ended or ask a person."""

    task: TaskSummary
    cost_microusd: int = 0


class BatchStore(Protocol):
    """Batches beside the tasks. Every method may raise StoreUnavailable; reads are strongly consistent."""

    def create_batch(
        self,
        batch: Batch,
        tasks: Sequence[Task],
        *,
        claim: IdempotencyClaim | None,
        due_at_ms: int,
    ) -> BatchCreated:
        """Write the batch, its queued tasks and the claim, all or nothing; with a known key, what that created."""
        ...

    def batch(self, tenant: str, batch_id: str) -> Batch | None:
        """The batch; None if this tenant has none of that id (any more)."""
        ...

    def members(self, batch: Batch) -> Sequence[Member]:
        """Its tasks in their order, without those that were erased: one read request."""
        ...
