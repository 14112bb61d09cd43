"""Schedules and their timers in memory."""

import threading
from dataclasses import replace

from ratchet.contracts.limits import ENDED_SCHEDULE_SECONDS
from ratchet.domain import keys
from ratchet.domain.schedule import LastRun, Schedule
from ratchet.ports import Clock, IdempotencyClaim
from ratchet.schedule_ports import ScheduleCreated, SchedulePage


class InMemorySchedules:
    """The ScheduleStore without AWS; safe to share between threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._schedules: dict[tuple[str, str], Schedule] = {}
        self._claims: dict[tuple[str, str], tuple[str, IdempotencyClaim]] = {}
        self._deleted: dict[tuple[str, str], int] = {}

    def create(self, schedule: Schedule, claim: IdempotencyClaim | None) -> ScheduleCreated:
        """Write the schedule and the claim, both or neither; with a known key, what that created."""
        with self._lock:
            if claim is not None:
                if (known := self.created_by(schedule.tenant, claim)) is not None:
                    return known
                place = keys.idempotency_key(schedule.tenant, claim.key), "IDEMPOTENCY"
                self._claims[place] = schedule.schedule_id, claim
            self._schedules[_place(keys.SCHEDULE, schedule.tenant, schedule.schedule_id)] = schedule
            return ScheduleCreated(schedule, is_replay=False)

    def created_by(self, tenant: str, claim: IdempotencyClaim) -> ScheduleCreated | None:
        """What the caller's key has created before."""
        with self._lock:
            held = self._claims.get((keys.idempotency_key(tenant, claim.key), "IDEMPOTENCY"))
            if held is None or held[1].expires_at < self._now():
                return None
            return ScheduleCreated(self.schedule(tenant, held[0]), True, held[1].body_sha256)

    def schedule(self, tenant: str, schedule_id: str) -> Schedule | None:
        """The schedule; None if this tenant has none of that id (any more)."""
        with self._lock:
            found = self._schedules.get(_place(keys.SCHEDULE, tenant, schedule_id))
        return None if found is None or self._is_over(found) else found

    def list(self, tenant: str, *, limit: int, after: str | None = None) -> SchedulePage:
        """The tenant's schedules, newest first; the text of `task` is left empty."""
        with self._lock:
            mine = [s for s in self._schedules.values() if s.tenant == tenant]
        mine = sorted(mine, key=lambda s: s.schedule_id, reverse=True)
        found = [s for s in mine if after is None or s.schedule_id < after]
        page = found[:limit]
        living = [replace(s, task="") for s in page if not self._is_over(s)]
        return SchedulePage(living, page[-1].schedule_id if len(found) > limit else None)

    def mark_armed(self, tenant: str, schedule_id: str) -> bool:
        """Note that EventBridge has it; False if it was deleted."""
        with self._lock:
            place = _place(keys.SCHEDULE, tenant, schedule_id)
            if (found := self._schedules.get(place)) is None:
                return False
            self._schedules[place] = replace(found, is_armed=True)
            return True

    def note_run(self, tenant: str, schedule_id: str, run: LastRun) -> bool:
        """Note what came of a firing and count it; False if it, or a later one, is noted, or the schedule deleted."""
        with self._lock:
            place = _place(keys.SCHEDULE, tenant, schedule_id)
            found = self._schedules.get(place)
            if found is None or found.has_run(run.scheduled_at):
                return False
            noted = replace(found, last_run=run, runs=found.runs + 1, is_armed=True)
            self._schedules[place] = noted
            return True

    def delete(
        self, schedule: Schedule, *, claim: IdempotencyClaim | None = None, kept_seconds: int = 0
    ) -> None:
        """Delete it, and with it the claim that made it if that is given; safe to repeat."""
        tenant, schedule_id = schedule.tenant, schedule.schedule_id
        with self._lock:
            self._schedules.pop(_place(keys.SCHEDULE, tenant, schedule_id), None)
            if claim is not None:
                place = keys.idempotency_key(tenant, claim.key), "IDEMPOTENCY"
                if self._claims.get(place, ("",))[0] == schedule_id:
                    del self._claims[place]
            if kept_seconds:
                until = self._now() + kept_seconds
                self._deleted[_place(keys.DELETED, tenant, schedule_id)] = until

    def was_deleted(self, tenant: str, schedule_id: str) -> bool:
        """Whether this tenant had such a schedule a while ago."""
        with self._lock:
            return self._deleted.get(_place(keys.DELETED, tenant, schedule_id), 0) >= self._now()

    def _is_over(self, schedule: Schedule) -> bool:
        ends_ms = schedule.timing.ends_ms
        return ends_ms is not None and ends_ms // 1000 + ENDED_SCHEDULE_SECONDS < self._now()

    def _now(self) -> int:
        return self._clock.now_ms() // 1000


class InMemoryTimers:
    """The Timers without AWS: who is set, by tenant and id. Nothing fires by itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.schedules: dict[tuple[str, str], Schedule] = {}

    def set(self, schedule: Schedule) -> None:
        """Let it fire; nothing if it does."""
        with self._lock:
            self.schedules.setdefault((schedule.tenant, schedule.schedule_id), schedule)

    def clear(self, tenant: str, schedule_id: str) -> None:
        """Let it fire no more; nothing if it does not."""
        with self._lock:
            self.schedules.pop((tenant, schedule_id), None)


def _place(kind: str, tenant: str, schedule_id: str) -> tuple[str, str]:
    return keys.schedules_key(tenant), keys.schedule_sort_key(kind, schedule_id)
