"""Unsafe tools: called at most once, whatever dies when."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from ratchet import Agent, ToolContext, tool
from ratchet.contracts.errors import AttemptLost, ModelRejected
from ratchet.contracts.limits import CLOCK_MARGIN_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Action, TaskStatus
from ratchet.contracts.request_errors import InvalidRequest, TaskNotResumable
from ratchet.contracts.task_api import ResumeRequest
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import Paused, StepRecord
from ratchet.ports import Intent
from ratchet.testing.chat import asks, says
from tests.unit.shared.app.test_execute_step import REACT, ended
from tests.unit.shared.app.world import World


class Died(BaseException):
    """The sandbox is gone."""


def die() -> None:
    raise Died


def _dies(*_: object, **__: object) -> StepRecord:
    raise Died


class TestUnsafeTools:
    def world(self, effects: list[str], *, crash: Callable[[], None] | None = None) -> World:
        @tool(effect="unsafe")
        def pay(amount: int, context: ToolContext) -> str:
            """Pay."""
            effects.append(f"{amount}:{context.idempotency_key}")
            if crash is not None:
                crash()
            return f"paid {amount}"

        call = asks(ToolCall("c1", "pay", '{"amount":5}'))
        script = [call, says("Done.")]
        world = World(Agent("payer", "Pay.", tools=[pay], policy="react"))
        world.chat._decide = lambda c: script[sum(m.role == "tool" for m in c.prompt.messages)]
        return world

    def test_an_unsafe_tool_runs_once_and_its_result_is_kept(self) -> None:
        effects: list[str] = []
        world = self.world(effects)
        ref = world.submitted()
        assert world.run(ref).state.status is TaskStatus.SUCCEEDED
        assert len(effects) == 1
        assert world.steps(ref)[0].result.messages[-1].content == "paid 5"

    def test_a_result_whose_checkpoint_was_lost_is_used_again(self) -> None:
        effects: list[str] = []
        world = self.world(effects)
        ref = world.submitted()
        state = world.first(ref)
        commit = world.store.commit

        def lost(*_: object, **__: object) -> StepRecord:
            raise RuntimeError("the sandbox died before its checkpoint")

        world.store.commit = lost  # type: ignore[method-assign]
        with pytest.raises(RuntimeError):
            world.step(state)
        world.store.commit = commit  # type: ignore[method-assign]
        world.step(state, attempt=1)
        assert len(effects) == 1
        assert world.steps(ref)[0].result.messages[-1].content == "paid 5"

    def test_an_unknown_outcome_is_never_guessed(self) -> None:
        effects: list[str] = []
        world = self.world(effects, crash=die)
        ref = world.submitted()
        state = world.first(ref)
        with pytest.raises(Died):
            world.step(state)
        waiting = world.step(state, attempt=1)
        assert waiting.action is Action.WAIT
        assert waiting.wait_seconds == 300 + CLOCK_MARGIN_SECONDS
        tip = world.continue_from(waiting)
        assert tip.state.status is TaskStatus.INPUT_REQUIRED
        assert isinstance(tip.next, Paused)
        (asked,) = tip.next.interrupts
        assert "'pay'" in asked.question
        assert set(asked.choices) == {"happened", "did_not_happen", "abort"}
        assert len(effects) == 1

    def test_the_next_attempt_does_what_the_one_before_was_about_to_do(self) -> None:
        """Its effects are part of the task, so nobody asks the model again for something else."""
        effects: list[str] = []
        world = self.world(effects, crash=die)
        ref = world.submitted()
        state = world.first(ref)
        with pytest.raises(Died):
            world.step(state)
        world.chat._decide = lambda _: says("I changed my mind.")
        world.continue_from(world.step(state, attempt=1))
        (record,) = world.steps(ref)
        assert record.result.messages[0].tool_calls[0].name == "pay"
        assert record.result.cost_microusd > 0
        assert len(world.chat.calls) == 1

    @pytest.mark.parametrize("error", [TimeoutError("no answer"), ConnectionResetError()])
    def test_an_unsafe_call_that_gets_no_answer_is_left_to_a_person(self, error: OSError) -> None:
        def hang() -> None:
            raise error

        effects: list[str] = []
        world = self.world(effects, crash=hang)
        assert world.run(world.submitted()).state.status is TaskStatus.INPUT_REQUIRED
        assert len(effects) == 1

    def test_what_else_the_step_did_is_kept_when_one_outcome_is_unknown(self) -> None:
        effects: list[int] = []

        @tool(effect="unsafe")
        def pay(amount: int) -> str:
            effects.append(amount)
            if amount == 2:
                raise Died
            return f"paid {amount}"

        calls = [ToolCall(f"c{i}", "pay", f'{{"amount":{i}}}') for i in (1, 2, 3)]
        world = World(Agent("payer", "Pay.", tools=[pay], policy="react"))
        world.chat._decide = lambda _: asks(*calls)
        ref = world.submitted()
        state = world.first(ref)
        with pytest.raises(Died):
            world.step(state)
        world.continue_from(world.step(state, attempt=1))
        assert effects == [1, 2]
        said = {m.tool_call_id: m.content or "" for m in world.steps(ref)[0].result.messages}
        assert said["c1"] == "paid 1"
        assert "c2" not in said
        assert "not called" in said["c3"]

    def test_a_zombie_begins_no_effect_of_a_committed_step(self) -> None:
        effects: list[str] = []
        world = self.world(effects)
        ref = world.submitted()
        state = world.first(ref)
        begin = world.store.begin_effect

        def overtaken(*args: Any, **kwargs: Any) -> Intent:
            world.store.begin_effect = begin  # type: ignore[method-assign]
            world.cancel(ref)
            return begin(*args, **kwargs)

        world.store.begin_effect = overtaken  # type: ignore[method-assign]
        with pytest.raises(AttemptLost, match="AttemptSuperseded"):
            world.step(state)
        assert effects == []

    def test_an_agent_that_changed_between_two_attempts_does_not_guess(self) -> None:
        effects: list[str] = []
        world = self.world(effects, crash=die)
        ref = world.submitted()
        state = world.first(ref)
        with pytest.raises(Died):
            world.step(state)
        world.registry._agents["payer"] = Agent("payer", "Pay.", policy="react")
        world.step(state, attempt=1)
        failure = ended(world, ref).failure
        assert failure is not None
        assert failure.code == "effect_outcome_unknown"
        assert "pay(" in failure.message


class TestResumedAfterLostEffects:
    """A task that ended while an attempt at its step had begun effects, which no step tells of."""

    def world(self, effects: list[str], *, crash: Callable[[], None]) -> tuple[World, TaskRef]:
        world = TestUnsafeTools().world(effects, crash=crash)
        ref = world.submitted()
        state = world.first(ref)
        with pytest.raises(Died):
            world.step(state)
        world.step(state, failure="Lambda.Unknown")
        assert ended(world, ref).status is TaskStatus.FAILED
        return world, ref

    def test_resume_waits_until_the_attempt_must_be_dead_and_then_asks(self) -> None:
        effects: list[str] = []
        world, ref = self.world(effects, crash=die)
        with pytest.raises(TaskNotResumable, match="in 900 s"):
            world.resume(ref)
        world.clock.advance(901)
        with pytest.raises(InvalidRequest, match=r"effect_outcomes: say .* pay\(") as asked:
            world.resume(ref)
        (id_,) = re.findall(r"int_\w+", str(asked.value))
        with pytest.raises(InvalidRequest, match="nothing is asked about int_0"):
            world.resume(ref, ResumeRequest(effect_outcomes={id_: "happened", "int_0": "happened"}))
        world.resume(ref, ResumeRequest(effect_outcomes={id_: "happened"}))
        world.chat._decide = lambda _: says("Done.")
        assert world.run(ref).state.status is TaskStatus.SUCCEEDED
        heard = [m.content or "" for m in world.chat.calls[-1].prompt.messages]
        assert any("it happened, so do not call it again" in text for text in heard)
        assert len(effects) == 1

    def test_a_known_result_is_told_without_asking(self) -> None:
        effects: list[str] = []
        world = TestUnsafeTools().world(effects)
        ref = world.submitted()
        state = world.first(ref)
        commit, world.store.commit = world.store.commit, _dies  # type: ignore[method-assign]
        with pytest.raises(Died):
            world.step(state)
        world.store.commit = commit  # type: ignore[method-assign]
        world.step(state, failure="Lambda.Unknown")
        world.chat._decide = lambda _: says("Done.")
        world.resume(ref)
        assert world.run(ref).state.status is TaskStatus.SUCCEEDED
        heard = [m.content or "" for m in world.chat.calls[-1].prompt.messages]
        assert any("called before the task ended: pay(" in text for text in heard)


class TestVerify:
    """A tool that can say what became of a call needs no person."""

    def world(self, paid: list[int], verify: Callable[[int], str | None]) -> World:
        @tool(effect="unsafe", verify=verify)
        def pay(amount: int) -> str:
            """Pay."""
            paid.append(amount)
            if len(paid) == 1:
                raise Died
            return f"paid {amount}"

        call = asks(ToolCall("c1", "pay", '{"amount":5}'))
        script = [call, says("Done.")]
        world = World(Agent("payer", "Pay.", tools=[pay], policy="react"))
        world.chat._decide = lambda c: script[sum(m.role == "tool" for m in c.prompt.messages)]
        return world

    def crashed(self, world: World) -> tuple[TaskRef, str]:
        ref = world.submitted()
        state = world.first(ref)
        with pytest.raises(Died):
            world.step(state)
        tip = world.continue_from(world.step(state, attempt=1))
        heard = [m.content or "" for m in world.steps(ref)[0].result.messages]
        return ref, heard[-1] if tip.state.status is TaskStatus.SUCCEEDED else "paused"

    def test_a_call_that_happened_is_not_made_again(self) -> None:
        paid: list[int] = []
        world = self.world(paid, lambda amount: f"paid {amount}, says the bank")
        assert self.crashed(world)[1] == "paid 5, says the bank"
        assert paid == [5]

    def test_a_call_that_did_not_happen_is_made(self) -> None:
        paid: list[int] = []
        world = self.world(paid, lambda amount: None)
        assert self.crashed(world)[1] == "paid 5"
        assert paid == [5, 5]  # the first one died before the bank heard of it

    def test_a_person_is_asked_when_it_cannot_tell(self) -> None:
        def offline(amount: int) -> str | None:
            raise ConnectionError("the bank is offline")

        paid: list[int] = []
        assert self.crashed(self.world(paid, offline))[1] == "paused"
        assert paid == [5]

    def test_a_timeout_is_verified_at_once_and_not_called_again(self) -> None:
        @tool(effect="unsafe", verify=lambda amount: None)
        def pay(amount: int) -> str:
            """Pay."""
            raise TimeoutError

        script = [asks(ToolCall("c1", "pay", '{"amount":5}')), says("It failed.")]
        world = World(Agent("payer", "Pay.", tools=[pay], policy="react"))
        world.chat._decide = lambda c: script[sum(m.role == "tool" for m in c.prompt.messages)]
        ref = world.submitted()
        assert world.run(ref).state.status is TaskStatus.SUCCEEDED
        assert "has not happened" in (world.steps(ref)[0].result.messages[-1].content or "")

    def test_only_unsafe_tools_take_it(self) -> None:
        with pytest.raises(TypeError, match="unsafe"):

            @tool(effect="read", verify=lambda: None)
            def look() -> str:
                return ""


def test_an_outcome_that_nobody_asked_for_is_refused() -> None:
    world = World(REACT, chat=[ModelRejected("no")])
    ref = world.submitted()
    world.run(ref)
    with pytest.raises(InvalidRequest, match="leave it out"):
        world.resume(ref, ResumeRequest(effect_outcomes={"int_0": "happened"}))
