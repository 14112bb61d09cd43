"""Making, running and deleting schedules; and every call on the way failing or its answer being lost."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ratchet import Agent
from ratchet.app.missed_runs import MISSED, MissedRuns
from ratchet.app.run_schedule import RunSchedule
from ratchet.app.schedules import Schedules
from ratchet.contracts.errors import ServiceRefused, StoreUnavailable
from ratchet.contracts.firing import Firing
from ratchet.contracts.limits import MAX_IDEMPOTENCY_KEY_CHARS, MAX_SCHEDULES
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import ScheduleStatus
from ratchet.contracts.request_errors import (
    IdempotencyKeyReused,
    InvalidRequest,
    ScheduleNotFound,
    SessionBusy,
    TenantSuspended,
    TooManyRequests,
    TooManySchedules,
    UnknownAgent,
)
from ratchet.contracts.schedule_api import ScheduleRequest
from ratchet.domain.schedule import Schedule
from ratchet.domain.suspension import Suspension
from ratchet.task_list import ListFilter
from ratchet.testing.chat import says
from tests.unit.shared.app.world import World

FIRST, SECOND = "2026-11-23T09:00:00Z", "2026-11-23T10:00:00Z"


@pytest.fixture
def world() -> World:
    return World(Agent("support", "Help.", policy="react"), chat=lambda _: says("Done."))


def asked(goal: str = "Sum up.", **fields: Any) -> ScheduleRequest:
    task = fields.pop("task", {})
    body = {"schedule_expression": "rate(1 hour)", "task": {"goal": goal, **task}, **fields}
    return ScheduleRequest.model_validate(body)


def create(world: World, key: str | None = None, tenant: str = "acme", **fields: Any) -> Schedule:
    return world.schedules.create(asked(**fields), tenant=tenant, idempotency_key=key)[0]


def fire(world: World, schedule: Schedule, at: str = FIRST) -> str | None:
    return world.run_schedule(Firing(schedule.tenant, schedule.schedule_id, at))


def tasks(world: World) -> list[str]:
    page = world.store.list_tasks("acme", where=ListFilter(), limit=100)
    return [task.task_id for task in page.tasks]


def timers(world: World) -> set[str]:
    return {schedule_id for _, schedule_id in world.schedules.timers.schedules}  # type: ignore[attr-defined]


def test_what_is_created_fires_and_is_shown(world: World) -> None:
    schedule = create(world, name="hourly", task={"agent": "support", "user_id": "ann"})
    assert (schedule.agent, schedule.user_id, schedule.name) == ("support", "ann", "hourly")
    assert schedule.status(now_ms=world.clock.now_ms()) is ScheduleStatus.ACTIVE
    assert world.schedules.read("acme", schedule.schedule_id) == schedule
    assert timers(world) == {schedule.schedule_id}


def test_a_firing_submits_the_task_once_however_often_it_comes(world: World) -> None:
    schedule = create(world)
    task_id = fire(world, schedule)
    assert task_id is not None
    assert fire(world, schedule) is None
    other = fire(world, schedule, SECOND)
    assert sorted(tasks(world)) == sorted([task_id, str(other)])
    tip = world.tip(TaskRef("acme", task_id))
    assert (tip.task.schedule_id, tip.task.goal) == (schedule.schedule_id, "Sum up.")
    noted = world.schedules.read("acme", schedule.schedule_id)
    assert noted.runs == 2
    assert noted.last_run is not None
    assert (noted.last_run.scheduled_at, noted.last_run.task_id) == (SECOND, other)


@pytest.mark.parametrize(
    ("fields", "raised"),
    [
        ({"schedule_expression": "rate(1 second)"}, InvalidRequest),
        ({"timezone": "Mars/Olympus"}, InvalidRequest),
        ({"schedule_expression": "at(2020-01-01T00:00:00)"}, InvalidRequest),
        ({"end_at": "2020-01-01T00:00:00Z"}, InvalidRequest),
        ({"start_at": "2020-01-01T00:00:00Z"}, InvalidRequest),
        ({"start_at": "2199-01-02T00:00:00Z", "end_at": "2199-01-01T00:00:00Z"}, InvalidRequest),
        (
            {"schedule_expression": "at(2199-01-01T00:00:00)", "end_at": "2199-01-01T00:00:00Z"},
            InvalidRequest,
        ),
        ({"task": {"agent": "nobody"}}, UnknownAgent),
        ({"task": {"limits": {"max_steps": 4_000}}}, InvalidRequest),
        ({"task": {"on_conflict": "reject"}}, InvalidRequest),
    ],
)
def test_what_could_not_be_carried_out_is_refused_at_once(
    world: World, fields: dict[str, Any], raised: type[Exception]
) -> None:
    with pytest.raises(raised):
        create(world, **fields)
    assert world.schedules.list("acme", limit=9, cursor=None) == ([], None)
    assert timers(world) == set()


def test_a_key_may_be_as_long_for_a_schedule_as_for_a_task_and_no_shorter(world: World) -> None:
    create(world, "x" * MAX_IDEMPOTENCY_KEY_CHARS)
    for key in ("", "x" * (MAX_IDEMPOTENCY_KEY_CHARS + 1)):
        with pytest.raises(InvalidRequest, match="1 to 255"):
            create(world, key)


def test_the_same_key_and_body_make_one_schedule(world: World) -> None:
    first, was_there = world.schedules.create(asked(), tenant="acme", idempotency_key="k")
    again = world.schedules.create(asked(), tenant="acme", idempotency_key="k")
    assert (was_there, again) == (False, (first, True))
    with pytest.raises(IdempotencyKeyReused, match="another schedule"):
        create(world, "k", goal="Another.")
    assert create(world, "k", tenant="globex").schedule_id != first.schedule_id
    world.schedules.delete("acme", first.schedule_id)
    with pytest.raises(IdempotencyKeyReused, match="is deleted"):
        create(world, "k")


def test_a_key_answers_the_same_after_the_time_has_come(world: World) -> None:
    noon = datetime.fromtimestamp(world.clock.now_ms() / 1000 + 3600, UTC)
    fields = {"schedule_expression": f"at({noon:%Y-%m-%dT%H:%M:%S})"}
    made = create(world, "k", **fields)
    world.clock.advance(3_601)
    assert create(world, "k", **fields) == made
    fire(world, made)
    shown = world.schedules.read("acme", made.schedule_id)
    assert shown.status(now_ms=world.clock.now_ms()) is ScheduleStatus.ENDED
    assert shown.runs == 1


def test_a_tenant_has_so_many_schedules_and_no_more(world: World) -> None:
    made = [create(world) for _ in range(MAX_SCHEDULES)]
    with pytest.raises(TooManySchedules, match=str(MAX_SCHEDULES)):
        create(world)
    create(world, tenant="globex")
    world.schedules.delete("acme", made[0].schedule_id)
    create(world)


def test_what_is_deleted_fires_no_more_and_may_be_deleted_again(world: World) -> None:
    schedule = create(world)
    for _ in range(2):
        world.schedules.delete("acme", schedule.schedule_id)
    assert timers(world) == set()
    assert fire(world, schedule) is None
    assert tasks(world) == []
    for tenant, schedule_id in (("globex", schedule.schedule_id), ("acme", "x"), ("acme", "")):
        with pytest.raises(ScheduleNotFound):
            world.schedules.delete(tenant, schedule_id)


def test_a_firing_without_a_record_clears_its_timer(world: World) -> None:
    schedule = create(world)
    world.schedules.store.delete(schedule)
    assert fire(world, schedule) is None
    assert timers(world) == set()
    assert tasks(world) == []


def test_a_refusal_that_stays_is_noted_and_not_raised(world: World) -> None:
    schedule = create(world, task={"session_id": "talk", "on_conflict": "reject"})
    world.suspensions.begin("acme", Suspension(0, ""))
    world.clock.advance(60)
    assert fire(world, schedule) is None
    suspended = world.schedules.read("acme", schedule.schedule_id).last_run
    assert suspended is not None
    assert (suspended.code, suspended.task_id) == (TenantSuspended.code, None)
    with pytest.raises(TenantSuspended):
        create(world)
    world.suspensions.end("acme")
    world.clock.advance(60)
    assert fire(world, schedule, FIRST) is None, "what was refused stays refused"
    assert fire(world, schedule, SECOND) is not None
    fire(world, schedule, "2026-11-23T11:00:00Z")
    busy = world.schedules.read("acme", schedule.schedule_id).last_run
    assert busy is not None
    assert busy.code == SessionBusy.code


def test_an_agent_that_is_gone_is_noted(world: World) -> None:
    schedule = create(world)
    later = World(Agent("other", "Help."), kept=(world.store, world.clock))
    run = RunSchedule(world.schedules.store, world.schedules.timers, later.submit)
    assert run(Firing("acme", schedule.schedule_id, FIRST)) is not None, "it asks for the default"
    named = create(world, task={"agent": "support"})
    assert run(Firing("acme", named.schedule_id, FIRST)) is None
    noted = world.schedules.read("acme", named.schedule_id).last_run
    assert noted is not None
    assert noted.code == UnknownAgent.code


def test_a_request_that_a_later_release_does_not_take_is_noted(world: World) -> None:
    schedule = create(world)
    old = replace(schedule, schedule_id=f"schedule_{9:026d}", task='{"was": "a field"}')
    world.schedules.store.create(old, None)
    assert fire(world, old) is None
    noted = world.schedules.store.schedule("acme", old.schedule_id)
    assert noted is not None
    assert noted.last_run is not None
    assert noted.last_run.code == "invalid_request"
    assert "goal" in str(noted.last_run.message)


def test_a_throttle_is_raised_so_that_it_comes_again(world: World) -> None:
    def full(_tenant: str) -> None:
        raise TooManyRequests("later", 3)

    schedule = create(world)
    run = RunSchedule(world.schedules.store, world.schedules.timers, world.submit, full)  # type: ignore[arg-type]
    with pytest.raises(TooManyRequests):
        run(Firing("acme", schedule.schedule_id, FIRST))
    assert world.schedules.read("acme", schedule.schedule_id).last_run is None
    assert fire(world, schedule) is not None


def test_a_missed_run_is_noted_unless_a_later_one_was_made(world: World) -> None:
    schedule = create(world)
    missed = MissedRuns(world.schedules.store)
    missed(Firing("acme", schedule.schedule_id, FIRST))
    noted = world.schedules.read("acme", schedule.schedule_id).last_run
    assert noted is not None
    assert (noted.code, noted.scheduled_at) == (MISSED, FIRST)
    task_id = fire(world, schedule, SECOND)
    missed(Firing("acme", schedule.schedule_id, FIRST))
    noted = world.schedules.read("acme", schedule.schedule_id).last_run
    assert noted is not None
    assert noted.task_id == task_id


def test_a_users_schedules_go_with_the_user(world: World) -> None:
    of_ann = [create(world, task={"user_id": "ann"}) for _ in range(2)]
    of_bob = create(world, task={"user_id": "bob"})
    assert world.erase_user("acme", "ann").schedules == 2
    assert timers(world) == {of_bob.schedule_id}
    assert fire(world, of_ann[0]) is None
    assert world.erase_user("acme", "ann").schedules == 0


def test_what_eventbridge_refuses_leaves_nothing_and_the_key_free(world: World) -> None:
    class Refusing:
        def set(self, _: Schedule) -> None:
            raise InvalidRequest("EventBridge refuses the schedule: no such zone")

        def clear(self, _tenant: str, _id: str) -> None: ...

    schedules = world.schedules
    refusing = Schedules(schedules.store, Refusing(), world.submit, schedules.cursors)
    with pytest.raises(InvalidRequest, match="no such zone"):
        refusing.create(asked(), tenant="acme", idempotency_key="k")
    assert schedules.list("acme", limit=5, cursor=None)[0] == []
    assert not schedules.create(asked(goal="Other."), tenant="acme", idempotency_key="k")[1]


class Faulty:
    """Breaks off at one call: before it, or after, when its answer is lost."""

    def __init__(self, inner: Any, plan: "Plan") -> None:
        self._inner, self._plan = inner, plan

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        return lambda *args, **named: self._plan.call(lambda: method(*args, **named))


class Plan:
    def __init__(self, at: int, *, is_lost: bool) -> None:
        self.left, self._is_lost = at, is_lost

    def call(self, act: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self._is_lost:
            raise StoreUnavailable("did not answer")
        answer = act()
        if self.left == 0:
            raise StoreUnavailable("its answer was lost")
        return answer


@pytest.mark.parametrize("is_lost", [False, True])
def test_whatever_call_fails_the_same_request_finishes_the_work(is_lost: bool) -> None:
    at, is_done = 0, False
    while not is_done:
        at += 1
        world = World(Agent("support", "Help.", policy="react"))
        plan = Plan(at, is_lost=is_lost)
        real = world.schedules
        store, clock_side = Faulty(real.store, plan), Faulty(real.timers, plan)
        schedules = Schedules(store, clock_side, world.submit, real.cursors)
        run = RunSchedule(store, clock_side, world.submit)
        made = again(lambda: schedules.create(asked(), tenant="acme", idempotency_key="k")[0])  # noqa: B023
        assert [s.schedule_id for s in real.list("acme", limit=9, cursor=None)[0]] == [
            made.schedule_id
        ]
        assert timers(world) == {made.schedule_id}
        assert real.read("acme", made.schedule_id).is_armed
        firing = Firing("acme", made.schedule_id, FIRST)
        for _ in range(2):
            again(lambda: run(firing))  # noqa: B023
        assert len(tasks(world)) == 1
        assert real.read("acme", made.schedule_id).runs == 1
        again(lambda: schedules.delete("acme", made.schedule_id))  # noqa: B023
        assert timers(world) == set()
        assert real.list("acme", limit=9, cursor=None)[0] == []
        is_done = plan.left > 0
    assert at > 8


def again(act: Any) -> Any:
    """As a caller, EventBridge or Lambda would."""
    try:
        return act()
    except StoreUnavailable:
        return act()


@pytest.mark.parametrize("error", [StoreUnavailable("down"), ServiceRefused("no")])
def test_a_schedule_that_nobody_can_ask_for_again_is_not_kept(
    world: World, error: Exception
) -> None:
    class Down:
        def set(self, _: Schedule) -> None:
            raise error

        def clear(self, _tenant: str, _id: str) -> None: ...

    schedules = world.schedules
    down = Schedules(schedules.store, Down(), world.submit, schedules.cursors)
    with pytest.raises(type(error)):
        down.create(asked(), tenant="acme")
    assert schedules.list("acme", limit=9, cursor=None)[0] == []
    with pytest.raises(type(error)):
        down.create(asked(), tenant="acme", idempotency_key="k")
    ((kept,), _) = schedules.list("acme", limit=9, cursor=None)
    assert kept.status(now_ms=world.clock.now_ms()) is ScheduleStatus.CREATING
    assert create(world, "k").schedule_id == kept.schedule_id


def test_one_that_is_deleted_while_it_is_made_does_not_fire(world: World) -> None:
    real = world.schedules

    class Slow:
        def set(self, schedule: Schedule) -> None:
            real.delete("acme", schedule.schedule_id)
            real.timers.set(schedule)

        def clear(self, tenant: str, schedule_id: str) -> None:
            real.timers.clear(tenant, schedule_id)

    slow = Schedules(real.store, Slow(), world.submit, real.cursors)
    with pytest.raises(ScheduleNotFound):
        slow.create(asked(), tenant="acme")
    assert timers(world) == set()
