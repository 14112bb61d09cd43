"""The usage ledger in the simulation: its calls go through the network, and in the end its sum is the tasks' own."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ratchet.contracts.messages import TaskRef
from ratchet.domain.usage import Account, Amounts, Counted, Part, Row
from ratchet.testing.store import InMemoryCheckpoints

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger
    from tests.simulation.world import World

T = TypeVar("T")
EVER: dict[str, Any] = {"first_day": "2025-12-01", "last_day": "2026-12-31"}


class UsageCalls:
    """The UsageLedger behind the network. Part of the simulation's CheckpointStore."""

    twin: InMemoryCheckpoints
    _read: Callable[[str, TaskRef | None, Callable[[], Any]], Any]
    _write: Callable[[str, TaskRef, Callable[[], Any]], Any]

    def counted(self, ref: TaskRef) -> Counted:
        found: Counted = self._read("counted", ref, lambda: self.twin.counted(ref))
        return found

    def count(self, ref: TaskRef, part: Part) -> bool:
        return bool(self._write("count", ref, lambda: self.twin.count(ref, part)))

    def usage(
        self, tenant: str, account: Account, *, first_day: str, last_day: str
    ) -> Iterator[Row]:
        raise NotImplementedError("no use case of the simulation reads the ledger")


def judge_usage(ledger: "Ledger", world: "World") -> None:
    """All that a tenant's tasks used, erased ones too, is in the ledger once: in each way to sum up."""
    used: defaultdict[str, Amounts] = defaultdict(Amounts)
    for ref, seen in ledger.tasks.items():
        if seen.last is not None:
            used[ref.tenant] += Amounts.of(seen.last.totals)
    for tenant, expected in used.items():
        for account in Account:
            rows = world.store.twin.usage(tenant, account, **EVER)
            counted = sum((amounts for _, amounts in rows), Amounts())
            if counted != expected:
                ledger.violate(
                    f"I6: {tenant} used {expected}, and by {account} {counted} was counted"
                )
