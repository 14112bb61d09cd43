"""The local stack's EventBridge Scheduler, on a clock of the test's own."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from moto.scheduler.models import scheduler_backends

from ratchet.local.endpoint import Endpoint
from ratchet.local.events.scheduler import ScheduleClock

ACCOUNT, REGION = "111122223333", "eu-west-1"
BEGIN = datetime(2026, 10, 24, 23, 0, 20, tzinfo=UTC)  # two hours before Berlin's clocks go back
TARGET = {
    "Arn": "arn:aws:lambda:eu-west-1:111122223333:function:f",
    "Input": '{"at": "<aws.scheduler.scheduled-time>", "id": "x"}',
}


class Town:
    """A stack of nothing but schedules."""

    def __init__(self, minute_seconds: float = 60.0) -> None:
        self.now = BEGIN.timestamp()
        self.heard: list[tuple[str, Any]] = []
        self._minute_seconds = minute_seconds
        self.restart()

    def restart(self) -> None:
        """Begin a new clock, as a stack that is started again with the same state."""
        endpoint = Endpoint("http://127.0.0.1", region=REGION, account=ACCOUNT)
        self.clock = ScheduleClock(
            endpoint,
            lambda arn, body: self.heard.append((arn, body)),
            minute_seconds=self._minute_seconds,
            wall=lambda: self.now,
        )

    def add(self, expression: str, **fields: Any) -> None:
        wanted = {
            "description": "",
            "end_date": None,
            "flexible_time_window": {"Mode": "OFF"},
            "group_name": "default",
            "kms_key_arn": None,
            "name": f"s{len(self.names)}",
            "schedule_expression": expression,
            "schedule_expression_timezone": "UTC",
            "start_date": None,
            "state": "ENABLED",
            "target": dict(TARGET),
            "action_after_completion": "DELETE",
            **fields,
        }
        made = scheduler_backends[ACCOUNT][REGION].create_schedule(**wanted)
        made.creation_date = self.now

    @property
    def names(self) -> list[str]:
        return list(scheduler_backends[ACCOUNT][REGION].schedule_groups["default"].schedules)

    def minutes(self, count: int) -> list[str]:
        """When what fired in so many minutes had been due."""
        before = len(self.heard)
        for _ in range(count):
            self.now += self._minute_seconds
            self.clock.tick()
        return [body["at"][8:16] for _, body in self.heard[before:]]


@pytest.fixture
def town() -> Iterator[Town]:
    yield Town()
    scheduler_backends[ACCOUNT][REGION].reset()


def test_a_rate_fires_at_once_and_then_at_its_pace(town: Town) -> None:
    town.minutes(3)
    town.add("rate(5 minutes)")
    assert town.minutes(12) == ["24T23:04", "24T23:09", "24T23:14"]
    assert town.heard[0] == (TARGET["Arn"], {"at": "2026-10-24T23:04:00Z", "id": "x"})


@pytest.mark.parametrize("kept_from", [None, "23:03:30"])
def test_a_rate_keeps_its_pace_over_a_restart(town: Town, kept_from: str | None) -> None:
    start = None
    if kept_from is not None:
        start = datetime.fromisoformat(f"2026-10-24T{kept_from}+00:00").timestamp()
    town.minutes(3)
    town.add("rate(1 hour)", start_date=start)
    assert len(town.minutes(10)) == 1
    for seconds in (2, 7 * 60, 3 * 3600):
        town.now += seconds
        town.restart()
    assert town.minutes(120) == [
        "25T03:03" if start else "25T03:04",
        "25T04:03" if start else "25T04:04",
    ]


def test_a_rate_keeps_to_its_bounds_and_is_gone_after_them(town: Town) -> None:
    start = datetime(2026, 10, 24, 23, 10, 30, tzinfo=UTC).timestamp()
    town.add("rate(2 minutes)", start_date=start, end_date=start + 240)
    assert town.minutes(30) == ["24T23:10", "24T23:12", "24T23:14"]
    assert town.names == []


def test_cron_fires_in_its_own_time_zone_and_once_in_the_hour_that_autumn_has_twice(
    town: Town,
) -> None:
    town.add("cron(30 2 * * ? *)", schedule_expression_timezone="Europe/Berlin")
    assert town.minutes(26 * 60) == ["25T00:30"]
    assert town.names == ["s0"]


def test_at_fires_once_and_is_gone(town: Town) -> None:
    town.add("at(2026-10-25T01:03:30)", schedule_expression_timezone="Europe/Berlin")
    town.add("at(2026-10-25T01:03:30)", action_after_completion="NONE")
    assert town.minutes(10) == ["24T23:03"]
    assert town.names == ["s1"]
    assert town.minutes(180) == ["25T01:03"]
    assert town.minutes(10) == []


def test_what_is_disabled_or_deleted_does_not_fire(town: Town) -> None:
    town.add("rate(1 minute)", state="DISABLED")
    town.add("rate(1 minute)")
    assert len(town.minutes(2)) == 2
    scheduler_backends[ACCOUNT][REGION].delete_schedule("default", "s1")
    assert town.minutes(5) == []


def test_a_shorter_minute_makes_time_run_ahead() -> None:
    town = Town(minute_seconds=0.5)
    town.add("cron(*/20 * * * ? *)")
    assert town.minutes(60) == ["24T23:20", "24T23:40", "25T00:00"]
    scheduler_backends[ACCOUNT][REGION].reset()


def test_what_a_machine_slept_through_is_not_made_up_for(town: Town) -> None:
    town.add("rate(1 minute)")
    town.now += 8 * 3600
    town.clock.tick()
    assert 1 <= len(town.heard) <= 6
    assert json.loads(json.dumps(town.heard[-1][1]))["at"].startswith("2026-10-25T07:0")
