"""Forking a task: what the fork inherits, what it does itself, and what it leaves alone."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from ratchet import Agent, ToolContext, tool
from ratchet.app.task_views import task_view, timeline_view
from ratchet.contracts.errors import ModelRejected
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import Complexity, StepType, TaskStatus
from ratchet.contracts.request_errors import InvalidRequest, TaskNotForkable, TaskNotFound
from ratchet.contracts.task_api import ForkRequest, ParentView
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.steps import End, Paused, Step
from ratchet.domain.task import Fork, Task, erase_at
from ratchet.model_ports import ModelCall
from ratchet.testing.chat import Outcome, asks, says
from tests.unit.shared.app.test_execute_step import HELPER, PLAN, READY, look_call
from tests.unit.shared.app.world import World

SCRIPT = [PLAN, asks(look_call()), asks(look_call("there", "c2")), READY, says("Here.")]


def request(**fields: Any) -> ForkRequest:
    return ForkRequest.model_validate(fields)


def forked(world: World, parent: TaskRef, **fields: Any) -> Task:
    return world.fork(parent, request(**fields)).task


def finished(*more: Outcome) -> tuple[World, TaskRef]:
    """A task of five steps: plan, look, look, ready, answer; then the models say more."""
    world = World(HELPER, chat=[*SCRIPT, *more])
    ref = world.submitted(user_id="ann", webhook={"url": "https://example.com/h"})
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED
    return world, ref


def prompts(calls: Iterable[ModelCall]) -> list[list[str]]:
    return [[json.dumps(m.to_chat()) for m in call.prompt.messages] for call in calls]


@pytest.mark.parametrize("step", range(1, 5))
def test_the_first_prompt_of_a_fork_is_the_one_that_followed_in_the_parent(step: int) -> None:
    world, parent = finished(*SCRIPT[step:])
    before = prompts(world.chat.calls)
    task = forked(world, parent, step=step)
    world.run(task.ref)
    after = prompts(world.chat.calls[len(before) :])
    assert after == before[step:]
    assert [c.prompt.cache_key for c in world.chat.calls] == ["helper:" + HELPER.version] * (
        len(before) + len(after)
    )


def test_a_fork_goes_on_from_its_step_and_counts_from_there() -> None:
    world, parent = finished(asks(look_call("elsewhere", "c3")), READY, says("Elsewhere."))
    world.clock.advance(600)
    task = forked(world, parent, step=2, limits={"max_steps": 3}, metadata={"try": "2"})
    assert world.tip(task.ref).state.status is TaskStatus.QUEUED
    assert world.tip(task.ref).totals.steps == 0
    tip = world.run(task.ref)

    assert isinstance(tip.next, End)
    assert (tip.next.status, tip.next.output) == (TaskStatus.SUCCEEDED, "Elsewhere.")
    assert [r.number for r in world.steps(task.ref)] == [1, 2, 3]
    assert (tip.totals.steps, tip.totals.usage.input_tokens) == (3, 300)
    assert tip.totals.cost_microusd == sum(r.result.cost_microusd for r in world.steps(task.ref))
    assert (task.goal, task.user_id, task.metadata) == ("Find the answer.", "ann", {"try": "2"})
    assert (task.limits.max_steps, task.webhook_url) == (3, None)
    assert task.created_at_ms == world.clock.now_ms()


def test_a_fork_rings_and_says_where_it_comes_from() -> None:
    world, parent = finished()
    while world.inbox.receive() is not None:
        pass
    task = forked(world, parent, step=2)
    assert world.inbox.receive() == Doorbell(task.ref)
    history = world.read.timeline(task.ref)
    came_from = ParentView(task_id=parent.task_id, step=2)
    assert task_view(history).parent == timeline_view(history).parent == came_from
    assert task_view(world.tip(parent)).parent is None


@pytest.mark.parametrize("step", [None, 5])
def test_a_step_that_ended_the_task_is_done_again(step: int | None) -> None:
    world, parent = finished(says("Once more."))
    task = forked(world, parent, step=step)
    assert task.fork is not None
    assert task.fork.step == 4
    assert task.first_step == Step(StepType.FINAL_SYNTHESIS, Complexity.SIMPLE)
    world.run(task.ref)
    (step_,) = world.steps(task.ref)
    assert (step_.result.type, step_.result.answer) == (StepType.FINAL_SYNTHESIS, "Once more.")


def test_from_step_0_a_fork_is_the_task_anew() -> None:
    world, parent = finished(*SCRIPT)
    before = prompts(world.chat.calls)
    task = forked(world, parent, step=0)
    assert task.fork == Fork(parent.task_id, 0)
    world.run(task.ref)
    assert prompts(world.chat.calls[len(before) :]) == before


def test_one_model_does_every_step_and_nothing_stands_in_for_it() -> None:
    bad = asks(ToolCall("c9", "nonsense", "{}"))
    world, parent = finished(bad, READY, says("Here."))
    task = forked(world, parent, step=3, model="gpt-4.1")
    world.run(task.ref)
    steps = world.steps(task.ref)
    assert [r.result.model for r in steps] == ["gpt-4.1", "gpt-4.1"]
    assert [r.result.reason for r in steps] == ["task's own model; repair 1", "task's own model"]
    assert steps[1].result.route == "final_synthesis simple"


def test_with_a_model_of_its_own_a_task_does_not_escalate() -> None:
    bad = asks(ToolCall("c9", "nonsense", "{}"))
    world, parent = finished(bad, bad, bad)
    task = forked(world, parent, step=3, model="gpt-4.1")
    tip = world.run(task.ref)
    assert isinstance(tip.next, End)
    assert tip.next.failure is not None
    assert tip.next.failure.code == "model_output"
    assert "the answers of gpt-4.1 stayed unusable" in tip.next.failure.message
    assert {call.model for call in world.chat.calls[5:]} == {"gpt-4.1"}


def test_a_fork_of_a_fork_keeps_its_model_unless_told_otherwise() -> None:
    world, parent = finished()
    first = forked(world, parent, step=2, model="gpt-4.1")
    assert forked(world, first.ref).model == "gpt-4.1"
    assert forked(world, first.ref, model="o3").model == "o3"


def test_an_instruction_is_said_after_the_step() -> None:
    world, parent = finished(says("Hier."))
    task = forked(world, parent, step=4, instruction="Answer in German.")
    world.run(task.ref)
    before, after = prompts(world.chat.calls)[-2:]
    said = Message("user", "[ratchet:fork] Answer in German.").to_chat()
    assert after == [*before[:-1], json.dumps(said), before[-1]]


def test_an_instruction_is_no_work_that_a_policy_counts() -> None:
    world, parent = finished(*SCRIPT)
    task = forked(world, parent, step=0, instruction="Be quick.")
    assert task.first_step.type is StepType.PLANNING
    world.run(task.ref)
    assert [r.result.type for r in world.steps(task.ref)] == [
        r.result.type for r in world.steps(parent)
    ]


def test_a_tool_may_have_answered_something_else() -> None:
    world, parent = finished(READY, says("Gone."))
    task = forked(world, parent, step=3, tool_answers={"c1": "nothing there", "c2": ""})
    world.run(task.ref)
    told = world.chat.calls[-1].prompt.messages
    assert [m.content for m in told if m.role == "tool"] == ["nothing there", ""]
    assert [m.content for m in world.chat.calls[4].prompt.messages if m.role == "tool"] == [
        "saw here",
        "saw there",
    ]


def test_a_running_task_is_forked_from_what_it_has_committed() -> None:
    world = World(HELPER, chat=[PLAN, asks(look_call()), READY, says("Fork."), *SCRIPT[2:]])
    parent = world.submitted()
    state = world.step(world.step(world.first(parent)))
    task = forked(world, parent)
    assert task.fork is not None
    assert task.fork.step == 2
    assert world.run(task.ref).next == End(TaskStatus.SUCCEEDED, output="Fork.")
    assert world.continue_from(state).next == End(TaskStatus.SUCCEEDED, output="Here.")


def test_a_queued_task_can_only_be_forked_from_its_beginning() -> None:
    world = World(HELPER, chat=SCRIPT)
    parent = world.submitted()
    assert forked(world, parent).fork == Fork(parent.task_id, 0)
    with pytest.raises(InvalidRequest, match=r"choose one from 0 \(its beginning\) to 0"):
        forked(world, parent, step=1)


def test_a_cancelled_task_goes_on_in_its_fork() -> None:
    world = World(HELPER, chat=SCRIPT)
    parent = world.submitted()
    world.step(world.step(world.first(parent)))
    world.cancel(parent)
    task = forked(world, parent)
    assert task.fork is not None
    assert task.fork.step == 2
    assert world.run(task.ref).state.status is TaskStatus.SUCCEEDED
    assert world.tip(parent).state.status is TaskStatus.CANCELLED


def test_a_failed_step_is_done_again_by_another_model() -> None:
    world = World(HELPER, chat=[*SCRIPT[:2], *[ModelRejected("no")], *SCRIPT[2:]])
    parent = world.submitted()
    assert world.run(parent).state.status is TaskStatus.FAILED
    task = forked(world, parent, model="gpt-4.1")
    assert world.run(task.ref).state.status is TaskStatus.SUCCEEDED


def test_a_resumed_task_is_forked_past_its_failure() -> None:
    world = World(HELPER, chat=[*SCRIPT[:2], *[ModelRejected("no")], *SCRIPT[2:], says("Again.")])
    parent = world.submitted()
    world.run(parent)
    world.resume(parent)
    assert world.run(parent).state.status is TaskStatus.SUCCEEDED
    task = forked(world, parent)
    assert task.fork is not None
    assert [len(r.messages) > 0 for r in task.fork.inherited] == [True] * 4
    assert world.run(task.ref).next == End(TaskStatus.SUCCEEDED, output="Again.")


def test_a_fork_of_a_fork_inherits_what_both_did() -> None:
    world, parent = finished(asks(look_call("elsewhere", "c3")), READY, says("1"), says("2"))
    first = forked(world, parent, step=2)
    world.run(first.ref)
    second = forked(world, first.ref, step=2, instruction="Shorter.")
    assert second.fork is not None
    assert (second.fork.parent_task_id, second.fork.step) == (first.ref.task_id, 2)
    world.run(second.ref)
    told = [m.content for m in world.chat.calls[-1].prompt.messages if m.role == "tool"]
    assert told == ["saw here", "saw elsewhere"]
    assert forked(world, first.ref, step=0).fork == Fork(
        first.ref.task_id, 0, first.fork.inherited if first.fork else ()
    )


def test_a_fork_outlives_its_parent() -> None:
    world, parent = finished(*SCRIPT[2:])
    task = forked(world, parent, step=2)
    world.clock.advance((erase_at(world.steps(parent)[-1]) - world.clock.now_ms()) / 1000)
    assert world.store.erase(parent) > 0
    world.resume(task.ref)
    reopened = world.memory.load(task.ref)
    assert reopened is not None
    assert reopened.messages
    with pytest.raises(TaskNotFound):
        forked(world, parent)


def test_what_a_task_had_is_its_partial_result_also_when_it_inherited_it() -> None:
    world, parent = finished()
    task = forked(world, parent, step=4, limits={"max_cost_usd": 0.000001})
    tip = world.run(task.ref)
    assert isinstance(tip.next, End)
    assert (tip.next.status, tip.next.output) == (
        TaskStatus.BUDGET_EXCEEDED,
        {"partial": "I have what I need."},
    )


class TestUnsafeTools:
    def world(self, paid: list[str], *, unknown: bool = False) -> World:
        @tool(effect="unsafe")
        def pay(amount: int, context: ToolContext) -> str:
            """Pay."""
            paid.append(context.idempotency_key)
            if unknown and len(paid) == 1:
                raise TimeoutError("no answer")
            return f"paid {amount}"

        def script(call: ModelCall) -> Outcome:
            done = sum(m.role == "tool" for m in call.prompt.messages)
            return asks(ToolCall(f"c{done}", "pay", '{"amount":5}')) if done < 2 else says("Done.")

        return World(Agent("payer", "Pay.", tools=[pay], policy="react"), chat=script)

    def test_inherited_effects_are_not_repeated_and_later_ones_are_the_forks_own(self) -> None:
        paid: list[str] = []
        world = self.world(paid)
        parent = world.submitted()
        world.run(parent)
        assert len(paid) == 2
        world.run(forked(world, parent, step=2).ref)
        assert len(paid) == 2
        world.run(forked(world, parent, step=1).ref)
        assert len(set(paid)) == len(paid) == 3

    def test_nothing_goes_on_from_a_call_that_may_have_happened(self) -> None:
        paid: list[str] = []
        world = self.world(paid, unknown=True)
        parent = world.submitted()
        paused = world.run(parent).next
        assert isinstance(paused, Paused)
        for step in (None, 1):
            with pytest.raises(TaskNotForkable, match="step 1 waits for the result"):
                forked(world, parent, step=step)
        assert forked(world, parent, step=0).fork == Fork(parent.task_id, 0)
        answer = DecisionRequest(answer="did_not_happen")
        world.decide(parent, paused.interrupts[0].id, answer)
        fork = forked(world, parent).fork
        assert fork is not None
        assert "did not happen" in (fork.inherited[-1].messages[-1].content or "")

    def test_nothing_goes_on_from_a_question_that_was_refused(self) -> None:
        world = self.world([], unknown=True)
        parent = world.submitted()
        paused = world.run(parent).next
        assert isinstance(paused, Paused)
        world.decide(parent, paused.interrupts[0].id, DecisionRequest(answer="abort"))
        with pytest.raises(TaskNotForkable, match="of step 2 happened is not known"):
            forked(world, parent)
