"""A schedule: a task to be submitted again and again, or once at a later time."""

import hashlib
from dataclasses import dataclass

from ratchet.contracts.names import ScheduleStatus
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.rfc3339 import milliseconds
from ratchet.domain.schedule_expression import (
    DEFAULT_TIMEZONE,
    At,
    parse_expression,
    zone_of,
)

_START_MARGIN_MS = 5 * 60 * 1000
"""As EventBridge has it:
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html"""


@dataclass(frozen=True, slots=True)
class Timing:
    """When it fires; whole seconds, as EventBridge keeps them."""

    expression: str
    timezone: str = DEFAULT_TIMEZONE
    start_ms: int | None = None
    end_ms: int | None = None

    @property
    def ends_ms(self) -> int | None:
        """After this it fires no more; None if it never ends."""
        parsed = parse_expression(self.expression)
        if not isinstance(parsed, At):
            return self.end_ms
        return milliseconds(parsed.local.replace(tzinfo=zone_of(self.timezone)))

    def check(self, *, now_ms: int) -> None:
        """Refuse what could not be created now.

        Raises:
            InvalidRequest: it is no timing, or it is over.
        """
        parsed, ends_ms = parse_expression(self.expression), self.ends_ms
        zone_of(self.timezone)
        if isinstance(parsed, At):
            if self.start_ms is not None or self.end_ms is not None:
                raise InvalidRequest(
                    "start_at and end_at belong to rate(...) and cron(...): at(...) runs once, at its own time"
                )
            if ends_ms is not None and ends_ms <= now_ms:
                raise InvalidRequest(
                    f"schedule_expression: {self.expression} in {self.timezone} is over"
                )
            return
        if self.end_ms is not None and self.end_ms <= max(now_ms, self.start_ms or 0):
            raise InvalidRequest("end_at: it must come later than now and than start_at")
        if self.start_ms is not None and self.start_ms < now_ms - _START_MARGIN_MS:
            raise InvalidRequest("start_at: it is over; leave it out to begin now")


@dataclass(frozen=True, slots=True)
class LastRun:
    """What came of a firing: a task, or the code and the words of the error because of which there is none."""

    scheduled_at: str
    task_id: str | None = None
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is kept of a schedule. `task` is the request that it submits, as JSON."""

    tenant: str
    schedule_id: str
    created_at_ms: int
    timing: Timing
    task: str
    name: str | None = None
    agent: str | None = None  # None: whichever is the default when it runs
    user_id: str | None = None
    is_armed: bool = False  # whether EventBridge is known to have it
    runs: int = 0
    last_run: LastRun | None = None

    def has_run(self, scheduled_at: str) -> bool:
        """Whether that firing, or a later one, has been dealt with."""
        return self.last_run is not None and self.last_run.scheduled_at >= scheduled_at

    def is_over(self, *, now_ms: int) -> bool:
        """Whether it fires no more."""
        ends_ms = self.timing.ends_ms
        return ends_ms is not None and ends_ms <= now_ms

    def status(self, *, now_ms: int) -> ScheduleStatus:
        """Where it stands."""
        if self.is_over(now_ms=now_ms):
            return ScheduleStatus.ENDED
        return ScheduleStatus.ACTIVE if self.is_armed else ScheduleStatus.CREATING


def event_schedule_name(tenant: str, schedule_id: str) -> str:
    """What EventBridge calls it: one name for each, which tells nothing of the tenant."""
    return hashlib.sha256(f"{tenant}\n{schedule_id}".encode()).hexdigest()
