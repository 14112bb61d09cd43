"""Batches in the simulation: their calls through the network, and what must hold of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ratchet.app.batches import ReadBatch
from ratchet.app.task_views import usd
from ratchet.batch_ports import Batch, BatchCreated, Member
from ratchet.contracts.messages import TaskRef
from ratchet.domain import codec
from ratchet.domain.task import Task
from ratchet.ports import Clock, IdempotencyClaim
from ratchet.testing.batches import InMemoryBatches
from tests.simulation.bodies import AWS
from tests.simulation.calls import Network
from tests.simulation.table import Checkpoints

if TYPE_CHECKING:
    from tests.simulation.world import World


class BatchCalls:
    """The BatchStore of the simulation."""

    def __init__(self, store: Checkpoints, network: Network, clock: Clock) -> None:
        self.twin = InMemoryBatches(store.twin, clock)
        self.made: list[Batch] = []
        self._store = store
        self._network = network

    def create_batch(
        self,
        batch: Batch,
        tasks: Sequence[Task],
        *,
        claim: IdempotencyClaim | None,
        due_at_ms: int,
    ) -> BatchCreated:
        def effect() -> BatchCreated:
            created = self.twin.create_batch(batch, tasks, claim=claim, due_at_ms=due_at_ms)
            if not created.is_replay:
                self.made.append(batch)
                for task in tasks:
                    self._store.added("create_batch", task.ref)
            return created

        for task in tasks:
            self._store.bucket.put(task.ref, codec.encode_task(task))
        return self._network.call("batches.create_batch", effect, AWS)

    def batch(self, tenant: str, batch_id: str) -> Batch | None:
        return self._network.call("batches.batch", lambda: self.twin.batch(tenant, batch_id), AWS)

    def members(self, batch: Batch) -> Sequence[Member]:
        return self._network.call("batches.members", lambda: self.twin.members(batch), AWS)


def judge_batches(world: "World") -> None:
    """A batch that was accepted is there with all its tasks, each key made one, and its totals are their sums."""
    ledger, read = world.ledger, ReadBatch(world.batches.twin)
    for batch in world.people.operators.batches:
        if batch not in world.batches.made:
            ledger.violate(f"I19: {batch.batch_id} was accepted and is not in the table")
    if len(world.batches.made) > 1:
        ledger.violate(f"I19: {len(world.batches.made)} batches were made")
    for batch in world.batches.made:
        refs = [TaskRef(batch.tenant, task_id) for task_id in batch.task_ids]
        missing = [ref.task_id for ref in refs if ref not in ledger.tasks]
        if missing:
            ledger.violate(f"I19: {batch.batch_id} has no {missing}")
            continue
        view = read(batch.tenant, batch.batch_id)
        spent = sum(last.totals.cost_microusd for ref in refs if (last := ledger.tasks[ref].last))
        if not view.is_over or len(view.tasks) != len(refs):
            ledger.violate(f"I19: {batch.batch_id} is said to be {view.statuses}")
        if view.cost_usd != usd(spent):
            ledger.violate(f"I19: {batch.batch_id} cost {usd(spent)}, and {view.cost_usd} is told")
