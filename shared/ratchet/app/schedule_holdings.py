"""What EventBridge holds of a tenant: the timers of its schedules, which only their records lead to."""

from collections.abc import Mapping
from dataclasses import dataclass

from ratchet.contracts.limits import MAX_PAGE_SIZE
from ratchet.schedule_ports import ScheduleStore, Timers


@dataclass(frozen=True, slots=True)
class ScheduleHoldings:
    """The TenantHoldings of schedules. Comes before that of the table, which would take the records away."""

    store: ScheduleStore
    timers: Timers

    def erase(self, tenant: str) -> Mapping[str, int]:
        """Delete the tenant's schedules, each timer before its record; how many there were."""
        count, after = 0, None
        while True:
            page = self.store.list(tenant, limit=MAX_PAGE_SIZE, after=after)
            for schedule in page.schedules:
                self.timers.clear(tenant, schedule.schedule_id)
                self.store.delete(schedule)
                count += 1
            if (after := page.after) is None:
                return {"schedules": count}
