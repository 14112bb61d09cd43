"""What brings a task back: the sweeper, roll-over, resume."""

from dataclasses import replace

import pytest

from ratchet import Agent, Limits
from ratchet.app import step_waits, sweep_tasks
from ratchet.contracts.charge import NO_CHARGE
from ratchet.contracts.errors import (
    ModelRejected,
    ModelThrottled,
    NewerRelease,
    RatchetError,
    StoreUnavailable,
)
from ratchet.contracts.limits import (
    MAX_RESTARTS,
    RING_AGAIN_SECONDS,
    STEPS_PER_EXECUTION,
    TERMINAL_RETENTION_SECONDS,
    WAITS_PER_EXECUTION,
    WATCH_SECONDS,
)
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import Action, StepType, TaskStatus
from ratchet.contracts.request_errors import InvalidRequest, TaskNotFound, TaskNotResumable
from ratchet.contracts.task_api import LimitsRequest, ResumeRequest
from ratchet.domain.keys import due_key
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import End
from ratchet.testing.chat import Outcome, asks, says
from tests.unit.shared.app.test_execute_step import PLAN, READY, look
from tests.unit.shared.app.world import World

LOOP = Agent(
    "loop",
    "Help.",
    tools=[look],
    policy="react",
    limits=Limits(max_steps=40),
    loop_guard=False,
)
LOOK = asks(ToolCall("c1", "look", '{"where":"here"}'))


def drained(world: World) -> list[Doorbell]:
    bells = []
    while (bell := world.inbox.receive()) is not None:
        bells.append(bell)
    return bells


def test_a_lost_doorbell_is_rung_again_each_minute_until_the_task_starts() -> None:
    world = World(LOOP, chat=[says("Done.")])
    ref = world.submitted()
    drained(world)
    world.sweep()
    assert drained(world) == []
    for _ in range(2):
        world.clock.advance(RING_AGAIN_SECONDS)
        assert world.sweep().tasks == 1
        assert drained(world) == [Doorbell(ref, 1)]
    world.run(ref)
    world.clock.advance(RING_AGAIN_SECONDS)
    world.sweep()
    assert drained(world) == []


def test_an_end_that_nobody_announced_is_announced() -> None:
    world = World(LOOP, chat=[says("Done.")])
    ref = world.submitted()
    world.run(ref)
    world.clock.advance(RING_AGAIN_SECONDS)
    world.sweep()
    assert world.outbox.receive() == Doorbell(ref)
    world.announce(Doorbell(ref))
    world.clock.advance(RING_AGAIN_SECONDS)
    assert world.sweep().tasks == 0


def test_a_living_execution_is_left_alone() -> None:
    world = World(LOOP)
    ref = world.submitted()
    world.first(ref)
    for _ in range(3):
        world.clock.advance(WATCH_SECONDS)
        assert world.sweep().tasks == 1
    assert len(world.workflow.executions) == 1


def test_a_dead_execution_is_followed_by_the_next_from_the_last_commit() -> None:
    world = World(LOOP, chat=[LOOK, says("Done.")])
    ref = world.submitted()
    world.step(world.first(ref))
    world.workflow.kill(ref, 1, cause="States.Runtime")
    world.clock.advance(WATCH_SECONDS)
    world.sweep()
    second = world.workflow.input_of(ref, 2)
    assert second.step.number == 2
    assert second.execution.first_step == 2
    assert world.step(second).action is Action.FINISH
    assert world.tip(ref).state.status is TaskStatus.SUCCEEDED


def test_the_word_of_a_death_is_acted_on_at_once_and_twice_is_once() -> None:
    world = World(LOOP)
    ref = world.submitted()
    world.first(ref)
    world.workflow.kill(ref, 1, cause="aborted")
    world.sweep.reconcile(ref)
    world.sweep.reconcile(ref)
    assert [e.name for e in world.workflow.executions.values()] == [
        ref.task_id,
        f"{ref.task_id}-g2",
    ]
    world.sweep.reconcile(TaskRef("acme", "task_7ZZZZZZZZZZZZZZZZZZZZZZZZZ"))


def test_a_step_that_kills_every_execution_ends_the_task_with_the_cause() -> None:
    world = World(LOOP)
    ref = world.submitted()
    world.first(ref)
    for generation in range(1, MAX_RESTARTS + 2):
        assert not world.tip(ref).state.status.is_terminal
        world.workflow.kill(ref, generation, cause="Runtime.ImportModuleError")
        world.sweep.reconcile(ref)
    end = world.tip(ref).next
    assert isinstance(end, End)
    assert end.failure is not None
    assert end.failure.code == "execution_failed"
    assert "ImportModuleError" in end.failure.message
    assert world.outbox.receive() == Doorbell(ref)


