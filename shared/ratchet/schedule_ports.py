"""What schedules need from the world: a place for what they are, and a clock that calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ratchet.domain.schedule import LastRun, Schedule
from ratchet.ports import IdempotencyClaim


@dataclass(frozen=True, slots=True)
class ScheduleCreated:
    """What creating did: `schedule` is the new one, or the one that the same key created; None if that is deleted."""

    schedule: Schedule | None
    is_replay: bool
    body_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """Some schedules, newest first and without their requests; `after` is the id to go on from, None at the end."""

    schedules: Sequence[Schedule]
    after: str | None


class ScheduleStore(Protocol):
    """The records of schedules. Every method may raise StoreUnavailable; reads are strongly consistent."""

    def create(self, schedule: Schedule, claim: IdempotencyClaim | None) -> ScheduleCreated:
        """Write the schedule and the claim, both or neither; with a known key, what that created."""
        ...

    def created_by(self, tenant: str, claim: IdempotencyClaim) -> ScheduleCreated | None:
        """What the caller's key has created before."""
        ...

    def schedule(self, tenant: str, schedule_id: str) -> Schedule | None:
        """The schedule; None if this tenant has none of that id (any more)."""
        ...

    def list(self, tenant: str, *, limit: int, after: str | None = None) -> SchedulePage:
        """The tenant's schedules; the text of `task` is left empty."""
        ...

    def mark_armed(self, tenant: str, schedule_id: str) -> bool:
        """Note that EventBridge has it; False if it was deleted."""
        ...

    def note_run(self, tenant: str, schedule_id: str, run: LastRun) -> bool:
        """Note what came of a firing and count it; False if it, or a later one, is noted, or the schedule deleted.

        What fires is armed.
        """
        ...

    def delete(
        self, schedule: Schedule, *, claim: IdempotencyClaim | None = None, kept_seconds: int = 0
    ) -> None:
        """Delete it, and with it the claim that made it if that is given; safe to repeat.

        For so many seconds `was_deleted` knows of it.
        """
        ...

    def was_deleted(self, tenant: str, schedule_id: str) -> bool:
        """Whether this tenant had such a schedule a while ago."""
        ...


class Timers(Protocol):
    """EventBridge Scheduler. Every method may raise StoreUnavailable or ServiceRefused, and is safe to repeat."""

    def set(self, schedule: Schedule) -> None:
        """Let it fire; nothing if it does.

        Raises:
            InvalidRequest: its timing is refused.
        """
        ...

    def clear(self, tenant: str, schedule_id: str) -> None:
        """Let it fire no more; nothing if it does not."""
        ...
