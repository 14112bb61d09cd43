"""Submitting, dispatching, cancelling, reading and announcing."""

import json
from typing import Any

import pytest

from ratchet import Agent, Limits
from ratchet.app.list_tasks import TaskQuery
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import DELIVERY_JITTER_PERCENT
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.request_errors import (
    IdempotencyKeyReused,
    InvalidRequest,
    TaskAlreadyFinished,
    TaskNotFound,
    UnknownAgent,
)
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.task import History
from ratchet.testing.chat import says
from tests.unit.shared.app.world import World

AGENT = Agent("loop", "Help.", policy="react", limits=Limits(max_steps=10, max_cost_usd=0.5))
NOBODY = TaskRef("acme", "task_7ZZZZZZZZZZZZZZZZZZZZZZZZZ")


def request(**fields: Any) -> TaskRequest:
    return TaskRequest.model_validate({"goal": "Do it.", **fields})


def finished(world: World, **fields: Any) -> History:
    return world.run(world.submitted(**fields))


def test_a_submitted_task_is_queued_and_rung_for() -> None:
    world = World(AGENT)
    ref = world.submitted(metadata={"ticket": "7"}, limits={"max_steps": 3})
    tip = world.read.tip(ref)
    assert tip.state.status is TaskStatus.QUEUED
    assert tip.task.limits.max_steps == 3
    assert tip.task.limits.max_cost_usd == 0.5
    assert world.inbox.receive() == Doorbell(ref)


def test_a_lost_doorbell_does_not_fail_the_request() -> None:
    world = World(AGENT)

    def down(_: Doorbell) -> None:
        raise StoreUnavailable("queue down")

    world.inbox.send = down  # type: ignore[method-assign, assignment]
    assert world.read.tip(world.submitted()).state.status is TaskStatus.QUEUED


def test_the_same_key_and_body_give_the_same_task() -> None:
    world = World(AGENT)
    first = world.submit(request(), tenant="acme", idempotency_key="k")
    again = world.submit(request(), tenant="acme", idempotency_key="k")
    assert again.task == first.task
    assert (first.is_replay, again.is_replay) == (False, True)
    other = world.submit(request(), tenant="globex", idempotency_key="k")
    assert other.task.ref.task_id != first.task.ref.task_id


def test_the_same_key_with_another_body_is_refused() -> None:
    world = World(AGENT)
    world.submit(request(), tenant="acme", idempotency_key="k")
    with pytest.raises(IdempotencyKeyReused, match="use a new key"):
        world.submit(request(goal="Other."), tenant="acme", idempotency_key="k")


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_idempotency_key_has_a_bounded_length(key: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 255"):
        World(AGENT).submit(request(), tenant="acme", idempotency_key=key)


def test_an_unknown_agent_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownAgent, match="choose one of: loop"):
        World(AGENT).submitted(agent="ghost")


def test_limits_may_only_be_tightened() -> None:
    with pytest.raises(InvalidRequest, match=r"limits.max_steps: 11 is above .* 10"):
        World(AGENT).submitted(limits={"max_steps": 11})


def test_dispatching_twice_starts_one_execution() -> None:
    world = World(AGENT)
    ref = world.submitted()
    world.dispatch(Doorbell(ref))
    world.dispatch(Doorbell(ref))
    (execution,) = world.workflow.executions.values()
    assert execution.name == ref.task_id
    assert execution.input["action"] == "step"
    assert world.read.tip(ref).state.status is TaskStatus.RUNNING
    assert world.read.tip(ref).state.generation == 1


def test_a_message_for_no_task_is_let_go() -> None:
    world = World(AGENT)
    world.dispatch(Doorbell(NOBODY))
    assert world.workflow.executions == {}


def test_cancelling_a_queued_task_ends_it_and_nothing_starts() -> None:
    world = World(AGENT)
    ref = world.submitted()
    assert world.cancel(ref).state.status is TaskStatus.CANCELLED
    world.dispatch(Doorbell(ref))
    assert world.workflow.executions == {}
    assert world.outbox.receive() == Doorbell(ref)


def test_cancelling_a_running_task_stops_its_execution_once() -> None:
    world = World(AGENT)
    ref = world.submitted()
    world.dispatch(Doorbell(ref))
    first = world.cancel(ref)
    assert world.cancel(ref) == first
    (execution,) = world.workflow.executions.values()
    assert execution.cause == "cancelled by the caller"
    assert len(world.outbox) == 1


def test_a_finished_task_cannot_be_cancelled() -> None:
    world = World(AGENT, chat=[says("Done.")])
    tip = finished(world)
    with pytest.raises(TaskAlreadyFinished, match="ended as succeeded"):
        world.cancel(tip.task.ref)


def test_a_cancel_that_meets_a_step_tries_again() -> None:
    world = World(AGENT, chat=[says("Done.")])
    ref = world.submitted()
    state = world.first(ref)
    commit = world.store.commit
    overtaken: list[bool] = []

    def overtake(*args: Any, **kwargs: Any) -> Any:
        if not overtaken:
            overtaken.append(True)
            world.step(state)
        return commit(*args, **kwargs)

    world.store.commit = overtake  # type: ignore[method-assign]
    with pytest.raises(TaskAlreadyFinished):
        world.cancel(ref)
    assert world.tip(ref).state.status is TaskStatus.SUCCEEDED


