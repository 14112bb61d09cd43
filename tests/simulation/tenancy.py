"""Suspended and erased tenants in the simulation: their ports through the network, and what must hold of them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ratchet.contracts.messages import TaskRef
from ratchet.domain.suspension import Suspension
from ratchet.testing.holdings import InMemoryHoldings
from ratchet.testing.store_rows import Partition
from ratchet.testing.suspensions import InMemorySuspensions
from tests.simulation.bodies import AWS
from tests.simulation.calls import Network

if TYPE_CHECKING:
    from tests.simulation.table import Checkpoints
    from tests.simulation.world import World

CACHE_SECONDS = 0.03
"""For how long a sandbox goes by what it has read: shorter than on AWS, where no task of a story would last longer."""
BEGINS = frozenset({"create_task", "create_in_session", "create_batch", "reopen", "commit"})
"""What only a process that began before the suspension may still write. People may decide and cancel all the same."""
_WHO = ("submit", "fork", "resume", "batch", "step_executor")


class SuspensionCalls:
    """The Suspensions behind the network, and the fence that they are: past it nothing of the tenant begins."""

    def __init__(self, network: Network, violate: Callable[[str], None]) -> None:
        self.erased: set[str] = set()
        self._network = network
        self._violate = violate
        self._twin = InMemorySuspensions()
        self._since_ms: dict[str, int] = {}

    def find(self, tenant: str, *, consistent: bool = False) -> Suspension | None:
        return self._network.call(
            "suspensions.find", lambda: self._twin.find(tenant, consistent=consistent), AWS
        )

    def begin(self, tenant: str, suspension: Suspension) -> Suspension:
        def effect() -> Suspension:
            self._since_ms.setdefault(tenant, self._network.scheduler.now_ms)
            return self._twin.begin(tenant, suspension)

        return self._network.call("suspensions.begin", effect, AWS)

    def end(self, tenant: str) -> None:
        def effect() -> None:
            self._since_ms.pop(tenant, None)
            self._twin.end(tenant)

        self._network.call("suspensions.end", effect, AWS)

    def wrote(self, name: str, ref: TaskRef) -> None:
        """A process writes this of a task."""
        if name in BEGINS and self._network.life().role in _WHO:
            self.passed(name, ref.tenant)

    def passed(self, what: str, tenant: str) -> None:
        """The process that runs now does something for the tenant: it began before the suspension was known to all."""
        since = self._since_ms.get(tenant)
        if since is None:
            return
        life = self._network.life()
        late_ms = life.began_ms - since
        if late_ms > CACHE_SECONDS * 1000:
            self._violate(
                f"I18: {life.role} began {late_ms} ms after {tenant} was suspended: {what}"
            )


class HoldingCalls:
    """The TenantHoldings of table and bucket. What a Scan finds is deleted piece by piece."""

    def __init__(self, store: "Checkpoints", network: Network, *places: object) -> None:
        self._store = store
        self._network = network
        self._table = InMemoryHoldings(*places)

    def erase(self, tenant: str) -> Mapping[str, int]:
        deleted: dict[str, int] = {}
        found = self._network.call("holdings.scan", lambda: self._table.found(tenant), AWS)
        self._store.going(tenant)
        for delete in found:
            for kind in self._network.call("holdings.delete", delete, AWS):
                deleted[kind] = deleted.get(kind, 0) + 1
        return deleted

    def left(self, tenant: str) -> list[str]:
        """What there is of the tenant; found by deleting it, so only at the end."""
        return [kind for delete in self._table.found(tenant) for kind in delete()]


def judge_tenancy(world: "World") -> None:
    """Of an erased tenant, and of an erased task, nothing is left."""
    for ref, seen in world.ledger.tasks.items():
        if seen.is_erased and world.ledger.partition(ref) != Partition():
            world.ledger.violate(f"I10: {ref.task_id} was erased, and items of it are left")
    for tenant in sorted(world.suspensions.erased):
        left = world.holdings.left(tenant)
        if left:
            world.ledger.violate(f"I10: {tenant} was erased, and of it are left {left}")
        for execution in world.orchestrator.executions.values():
            if execution.task.tenant == tenant and execution.is_running:
                world.ledger.violate(f"I10: {tenant} was erased, and {execution.name} runs")