def test_progress_between_deaths_starts_the_count_again() -> None:
    world = World(LOOP, chat=lambda _: LOOK)
    ref = world.submitted()
    world.step(world.first(ref))
    for generation in range(1, MAX_RESTARTS * 2):
        world.workflow.kill(ref, generation, cause="aborted")
        world.sweep.reconcile(ref)
        world.step(world.workflow.input_of(ref, generation + 1))
    assert world.tip(ref).state.status is TaskStatus.RUNNING


def test_one_task_that_cannot_be_helped_does_not_keep_the_others_waiting() -> None:
    world = World(LOOP)
    first, second = world.submitted(), world.submitted()
    drained(world)
    load = world.store.load_tip

    def broken(ref: TaskRef) -> object:
        if ref == first:
            raise StoreUnavailable("throttled")
        return load(ref)

    world.store.load_tip = broken  # type: ignore[method-assign, assignment]
    world.clock.advance(RING_AGAIN_SECONDS)
    swept = world.sweep()
    assert (swept.tasks, swept.failed) == (2, 1)
    assert drained(world) == [Doorbell(second, 1)]


@pytest.mark.parametrize(
    ("error", "is_seen"),
    [(NewerRelease("of a newer release"), True), (StoreUnavailable("throttled"), False)],
)
def test_tasks_that_cannot_be_helped_do_not_hide_those_behind_them_but_an_outage_does(
    monkeypatch: pytest.MonkeyPatch, error: RatchetError, is_seen: bool
) -> None:
    monkeypatch.setattr(sweep_tasks, "PAGE", 2)
    world = World(LOOP)
    shard = due_key(world.submitted())
    refs = [ref for ref in (world.submitted() for _ in range(80)) if due_key(ref) == shard][:6]
    drained(world)
    load = world.store.load_tip

    def broken(ref: TaskRef) -> object:
        if ref != refs[-1]:
            raise error
        return load(ref)

    world.store.load_tip = broken  # type: ignore[method-assign, assignment]
    world.clock.advance(RING_AGAIN_SECONDS)
    world.sweep()
    assert drained(world) == [Doorbell(refs[-1], 1)] * is_seen


def test_a_long_task_goes_on_in_execution_after_execution() -> None:
    agent = replace(LOOP, limits=Limits(max_steps=500))
    answers = iter([*[LOOK] * 120, says("Done.")])
    world = World(agent, chat=lambda _: next(answers), steps_per_execution=25)
    ref = world.submitted()
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED
    assert len(world.steps(ref)) == 121
    assert len(world.workflow.executions) == 5


def test_a_step_that_waits_again_and_again_goes_on_in_execution_after_execution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(step_waits, "WAITS_PER_EXECUTION", 3)
    throttled = [ModelThrottled("slow down", 1.0)] * 2
    world = World(LOOP, chat=[*throttled, LOOK, *throttled, *throttled, says("Done.")])
    ref = world.submitted()
    tip = world.run(ref)
    assert tip.state.status is TaskStatus.SUCCEEDED
    assert (tip.state.generation, tip.state.restarts) == (3, 0)
    assert tip.totals.cost_microusd == sum(r.result.cost_microusd for r in world.steps(ref))
    assert [r.result.lost for r in world.steps(ref)] == [NO_CHARGE, NO_CHARGE]


def test_a_roll_over_that_nobody_heard_is_charged_nothing() -> None:
    world = World(LOOP, chat=[LOOK, says("Done.")], steps_per_execution=1)
    ref = world.submitted()
    assert world.step(world.first(ref)).action is Action.ROLL_OVER
    world.workflow.end(ref, 1)
    world.clock.advance(WATCH_SECONDS + 1)
    world.sweep()
    tip = world.continue_from(world.workflow.input_of(ref, 2))
    assert (tip.state.status, tip.state.restarts) == (TaskStatus.SUCCEEDED, 1)
    assert [r.result.lost for r in world.steps(ref)] == [NO_CHARGE, NO_CHARGE]


def test_steps_and_waits_leave_room_for_retries_in_the_history_of_an_execution() -> None:
    assert 7 * STEPS_PER_EXECUTION + 13 * WAITS_PER_EXECUTION < 25_000 * 0.7


