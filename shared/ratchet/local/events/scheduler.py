"""EventBridge Scheduler: fires the schedules that moto keeps, once for each minute of their own time.

The minute may be shortened; then their time runs ahead of the clock on the wall, from when the stack began.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError
from moto.scheduler.models import scheduler_backends

from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.cron import Cron
from ratchet.domain.schedule_expression import At, Rate, parse_expression, zone_of
from ratchet.local.endpoint import Endpoint
from ratchet.local.functions.model import FunctionNotFound
from ratchet.local.json_types import Json, JsonObject

_MINUTE = timedelta(minutes=1)
_CAUGHT_UP = 5  # minutes; what a machine slept through longer ago is not made up for


@dataclass(frozen=True, slots=True)
class _Bounds:
    start: datetime | None
    end: datetime | None


class ScheduleClock:
    """What is due when: every schedule fires once for each time that it names."""

    def __init__(
        self,
        endpoint: Endpoint,
        deliver: Callable[[str, Json], None],
        *,
        minute_seconds: float,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._endpoint = endpoint
        self._deliver = deliver
        self._minute_seconds = minute_seconds
        self._wall = wall
        began = wall()
        self._began = began // minute_seconds * minute_seconds
        self._origin = self._now = datetime.fromtimestamp(began // 60 * 60, UTC)
        self._paces: dict[tuple[str, float], datetime] = {}

    def tick(self) -> None:
        """Fire what has become due by now."""
        minutes = int((self._wall() - self._began) / self._minute_seconds)
        now = self._origin + minutes * _MINUTE
        self._now = max(self._now, now - _CAUGHT_UP * _MINUTE)
        while self._now < now:
            self._pass_minute()

    def _pass_minute(self) -> None:
        before, self._now = self._now, self._now + _MINUTE
        backend: Any = scheduler_backends[self._endpoint.account][self._endpoint.region]
        for group in list(backend.schedule_groups.values()):
            for schedule in list(group.schedules.values()):
                if schedule.state == "ENABLED":
                    for due in self._due(schedule, before):
                        self._fire(schedule, due)
                    if self._is_over(schedule):
                        group.schedules.pop(schedule.name, None)

    def _due(self, schedule: Any, before: datetime) -> Iterator[datetime]:
        """The times since the tick before."""
        bounds = _bounds(schedule)
        match parse_expression(schedule.schedule_expression):
            case Rate(seconds):
                yield from self._paced(schedule, timedelta(seconds=seconds), bounds)
            case Cron() as cron:
                local = self._now.astimezone(zone_of(schedule.schedule_expression_timezone))
                is_repeated = local.fold == 1  # the hour that autumn has twice fires once
                if cron.matches(local) and not is_repeated and _is_within(bounds, self._now):
                    yield self._now
            case At() as at:
                due = _moment(at, schedule)
                if due <= self._now and (due > before or not self._has_fired(schedule)):
                    self._paces[schedule.arn, schedule.creation_date] = due
                    yield due

    def _paced(self, schedule: Any, pace: timedelta, bounds: _Bounds) -> Iterator[datetime]:
        """A rate begins at once, or when it is to start."""
        key = schedule.arn, schedule.creation_date
        following = self._paces.get(key) or self._first(schedule, pace, bounds)
        if following > self._now or (bounds.end is not None and following > bounds.end):
            return
        yield following
        while following <= self._now:
            following += pace
        self._paces[key] = following

    def _first(self, schedule: Any, pace: timedelta, bounds: _Bounds) -> datetime:
        """When a rate is first due by this clock; one that is older than the clock keeps its pace."""
        minutes = math.floor((schedule.creation_date - self._began) / self._minute_seconds) + 1
        first = bounds.start or self._origin + minutes * _MINUTE
        if first > self._origin:
            return first
        return first + ((self._origin - first) // pace + 1) * pace

    def _has_fired(self, schedule: Any) -> bool:
        return (schedule.arn, schedule.creation_date) in self._paces

    def _is_over(self, schedule: Any) -> bool:
        """Whether EventBridge would delete it by now."""
        if schedule.action_after_completion != "DELETE":
            return False
        parsed = parse_expression(schedule.schedule_expression)
        if isinstance(parsed, At):
            return _moment(parsed, schedule) <= self._now
        end = _bounds(schedule).end
        return end is not None and end < self._now

    def _fire(self, schedule: Any, due: datetime) -> None:
        words = {
            "scheduled-time": f"{due:%Y-%m-%dT%H:%M:%SZ}",
            "schedule-arn": schedule.arn,
            "execution-id": str(uuid4()),
            "attempt-number": "1",
        }
        text = schedule.target.get("Input") or "{}"
        for name, word in words.items():
            text = text.replace(f"<aws.scheduler.{name}>", word)
        try:
            self._deliver(schedule.target["Arn"], json.loads(text))
        except (BotoCoreError, ClientError, FunctionNotFound):
            return  # the stack is closing, or the target is gone


def restore(endpoint: Endpoint, record: JsonObject) -> None:
    """Give a schedule that was made again the age and the start that it had: moto takes no start that is over."""
    group, _, name = record["name"].rpartition("/")
    backend: Any = scheduler_backends[endpoint.account][endpoint.region]
    schedule = backend.schedule_groups[group].schedules[name]
    schedule.start_date = record["body"].get("StartDate")
    schedule.creation_date = record.setdefault("since", schedule.creation_date)


def refusal(asked: JsonObject) -> str | None:
    """Why EventBridge Scheduler would not take this schedule; None if it would."""
    try:
        parse_expression(str(asked.get("ScheduleExpression", "")))
        zone_of(str(asked.get("ScheduleExpressionTimezone") or "UTC"))
    except InvalidRequest as exc:
        return str(exc)
    return None


def _moment(at: At, schedule: Any) -> datetime:
    return at.local.replace(tzinfo=zone_of(schedule.schedule_expression_timezone)).astimezone(UTC)


def _bounds(schedule: Any) -> _Bounds:
    return _Bounds(_date(schedule.start_date), _date(schedule.end_date))


def _is_within(bounds: _Bounds, now: datetime) -> bool:
    is_early = bounds.start is not None and now < bounds.start
    return not is_early and (bounds.end is None or now <= bounds.end)


def _date(value: Any) -> datetime | None:
    """Moto keeps a date as it came: seconds since the epoch."""
    return None if value is None else datetime.fromtimestamp(float(value), UTC)
