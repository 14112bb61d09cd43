"""The port of the usage ledger. A part of `ports`, and of the CheckpointStore: the marker lies with the task."""

from collections.abc import Iterator
from typing import Protocol

from ratchet.contracts.messages import TaskRef
from ratchet.domain.usage import Account, Counted, Part, Row


class UsageLedger(Protocol):
    """Counters by tenant, day, agent, model and user. Every method may raise StoreUnavailable."""

    def counted(self, ref: TaskRef) -> Counted:
        """How far the task has been counted."""
        ...

    def count(self, ref: TaskRef, part: Part) -> bool:
        """Add a part of a task to the counters, atomically with the note that it is; False if it does not follow."""
        ...

    def usage(
        self, tenant: str, account: Account, *, first_day: str, last_day: str
    ) -> Iterator[Row]:
        """What was counted on these days, in no order; a counter may come more than once (eventually consistent)."""
        ...
