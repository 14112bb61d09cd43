from collections.abc import Callable

import pytest

from ratchet import Agent, ToolContext, tool
from ratchet.contracts.api import ResumeRequest
from ratchet.contracts.errors import (
    InvalidRequest,
    ModelRejected,
    TaskNotResumable,
)
from ratchet.contracts.names import TaskStatus
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import StepRecord
from ratchet.testing.chat import asks, says
from tests.unit.shared.app.test_execute_step import REACT, ended
from tests.unit.shared.app.world import World


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
        class Died(BaseException):
            pass

        def die() -> None:
            raise Died

        effects: list[str] = []
        world = self.world(effects, crash=die)
        ref = world.submitted()
        state = world.first(ref)
        with pytest.raises(Died):
            world.step(state)
        out = world.step(state, attempt=1)
        assert out.status == "failed"
        failure = ended(world, ref).failure
        assert failure is not None
        assert failure.code == "effect_outcome_unknown"
        assert "'pay'" in failure.message
        assert len(effects) == 1

    @pytest.mark.parametrize(
        ("outcome", "told"),
        [("happened", "do not call it again"), ("did_not_happen", "it did not happen")],
    )
    def test_a_person_says_what_happened_and_the_agent_is_told(
        self, outcome: str, told: str
    ) -> None:
        class Died(BaseException):
            pass

        def die() -> None:
            raise Died

        effects: list[str] = []
        world = self.world(effects, crash=die)
        ref = world.submitted()
        state = world.first(ref)
        with pytest.raises(Died):
            world.step(state)
        world.step(state, attempt=1)
        with pytest.raises(InvalidRequest, match="effect_outcome: say `happened`"):
            world.resume(ref)
        world.resume(ref, ResumeRequest.model_validate({"effect_outcome": outcome}))
        assert world.run(ref).state.status is TaskStatus.SUCCEEDED
        heard = [m.content or "" for m in world.chat.calls[-1].prompt.messages]
        assert told in heard[-1]
        assert len(effects) == 1
        with pytest.raises(TaskNotResumable):
            world.resume(ref)

    @pytest.mark.parametrize("error", [TimeoutError("no answer"), ConnectionResetError()])
    def test_an_unsafe_call_that_gets_no_answer_is_left_to_a_person(self, error: OSError) -> None:
        def hang() -> None:
            raise error

        effects: list[str] = []
        world = self.world(effects, crash=hang)
        ref = world.submitted()
        world.run(ref)
        failure = ended(world, ref).failure
        assert failure is not None
        assert failure.code == "effect_outcome_unknown"
        assert len(effects) == 1

    def test_what_else_the_step_did_is_kept_when_one_outcome_is_unknown(self) -> None:
        class Died(BaseException):
            pass

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
        world.step(state, attempt=1)
        assert effects == [1, 2]
        said = [m.content or "" for m in world.steps(ref)[0].result.messages]
        assert said[1] == "paid 1"
        assert "not known" in said[2]
        assert "not called" in said[3]


def test_an_outcome_that_nobody_asked_for_is_refused() -> None:
    world = World(REACT, chat=[ModelRejected("no")])
    ref = world.submitted()
    world.run(ref)
    with pytest.raises(InvalidRequest, match="leave it out"):
        world.resume(ref, ResumeRequest(effect_outcome="happened"))
