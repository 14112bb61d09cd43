"""Schedules of EventBridge Scheduler: one group, one role, one target. They hold ids and times, nothing of the task."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ratchet.adapters.aws import AWS_ERRORS, error_code, store_error
from ratchet.contracts.errors import ServiceRefused, StoreUnavailable
from ratchet.contracts.firing import SCHEDULED_TIME, Firing
from ratchet.contracts.limits import FIRING_RETRY_SECONDS
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.schedule import Schedule, event_schedule_name

if TYPE_CHECKING:
    from mypy_boto3_scheduler.client import EventBridgeSchedulerClient

_MAX_RETRIES = 185  # EventBridge Scheduler's own maximum: what bounds the retries is the age


@dataclass(frozen=True, slots=True)
class FiringTarget:
    """Whom schedules call, who they are then, and where goes what could not be called."""

    function_arn: str
    role_arn: str
    dead_letters_arn: str


class EventBridgeTimers:
    """The Timers on AWS. Without a target it can only clear."""

    def __init__(
        self,
        client: Callable[[], "EventBridgeSchedulerClient"],
        group: str,
        target: FiringTarget | None = None,
    ) -> None:
        self._client = client  # made when first used: most requests are about something else
        self._group = group
        self._target = target

    def set(self, schedule: Schedule) -> None:
        """CreateSchedule; one of that name is this one, since what a schedule says never changes."""
        if self._target is None:
            raise ServiceRefused("these timers have no target: they can only be cleared")
        try:
            self._client().create_schedule(**self._request(schedule, self._target))
        except AWS_ERRORS as exc:
            match error_code(exc):
                case "ConflictException":
                    return
                case "ValidationException":
                    raise InvalidRequest(
                        f"EventBridge refuses the schedule: {_words(exc)}"
                    ) from exc
            raise store_error(exc) from exc

    def clear(self, tenant: str, schedule_id: str) -> None:
        """DeleteSchedule."""
        name = event_schedule_name(tenant, schedule_id)
        try:
            self._client().delete_schedule(GroupName=self._group, Name=name)
        except AWS_ERRORS as exc:
            match error_code(exc):
                case "ResourceNotFoundException":
                    return
                case (
                    "ConflictException"
                ):  # something else is being done with it, its creation maybe
                    raise StoreUnavailable("EventBridge cannot delete the schedule yet") from exc
            raise store_error(exc) from exc

    def _request(self, schedule: Schedule, target: FiringTarget) -> dict[str, Any]:
        timing = schedule.timing
        firing = Firing(schedule.tenant, schedule.schedule_id, SCHEDULED_TIME)
        bounds = {"StartDate": timing.start_ms, "EndDate": timing.end_ms}
        return {
            "GroupName": self._group,
            "Name": event_schedule_name(schedule.tenant, schedule.schedule_id),
            "ScheduleExpression": timing.expression,
            "ScheduleExpressionTimezone": timing.timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {
                "Arn": target.function_arn,
                "RoleArn": target.role_arn,
                "Input": firing.to_json(),
                "DeadLetterConfig": {"Arn": target.dead_letters_arn},
                "RetryPolicy": {
                    "MaximumEventAgeInSeconds": FIRING_RETRY_SECONDS,
                    "MaximumRetryAttempts": _MAX_RETRIES,
                },
            },
            **{name: _moment(ms) for name, ms in bounds.items() if ms is not None},
        }


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC)


def _words(exc: BaseException) -> str:
    response: Any = getattr(exc, "response", {})
    return str(response.get("Error", {}).get("Message", ""))[:300]
