"""EventBridge Scheduler, as the twin and as moto play it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.stub import Stubber

from ratchet.adapters import aws
from ratchet.adapters.eventbridge_scheduler import EventBridgeTimers, FiringTarget
from ratchet.contracts.errors import ServiceRefused, StoreUnavailable
from ratchet.contracts.firing import Firing
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.schedule import Schedule, Timing
from ratchet.schedule_ports import Timers
from ratchet.testing.schedules import InMemoryTimers
from tests.contract.moto_aws import mocked_aws

GROUP = "of-the-stack"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:scheduler"
ROLE = "arn:aws:iam::123456789012:role/schedules"
LETTERS = "arn:aws:sqs:us-east-1:123456789012:letters"
SECRET_GOAL = "buy everything"
ONE = Schedule(
    "acme",
    "schedule_00000000000000000000000001",
    0,
    Timing("cron(0 9 ? * MON-FRI *)", "Europe/Berlin", 1_900_000_000_000, 1_950_000_000_000),
    json.dumps({"goal": SECRET_GOAL}),
    name="secret name",
    user_id="ann",
)


@dataclass
class Bench:
    timers: Timers
    count: Callable[[], int]


@pytest.fixture(params=["twin", "moto"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "twin":
        twin = InMemoryTimers()
        yield Bench(twin, lambda: len(twin.schedules))
        return
    with mocked_aws():
        yield Bench(on_aws(), lambda: len(aws.client("scheduler").list_schedules()["Schedules"]))


def on_aws() -> EventBridgeTimers:
    aws.client("scheduler").create_schedule_group(Name=GROUP)
    target = FiringTarget(FUNCTION, ROLE, LETTERS)
    return EventBridgeTimers(lambda: aws.client("scheduler"), GROUP, target)


def test_setting_and_clearing_are_safe_to_repeat(bench: Bench) -> None:
    others = [replace(ONE, tenant="globex"), replace(ONE, schedule_id="schedule_2")]
    for schedule in (ONE, ONE, *others):
        bench.timers.set(schedule)
    assert bench.count() == 3
    for _ in range(2):
        bench.timers.clear(ONE.tenant, ONE.schedule_id)
    assert bench.count() == 2
    bench.timers.set(ONE)
    assert bench.count() == 3


def test_eventbridge_is_told_when_and_whom_to_call_and_nothing_else() -> None:
    with mocked_aws():
        on_aws().set(ONE)
        client: Any = aws.client("scheduler")
        (kept,) = client.list_schedules(GroupName=GROUP)["Schedules"]
        told = client.get_schedule(GroupName=GROUP, Name=kept["Name"])
    assert told["ScheduleExpression"] == ONE.timing.expression
    assert told["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert told["StartDate"].timestamp() == 1_900_000_000
    assert told["EndDate"].timestamp() == 1_950_000_000
    assert told["ActionAfterCompletion"] == "DELETE"
    target = told["Target"]
    assert (target["Arn"], target["RoleArn"]) == (FUNCTION, ROLE)
    assert target["DeadLetterConfig"] == {"Arn": LETTERS}
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == 3_600
    due = target["Input"].replace("<aws.scheduler.scheduled-time>", "2027-01-31T08:00:00Z")
    firing = Firing("acme", ONE.schedule_id, "2027-01-31T08:00:00Z")
    assert Firing.from_event(json.loads(due)) == firing
    text = json.dumps(told, default=str)
    assert not [w for w in (SECRET_GOAL, "secret name", "ann") if w in text.replace("annual", "")]
    assert "acme" not in kept["Name"]


@pytest.mark.parametrize(
    ("code", "status", "raised"),
    [
        ("ThrottlingException", 429, StoreUnavailable),
        ("InternalServerException", 500, StoreUnavailable),
        ("AccessDeniedException", 403, ServiceRefused),
        ("ResourceNotFoundException", 404, ServiceRefused),
        ("ServiceQuotaExceededException", 402, ServiceRefused),
        ("ValidationException", 400, InvalidRequest),
        ("ConflictException", 409, None),
    ],
)
def test_what_eventbridge_answers_is_told_in_our_words(
    code: str, status: int, raised: type[Exception] | None
) -> None:
    with mocked_aws():
        client: Any = aws.client("scheduler")
        with Stubber(client) as stub:
            for _ in range(3):  # botocore tries what may work later again
                stub.add_client_error("create_schedule", code, "no such zone", status)
            timers = EventBridgeTimers(lambda: client, GROUP, FiringTarget(FUNCTION, ROLE, LETTERS))
            if raised is None:
                timers.set(ONE)
            else:
                with pytest.raises(raised) as told:
                    timers.set(ONE)
                assert raised is not InvalidRequest or "no such zone" in str(told.value)


def test_a_clearing_that_is_refused_is_told() -> None:
    with mocked_aws():
        client: Any = aws.client("scheduler")
        with Stubber(client) as stub:
            stub.add_client_error("delete_schedule", "AccessDeniedException", "no", 403)
            with pytest.raises(ServiceRefused):
                EventBridgeTimers(lambda: client, GROUP).clear("acme", ONE.schedule_id)
        with pytest.raises(ServiceRefused, match="only be cleared"):
            EventBridgeTimers(lambda: client, GROUP).set(ONE)


def test_a_clearing_that_meets_another_change_may_be_repeated() -> None:
    with mocked_aws():
        client: Any = aws.client("scheduler")
        with Stubber(client) as stub:
            stub.add_client_error("delete_schedule", "ConflictException", "inconsistent", 409)
            with pytest.raises(StoreUnavailable):
                EventBridgeTimers(lambda: client, GROUP).clear("acme", ONE.schedule_id)
