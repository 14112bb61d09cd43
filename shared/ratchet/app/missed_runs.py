"""Runs that nobody could submit: EventBridge, or Lambda, has given them up. The schedule says so, and an alarm."""

from dataclasses import dataclass

from ratchet.contracts.firing import Firing
from ratchet.domain.schedule import LastRun
from ratchet.observability import logger, task_poisoned
from ratchet.schedule_ports import ScheduleStore

MISSED = "missed"


@dataclass(frozen=True, slots=True)
class MissedRuns:
    """What the sweeper does with such a dead letter."""

    store: ScheduleStore

    def __call__(self, firing: Firing) -> None:
        """Note it with its schedule, unless that has run since or is gone.

        Raises:
            StoreUnavailable: it could not be noted now; the letter must come back.
        """
        words = "no try could submit its task; the log of the function scheduler says why"
        run = LastRun(firing.scheduled_at, code=MISSED, message=words)
        if self.store.note_run(firing.tenant, firing.schedule_id, run):
            task_poisoned()
            logger.error("run of a schedule missed", extra={"schedule_id": firing.schedule_id})
