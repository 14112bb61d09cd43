"""The port of tenants' daily budgets. It has an adapter and a twin in `ratchet.testing`."""

from typing import Protocol

from ratchet.contracts.messages import Allowance, TaskRef
from ratchet.domain.allowance import Move


class TenantBudgets(Protocol):
    """What was given away of each tenant's days. Every method may raise StoreUnavailable."""

    def allowance(self, ref: TaskRef) -> Allowance | None:
        """What the task has been given (strongly consistent); None if nothing."""
        ...

    def move(self, ref: TaskRef, move: Move) -> Allowance | None:
        """Change the task's allowance and the day that it is of: both or neither.

        Returns what stands now: `move.after` if it was made (also by the same move, sent before, whose answer was
        lost), `move.before` if the day's cap does not leave so much, and anything else if somebody else made another.
        """
        ...

    def given_microusd(self, tenant: str, day: str) -> int:
        """What was given away of a day so far."""
        ...