def test_unknown_and_foreign_tasks_are_not_found() -> None:
    world = World(AGENT)
    ref = world.submitted()
    for wrong in (NOBODY, TaskRef("globex", ref.task_id), TaskRef("acme", "task_#../x")):
        with pytest.raises(TaskNotFound):
            world.read.tip(wrong)
        with pytest.raises(TaskNotFound):
            world.read.timeline(wrong)
    for wrong in (NOBODY, TaskRef("globex", ref.task_id)):
        with pytest.raises(TaskNotFound):
            world.cancel(wrong)


def test_a_long_poll_ends_with_the_task_or_with_its_time() -> None:
    world = World(AGENT, chat=[says("Done.")])
    ref = world.submitted()
    started = world.clock.monotonic()
    assert world.read.tip(ref, wait_seconds=10).state.status is TaskStatus.QUEUED
    assert world.clock.monotonic() - started == pytest.approx(10)
    world.run(ref)
    started = world.clock.monotonic()
    assert world.read.tip(ref, wait_seconds=10).state.status is TaskStatus.SUCCEEDED
    assert world.clock.monotonic() == started


def test_pages_go_on_where_the_one_before_ended() -> None:
    world = World(AGENT)
    refs = [world.submitted(goal=str(i)) for i in range(5)]
    seen: list[str] = []
    cursor = None
    for _ in range(3):
        page, cursor = world.lists.page("acme", where=TaskQuery(), limit=2, cursor=cursor)
        seen += [t.task_id for t in page.tasks]
    assert seen == [r.task_id for r in reversed(refs)]
    assert cursor is None
    with pytest.raises(InvalidRequest, match="next_cursor"):
        world.lists.page("acme", where=TaskQuery(), limit=2, cursor="bm9wZQ")


def test_the_outcome_is_announced_on_every_channel_with_the_same_bytes() -> None:
    world = World(AGENT, chat=[says("Done.")])
    tip = finished(world, webhook={"url": "https://example.com/hook"}, metadata={"a": "b"})
    world.announce(Doorbell(tip.task.ref))
    (sns,), (webhook,) = world.sns.attempts, world.webhook.attempts
    assert sns.event == webhook.event
    assert webhook.target == "https://example.com/hook"
    body = json.loads(sns.event.body)
    assert body["type"] == "task.succeeded"
    assert body["data"]["result"] == "Done."
    assert body["data"]["metadata"] == {"a": "b"}
    assert sns.event.attributes["status"] == "succeeded"


def test_a_failed_channel_is_tried_again_on_schedule_and_the_other_is_left_alone() -> None:
    world = World(AGENT, chat=[says("Done.")])
    bell = Doorbell(finished(world, webhook={"url": "https://example.com/hook"}).task.ref)
    world.webhook.fail(2)
    world.announce(bell)
    world.announce(bell)  # rung again too early: not tried
    assert len(world.webhook.attempts) == 1
    for delay in (5, 300):
        world.clock.advance(delay - 0.1)
        world.announce(bell)  # never early
        world.clock.advance(0.1 + delay * DELIVERY_JITTER_PERCENT / 100)
        world.announce(bell)
    world.announce(bell)
    assert len(world.sns.attempts) == 1
    assert [a.ok for a in world.webhook.attempts] == [False, False, True]
    assert len({a.event.id for a in world.webhook.attempts}) == 1
    assert world.due(before_days=29) == set()


def test_a_receiver_that_hangs_is_due_again_counted_from_the_end_of_the_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(AGENT, chat=[says("Done.")])
    ref = finished(world, webhook={"url": "https://example.com/hook"}).task.ref
    world.webhook.fail(1)
    answer = world.webhook.announce

    def hang(*args: Any, **kwargs: Any) -> str:
        world.clock.advance(15)
        return answer(*args, **kwargs)

    monkeypatch.setattr(world.webhook, "announce", hang)
    world.announce(Doorbell(ref))
    world.clock.advance(4.9)
    assert world.sweep().tasks == 0
    world.clock.advance(0.6)
    assert world.sweep().tasks == 1
    world.announce(Doorbell(ref))
    assert [a.ok for a in world.webhook.attempts] == [False, True]


def test_a_webhook_is_tried_ten_times_over_three_days_and_then_given_up() -> None:
    world = World(AGENT, chat=[says("Done.")])
    ref = finished(world, webhook={"url": "https://example.com/hook"}).task.ref
    world.webhook.fail(99)
    started = world.clock.monotonic()
    world.announce(Doorbell(ref))
    while world.due(before_days=29):
        world.clock.advance(60)
        world.sweep()
        while (bell := world.outbox.receive()) is not None:
            world.announce(bell)
    assert len(world.webhook.attempts) == 10
    assert world.clock.monotonic() - started > 72 * 3600


def test_a_task_without_a_webhook_is_announced_on_sns_only() -> None:
    world = World(AGENT, chat=[says("Done.")])
    world.announce(Doorbell(finished(world).task.ref))
    assert len(world.sns.attempts) == 1
    assert world.webhook.attempts == []


def test_a_result_too_long_for_an_event_is_left_out_and_said_to_be() -> None:
    world = World(AGENT, chat=[says("x" * 30_000)])
    world.announce(Doorbell(finished(world).task.ref))
    data = json.loads(world.sns.delivered[0].body)["data"]
    assert data["result"] is None
    assert data["result_omitted"] is True


def test_a_task_that_has_not_ended_is_not_announced() -> None:
    world = World(AGENT)
    world.announce(Doorbell(world.submitted()))
    world.announce(Doorbell(NOBODY))
    assert world.sns.attempts == []