def test_a_failed_task_resumes_with_the_step_that_failed() -> None:
    script: list[Outcome] = [PLAN, ModelRejected("the key is wrong"), READY, says("Here.")]
    answers = iter(script)
    world = World(Agent("helper", "Help.", tools=[look]), chat=lambda _: next(answers))
    ref = world.submitted()
    assert world.run(ref).state.status is TaskStatus.FAILED
    world.announce(Doorbell(ref))
    world.clock.advance(14 * 24 * 3600)
    assert world.resume(ref).state.status is TaskStatus.QUEUED
    assert drained(world)[-1] == Doorbell(ref, 2)
    tip = world.run(ref)
    assert tip.state.status is TaskStatus.SUCCEEDED
    assert [r.result.type for r in world.steps(ref) if r.result.messages] == [
        StepType.PLANNING,
        StepType.TOOL_DISPATCH,
        StepType.FINAL_SYNTHESIS,
    ]
    world.announce(Doorbell(ref))
    assert len({event.id for event in world.sns.delivered}) == 2
    opened = [m.content for m in world.chat.calls[-2].prompt.messages if m.role == "user"]
    assert any((text or "").startswith("[ratchet:act]") for text in opened)


def test_an_end_that_was_resumed_before_anybody_heard_of_it_is_announced_too() -> None:
    world = World(LOOP, chat=[ModelRejected("the key is wrong"), says("Done.")])
    ref = world.submitted()
    world.run(ref)
    world.clock.advance(1)
    world.resume(ref)
    world.announce(Doorbell(ref))
    assert [event.type for event in world.sns.delivered] == ["task.failed"]
    world.run(ref)
    world.announce(Doorbell(ref))
    world.announce(Doorbell(ref))
    assert [event.type for event in world.sns.delivered] == ["task.failed", "task.succeeded"]


def test_an_end_that_nobody_rang_for_is_announced_with_the_next_one() -> None:
    world = World(LOOP, chat=[ModelRejected("the key is wrong"), says("Done.")])
    ref = world.submitted()
    world.run(ref)
    world.clock.advance(1)
    world.resume(ref)
    world.run(ref)
    world.announce(Doorbell(ref))
    assert [event.type for event in world.sns.delivered] == ["task.failed", "task.succeeded"]


def test_resuming_a_task_that_runs_changes_nothing() -> None:
    world = World(LOOP, chat=[ModelRejected("no")])
    ref = world.submitted()
    world.run(ref)
    drained(world)
    first = world.resume(ref)
    assert world.resume(ref) == first
    assert len(drained(world)) == 1


def test_a_task_that_met_a_limit_resumes_with_a_higher_one() -> None:
    world = World(LOOP, chat=lambda _: LOOK)
    ref = world.submitted(limits={"max_steps": 2})
    assert world.run(ref).state.status is TaskStatus.BUDGET_EXCEEDED
    with pytest.raises(InvalidRequest, match="above the agent's own limit"):
        world.resume(ref, ResumeRequest(limits=LimitsRequest(max_steps=100)))
    world.resume(ref, ResumeRequest(limits=LimitsRequest(max_steps=10)))
    assert world.tip(ref).task.limits.max_steps == 10
    world.chat._decide = lambda _: says("Done.")
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED


def test_what_succeeded_or_was_cancelled_cannot_resume() -> None:
    world = World(LOOP, chat=[says("Done.")])
    ref = world.submitted()
    world.run(ref)
    with pytest.raises(TaskNotResumable, match="ended as succeeded"):
        world.resume(ref)
    other = world.submitted()
    world.cancel(other)
    with pytest.raises(TaskNotResumable, match="ended as cancelled"):
        world.resume(other)
    with pytest.raises(TaskNotFound):
        world.resume(TaskRef("globex", ref.task_id))


def test_a_finished_task_is_erased_when_its_retention_is_over() -> None:
    world = World(LOOP, chat=[LOOK, says("Done.")])
    ref = world.submitted()
    world.run(ref)
    world.announce(Doorbell(ref))
    world.clock.advance(TERMINAL_RETENTION_SECONDS - 60)
    world.sweep()
    assert world.read.tip(ref).state.status is TaskStatus.SUCCEEDED
    world.clock.advance(120)
    world.sweep()
    world.sweep()
    with pytest.raises(TaskNotFound):
        world.read.tip(ref)
    assert world.due(before_days=365) == set()


def test_a_task_that_never_starts_ends_at_its_deadline() -> None:
    world = World(LOOP)
    ref = world.submitted(limits={"deadline_seconds": 900})
    for _ in range(25):
        world.clock.advance(RING_AGAIN_SECONDS)
        world.sweep()
    end = world.tip(ref).next
    assert isinstance(end, End)
    assert (end.status, end.failure and end.failure.code) == (TaskStatus.TIMED_OUT, "deadline")
    assert world.outbox.receive() == Doorbell(ref)
    world.dispatch(Doorbell(ref))
    assert world.workflow.executions == {}
