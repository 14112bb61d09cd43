"""Erase a suspended tenant: everything that any place holds of it, until a whole look finds nothing more.

It may break off at any point: what is deleted stays deleted, and the next run does the rest. The suspension itself
stays, so that nothing of the tenant comes back while its callers still have credentials.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ratchet.app.manage_tenants import ManageTenants
from ratchet.app.remains import tip_or_remains
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import MAX_ERASING_PASSES, MAX_PAGE_SIZE
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.request_errors import TenantNotErasable
from ratchet.ports import CheckpointStore, Workflow
from ratchet.task_list import ListFilter
from ratchet.tenancy_ports import TenantHoldings

EXECUTIONS = "executions"
_RUNNING = (TaskStatus.RUNNING, TaskStatus.WAITING)


@dataclass(slots=True)
class Erasure:
    """What was deleted, by kind; `executions` are those that were stopped."""

    passes: int = 0
    deleted: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class EraseTenant:
    """The use case of `ratchet tenants erase`."""

    tenants: ManageTenants
    store: CheckpointStore
    workflow: Workflow
    holdings: Sequence[TenantHoldings]

    def __call__(
        self, tenant: str, *, tell: Callable[[Mapping[str, int]], None] = lambda _: None
    ) -> Erasure:
        """Delete everything of the tenant; `tell` hears after each pass what has been deleted so far.

        Raises:
            InvalidRequest: no tenant can be called that.
            TenantNotErasable: it is not suspended, or not for long enough, or is no more.
            StoreUnavailable: something did not answer, or keeps writing; run it again.
        """
        done = Erasure()
        while done.passes < MAX_ERASING_PASSES:
            self.check(tenant)
            found = self._pass(tenant)
            done.passes += 1
            done.deleted += found
            tell(done.deleted)
            if not found:
                return done
        raise StoreUnavailable(
            f"after {done.passes} passes something still writes for {tenant}; look for what, and run it again"
        )

    def check(self, tenant: str) -> None:
        """Whether the tenant may be erased: what was under way when it was suspended is over.

        Raises:
            TenantNotErasable: it may not.
        """
        suspension = self.tenants.suspension(tenant)
        if suspension is None:
            raise TenantNotErasable(
                f"{tenant} is not suspended: `ratchet tenants suspend {tenant}` first"
            )
        if self.tenants.clock.now_ms() < suspension.erasable_from_ms:
            from_ = datetime.fromtimestamp(-(-suspension.erasable_from_ms // 1000), UTC)
            raise TenantNotErasable(
                f"{tenant} can be erased from {from_:%Y-%m-%dT%H:%M:%SZ}: steps that ran when it was suspended "
                "may still write until then"
            )

    def _pass(self, tenant: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for ref, generation in self._running(tenant):
            self.workflow.stop(ref, generation=generation, cause="its tenant is erased")
            found[EXECUTIONS] += 1
        for place in self.holdings:
            found.update(place.erase(tenant))
        return +found

    def _running(self, tenant: str) -> Iterator[tuple[TaskRef, int]]:
        """The newest executions of tasks that run; read from the tasks, since the index tells no generation."""
        for status in _RUNNING:
            where, after = ListFilter(status=status), None
            while True:
                page = self.store.list_tasks(tenant, where=where, limit=MAX_PAGE_SIZE, after=after)
                for task in page.tasks:
                    tip = tip_or_remains(self.store, TaskRef(tenant, task.task_id))
                    if tip is not None and tip.state.generation:
                        yield tip.task.ref, tip.state.generation
                if (after := page.after) is None:
                    break
