"""Suspended and erased tenants in the simulation: their ports through the network, and what must hold of them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ratchet.contracts.limits import SUSPENDED_LOOK_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.domain.steps import Step
from ratchet.domain.suspension import Suspension
from ratchet.testing.holdings import InMemoryHoldings
from ratchet.testing.store_rows import Partition
from ratchet.testing.suspensions import InMemorySuspensions
from tests.simulation.bodies import AWS
from tests.simulation.calls import Network
from tests.simulation.doors import START_MS

if TYPE_CHECKING:
    from tests.simulation.table import Checkpoints
    from tests.simulation.world import World

CACHE_SECONDS = 0.03
"""For how long a sandbox goes by what it has read: shorter than on AWS, where no task of a story would last longer."""
BEGINS = frozenset({"create_task", "create_in_session", "create_batch", "reopen", "commit"})
"""What only a process that began before the suspension may still write. People may decide and cancel all the same."""
LOOK_MS = SUSPENDED_LOOK_SECONDS * 1000
STILL_MS = 2 * LOOK_MS
_WHO = ("submit", "fork", "resume", "batch", "step_executor")


class SuspensionCalls:
    """The Suspensions behind the network, and the fence that they are: past it nothing of the tenant begins."""

    def __init__(self, network: Network, violate: Callable[[str], None]) -> None:
        self.erased: set[str] = set()
        self.changed: Callable[[], None] = _nobody_looks  # what held until now holds no more
        self._network = network
        self._violate = violate
        self._twin = InMemorySuspensions()
        self._since_ms: dict[str, int] = {}
        self._ended_ms: dict[str, int] = {}

    def find(self, tenant: str, *, consistent: bool = False) -> Suspension | None:
        return self._network.call(
            "suspensions.find", lambda: self._twin.find(tenant, consistent=consistent), AWS
        )

    def begin(self, tenant: str, suspension: Suspension) -> Suspension:
        def effect() -> Suspension:
            begun = self._twin.begin(tenant, suspension)
            self._since_ms.setdefault(tenant, self._network.scheduler.now_ms)
            self.changed()
            return begun

        return self._network.call("suspensions.begin", effect, AWS)

    def end(self, tenant: str) -> None:
        def effect() -> None:
            if self._since_ms.pop(tenant, None) is not None:
                self._ended_ms[tenant] = self._network.scheduler.now_ms
            self._twin.end(tenant)
            self.changed()

        self._network.call("suspensions.end", effect, AWS)

    def stands_still(self, tenant: str) -> bool:
        """Whether it is suspended, or was so lately that its tasks may not have looked since."""
        since_ms = self._network.scheduler.now_ms - self._ended_ms.get(tenant, -LOOK_MS)
        return tenant in self._since_ms or since_ms < LOOK_MS

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


def _nobody_looks() -> None: ...


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


def judge_still(world: "World", tenant: str) -> None:
    """Of a suspended tenant no execution looks any more whether a task may go on that ended long ago, or asks."""
    for execution in world.orchestrator.executions.values():
        seen = world.ledger.tasks.get(execution.task)
        last = None if seen is None or seen.is_erased else seen.last
        if execution.task.tenant != tenant or not execution.is_running or last is None:
            continue
        since_ms = START_MS + world.scheduler.now_ms - last.finished_at_ms
        if not isinstance(last.next, Step) and since_ms > STILL_MS:
            world.ledger.violate(
                f"I18: {execution.name} looks on, and its task has stopped {since_ms} ms ago"
            )


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
