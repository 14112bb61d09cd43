"""Count what a task has used since it was counted last, exactly once, however often and beside whom this runs."""

from dataclasses import dataclass

from ratchet.contracts.errors import DataMissing, StoreUnavailable
from ratchet.domain.task import History
from ratchet.domain.usage import Amounts, Counted, lump, parts
from ratchet.observability import logger
from ratchet.ports import CheckpointStore

MAX_RACES = 5
"""Deliveries of the same task that may count before this one gives up and its message comes back."""


@dataclass(frozen=True, slots=True)
class AccountUsage:
    """Part of the deliverer: a task is counted when it ends and when it asks a person, never at its steps."""

    store: CheckpointStore

    def __call__(self, tip: History) -> None:
        """Bring the usage ledger up to this tip, or further.

        Raises:
            StoreUnavailable: the message must come back.
        """
        for _ in range(MAX_RACES):
            counted = self.store.counted(tip.task.ref)
            if not tip.records or counted.number >= tip.records[-1].number:
                return
            if Amounts.of(tip.totals) == counted.amounts or self._count(tip, counted):
                return
        raise StoreUnavailable("other deliveries kept counting first")

    def _count(self, tip: History, counted: Counted) -> bool:
        """Whether all of it was counted; False if somebody else has counted meanwhile."""
        ref = tip.task.ref
        try:
            history = self.store.load(ref, after=counted.number)
        except DataMissing as exc:
            # The money is spent all the same; which model took it is not known any more.
            logger.error("usage counted without its steps", extra={"task_id": ref.task_id})
            logger.info("steps cannot be read", extra={"task_id": ref.task_id, "error": exc.code})
            return self.store.count(ref, lump(tip, counted))
        records = history.records if history is not None else ()
        return all(self.store.count(ref, part) for part in parts(tip.task, records, counted))
