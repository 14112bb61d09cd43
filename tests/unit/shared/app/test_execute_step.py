import hashlib
import itertools
import json
from typing import Any

import pytest
from pydantic import BaseModel

from ratchet import Agent, Limits, tool
from ratchet.contracts.errors import (
    ContextOverflow,
    ModelRejected,
    ModelThrottled,
    ModelUnavailable,
    TimeTooShort,
)
from ratchet.contracts.messages import Route, StepInput, StepOutput, StepRef, TaskRef
from ratchet.contracts.names import Action, Complexity, StepType, TaskStatus
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.steps import End
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import asks, says
from tests.unit.shared.app.world import World

PLAN = says(json.dumps({"plan": ["look"], "complexity": "simple"}))
READY = says("I have what I need.")


class Answer(BaseModel):
    answer: str


@tool(effect="read")
def look(where: str) -> str:
    """Look somewhere."""
    if where == "nowhere":
        raise LookupError("there is nothing there")
    return f"saw {where}"


HELPER = Agent("helper", "Help.", tools=[look])
REACT = Agent("loop", "Help.", tools=[look], policy="react")


def look_call(where: str = "here", id_: str = "c1") -> ToolCall:
    return ToolCall(id_, "look", json.dumps({"where": where}))


def ended(world: World, ref: TaskRef) -> End:
    end = world.tip(ref).next
    assert isinstance(end, End)
    return end


def test_a_task_runs_through_every_step_type_with_the_model_of_its_route() -> None:
    failing = asks(look_call("nowhere"))
    script = [PLAN, failing, says("It was not there."), asks(look_call()), READY, says("Here.")]
    world = World(HELPER, chat=script)
    ref = world.submitted()
    tip = world.run(ref)

    assert [(r.result.type, r.result.model) for r in world.steps(ref)] == [
        (StepType.PLANNING, "o3-mini"),
        (StepType.TOOL_DISPATCH, "gpt-4o-mini"),
        (StepType.REASONING, "gpt-4o-mini"),
        (StepType.TOOL_DISPATCH, "gpt-4o-mini"),
        (StepType.TOOL_DISPATCH, "gpt-4o-mini"),
        (StepType.FINAL_SYNTHESIS, "gpt-4o"),
    ]
    assert tip.state.status is TaskStatus.SUCCEEDED
    assert ended(world, ref).output == "Here."
    assert tip.totals.cost_microusd == sum(r.result.cost_microusd for r in world.steps(ref))
    assert tip.totals.usage.total_tokens == 6 * 120


def test_each_prompt_begins_with_the_one_before() -> None:
    world = World(HELPER, chat=[PLAN, asks(look_call()), asks(look_call()), READY, says("Here.")])
    world.run(world.submitted())
    prompts = [[m.to_chat() for m in call.prompt.messages] for call in world.chat.calls]
    for before, after in itertools.pairwise(prompts):
        assert after[: len(before)] == before


def test_a_committed_step_is_answered_from_its_record() -> None:
    world = World(HELPER, chat=[PLAN])
    ref = world.submitted()
    state = world.first(ref)
    first = world.step(state)
    assert world.step(state) == first
    assert len(world.chat.calls) == 1
    assert len(world.metrics.steps) == 1


def test_the_loser_of_a_race_adopts_the_winners_outcome() -> None:
    world = World(HELPER, chat=[])
    ref = world.submitted()
    state = world.first(ref)
    outcomes: list[StepOutput] = []

    def answer(_: ModelCall) -> ModelAnswer:
        if not outcomes:  # while the first attempt waits for its model, a second one overtakes it
            outcomes.append(StepOutput(ref, Action.STEP, state.step))
            outcomes[0] = world.step(state, attempt=1)
            return says(json.dumps({"plan": ["late"], "complexity": "complex"}))
        return PLAN

    world.chat._decide = answer
    late = world.step(state)
    assert late == outcomes[0]
    assert late.step.complexity is Complexity.SIMPLE
    assert [r.attempt for r in world.steps(ref)] == [1]
    assert len(world.metrics.steps) == 1


def test_a_warm_sandbox_does_not_read_what_it_knows() -> None:
    world = World(HELPER, chat=[PLAN, READY, says("Here.")])
    reads: list[int] = []
    load = world.store.load

    def counted(ref: TaskRef, *, after: int = 0) -> Any:
        reads.append(after)
        return load(ref, after=after)

    world.store.load = counted  # type: ignore[method-assign]
    world.run(world.submitted(), executor=world.executor())
    assert reads == [0]
    reads.clear()
    script = iter([PLAN, READY, says("Here.")])
    world.chat._decide = lambda _: next(script)
    world.run(world.submitted())
    assert reads == [0, 0, 0]


def test_a_retry_reads_only_the_steps_it_lacks() -> None:
    world = World(HELPER, chat=[PLAN, READY, says("Here.")])
    ref = world.submitted()
    executor = world.executor()
    second = world.step(world.first(ref), executor=executor)
    third = world.step(second)  # another sandbox
    final = world.step(third, executor=executor)
    assert final.action is Action.FINISH
    assert len(world.chat.calls) == 3


@pytest.mark.parametrize(
    ("bad", "says_to_model"),
    [
        (asks(ToolCall("c1", "rm_rf", "{}")), "there is no tool 'rm_rf'; the tools are: look"),
        (asks(ToolCall("c1", "look", "{")), "invalid arguments for look"),
        (asks(ToolCall("c1", "look", '{"where":"x","tenant":"evil"}')), "tenant"),
        (asks(*[look_call(id_=f"c{i}") for i in range(17)]), "at most 16 tool calls"),
        (says(""), "empty"),
        (says("cut", finish_reason="length"), "cut off"),
    ],
    ids=["unknown tool", "broken JSON", "extra argument", "too many", "empty", "truncated"],
)
def test_bad_output_goes_back_to_the_model_and_is_not_kept(
    bad: ModelAnswer, says_to_model: str
) -> None:
    world = World(REACT, chat=[bad, says("Fine.")])
    ref = world.submitted()
    world.run(ref)
    (record,) = world.steps(ref)
    assert record.result.answer == "Fine."
    assert record.result.reason == "preferred; repair 1"
    assert record.result.usage == Usage(200, 0, 40)
    feedback = [m.content or "" for m in world.chat.calls[1].prompt.messages]
    assert says_to_model in " ".join(feedback)
    assert len(record.result.messages) == 1


def test_after_two_repairs_the_step_escalates_once_and_then_fails_with_what_it_cost() -> None:
    world = World(REACT, chat=lambda _: asks(ToolCall("c1", "nope", "{}")))
    ref = world.submitted()
    world.run(ref)
    end = ended(world, ref)
    assert [c.model for c in world.chat.calls] == ["gpt-4o-mini"] * 3 + ["gpt-4o"]
    assert end.status is TaskStatus.FAILED
    assert end.failure is not None
    assert end.failure.code == "model_output"
    assert "there is no tool 'nope'" in end.failure.message
    assert world.tip(ref).totals.usage.total_tokens == 480


def test_an_escalation_that_helps_is_recorded_as_the_reason() -> None:
    world = World(REACT, chat=[says(""), says(""), says(""), says("Big model's answer.")])
    ref = world.submitted()
    world.run(ref)
    assert world.steps(ref)[0].result.model == "gpt-4o"
    assert "escalated" in world.steps(ref)[0].result.reason


def test_a_structured_answer_must_fit_its_schema() -> None:
    agent = Agent("typed", "Help.", output=Answer, policy="react")
    good = says('```json\n{"answer": "42"}\n```')
    world = World(agent, chat=[READY, says('{"reply": 1}'), good])
    ref = world.submitted()
    world.run(ref)
    assert ended(world, ref).output == {"answer": "42"}
    retry = world.chat.calls[-1].prompt.messages[-1].content or ""
    assert "answer: Field required" in retry


class Sum(BaseModel):
    dollars: float


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_result_that_no_json_can_say_is_asked_for_again(number: str) -> None:
    agent = Agent("sums", "Add up.", output=Sum, policy="react")
    bad, good = says(f'{{"dollars": {number}}}'), says('{"dollars": 4.5}')
    world = World(agent, chat=[READY, bad, good])
    ref = world.submitted()
    world.run(ref)
    world.announce_all(ref)
    assert ended(world, ref).output == {"dollars": 4.5}
    retry = world.chat.calls[-1].prompt.messages[-1].content or ""
    assert f"{number} is not a finite number" in retry


@pytest.mark.parametrize(
    "refusal",
    [
        ModelAnswer(None, (), "stop", Usage(10, 0, 1), refusal="I cannot help with that."),
        ModelAnswer("...", (), "content_filter", Usage(10, 0, 1)),
    ],
)
def test_a_refusal_is_an_outcome_not_a_retry(refusal: ModelAnswer) -> None:
    world = World(REACT, chat=[refusal])
    ref = world.submitted()
    world.run(ref)
    failure = ended(world, ref).failure
    assert failure is not None
    assert failure.code == "model_refused"
    assert len(world.chat.calls) == 1


def test_a_plan_in_prose_is_taken_as_a_simple_one() -> None:
    world = World(HELPER, chat=[says("First I look."), READY, says("Here.")])
    ref = world.submitted()
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED
    assert world.steps(ref)[0].result.rating is Complexity.SIMPLE


def test_a_throttled_model_parks_the_step_for_as_long_as_the_provider_asks() -> None:
    world = World(REACT, chat=[ModelThrottled("slow down", 17.2), says("Fine.")])
    ref = world.submitted()
    waiting = world.step(world.first(ref))
    assert waiting.action is Action.WAIT
    assert waiting.wait_seconds == 18
    assert waiting.step.waits == 1
    assert world.steps(ref) == ()
    assert world.step(waiting).action is Action.FINISH


def test_throttling_is_waited_out_until_the_deadline() -> None:
    agent = Agent("loop", "x", policy="react", limits=Limits(deadline_seconds=600))
    world = World(agent, chat=lambda _: ModelThrottled("slow down"))
    ref = world.submitted()
    world.run(ref)
    end = ended(world, ref)
    assert end.status is TaskStatus.TIMED_OUT
    assert end.failure is not None
    assert end.failure.code == "deadline"


def test_an_outage_is_waited_out_for_the_patience_and_then_named() -> None:
    world = World(REACT, chat=lambda _: ModelUnavailable("model.test refused the connection"))
    ref = world.submitted()
    world.run(ref)
    failure = ended(world, ref).failure
    assert failure is not None
    assert failure.code == "model_unavailable"
    assert "model.test" in failure.message
    assert len(world.chat.calls) == 5  # at 0, 2, 6, 14 and 30 seconds


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelRejected("the key is wrong"), "model_rejected"),
        (ContextOverflow("too long"), "context_overflow"),
    ],
)
def test_what_waiting_cannot_mend_fails_at_once(
    error: ModelRejected | ContextOverflow, code: str
) -> None:
    world = World(REACT, chat=[error])
    ref = world.submitted()
    world.run(ref)
    failure = ended(world, ref).failure
    assert failure is not None
    assert failure.code == code


def test_failover_follows_the_route_in_order() -> None:
    world = World(REACT, chat=[ModelUnavailable("down"), says("Fine.")])
    ref = world.submitted()
    state = world.first(ref)
    route = Route("tool_dispatch simple", ("gpt-4o-mini", "gpt-4o"))
    event = StepInput(ref, state.step, route)
    assert world.executor()(event, remaining_seconds=lambda: 300).action is Action.FINISH
    result = world.steps(ref)[0].result
    assert (result.model, result.reason) == ("gpt-4o", "failover from gpt-4o-mini")


def test_a_model_that_may_recover_outweighs_one_that_will_not() -> None:
    world = World(REACT, chat=[ModelThrottled("slow down", 3), ModelRejected("no such model")])
    ref = world.submitted()
    state = world.first(ref)
    event = StepInput(ref, state.step, Route("r", ("gpt-4o-mini", "gpt-4o")))
    out = world.executor()(event, remaining_seconds=lambda: 300)
    assert (out.action, out.wait_seconds) == (Action.WAIT, 3)


def test_a_task_whose_history_is_damaged_ends_and_says_so() -> None:
    noise = "".join(hashlib.sha256(str(i).encode()).hexdigest() for i in range(1_500))
    large = says(noise, usage=Usage(10, 0, 10))
    world = World(HELPER, chat=[PLAN, asks(look_call("nowhere")), large, PLAN])
    ref = world.submitted()
    state = world.first(ref)
    for _ in range(3):
        state = world.step(state)
    third = world.step(state)
    world.memory.payloads.clear()
    out = world.step(third)
    assert (out.action, out.status) == (Action.FINISH, "failed")
    failure = ended(world, ref).failure
    assert failure is not None
    assert failure.code == "data_missing"


def test_an_unpriced_model_is_never_called() -> None:
    world = World(REACT)
    ref = world.submitted()
    event = StepInput(ref, world.first(ref).step, Route("r", ("llama-9",)))
    world.executor()(event, remaining_seconds=lambda: 300)
    failure = ended(world, ref).failure
    assert failure is not None
    assert failure.code == "unpriced_model"
    assert world.chat.calls == []


@pytest.mark.parametrize(
    ("limits", "status", "code"),
    [
        (Limits(max_steps=2), TaskStatus.BUDGET_EXCEEDED, "max_steps"),
        (Limits(max_tokens=3500), TaskStatus.BUDGET_EXCEEDED, "max_tokens"),
        (Limits(max_cost_usd=0.0021), TaskStatus.BUDGET_EXCEEDED, "max_cost_usd"),
    ],
)
def test_limits_end_a_task_with_what_it_has_so_far(
    limits: Limits, status: TaskStatus, code: str
) -> None:
    agent = Agent("helper", "Help.", tools=[look], limits=limits)

    def spend(call: ModelCall) -> ModelAnswer:
        if call.prompt.response_format is not None:
            return PLAN
        usage = Usage(100, 0, min(900, call.max_output_tokens))
        return asks(look_call(), usage=usage)

    world = World(agent, chat=spend)
    ref = world.submitted()
    world.run(ref)
    end = ended(world, ref)
    assert end.status is status
    assert end.failure is not None
    assert end.failure.code == code
    assert isinstance(end.output, dict)
    assert world.tip(ref).totals.steps <= limits.max_steps
    assert world.tip(ref).totals.cost_microusd <= limits.max_cost_usd * 1e6
    assert world.tip(ref).totals.usage.total_tokens <= limits.max_tokens


def test_when_the_state_machine_gives_up_the_task_fails_with_the_cause() -> None:
    world = World(HELPER)
    ref = world.submitted()
    out = world.step(world.first(ref), failure="Lambda.Unknown: out of memory")
    assert out.action is Action.FINISH
    failure = ended(world, ref).failure
    assert failure is not None
    assert failure.code == "execution_failed"
    assert "out of memory" in failure.message


def test_a_step_is_not_begun_with_too_little_time() -> None:
    world = World(HELPER)
    ref = world.submitted()
    with pytest.raises(TimeTooShort):
        world.step(world.first(ref), remaining=5)


def test_a_cancelled_task_ends_at_its_next_step() -> None:
    world = World(HELPER, chat=[PLAN])
    ref = world.submitted()
    state = world.first(ref)

    def cancelled_meanwhile(call: ModelCall) -> ModelAnswer:
        assert call.is_wanted is not None
        assert call.is_wanted()
        world.cancel(ref)
        assert not call.is_wanted(), "the adapter gives the call up at its next look"
        return PLAN

    world.chat._decide = cancelled_meanwhile
    out = world.step(state)
    assert (out.action, out.status) == (Action.FINISH, "cancelled")
    assert len(world.steps(ref)) == 1
    assert world.step(
        StepOutput(ref, Action.STEP, StepRef(2, state.step.type, state.step.complexity))
    ) == (
        StepOutput(
            ref,
            Action.FINISH,
            StepRef(2, state.step.type, state.step.complexity),
            status="cancelled",
        )
    )


def test_a_read_that_gets_no_answer_is_an_error_for_the_model() -> None:
    @tool(effect="read")
    def ask() -> str:
        raise TimeoutError("no answer")

    agent = Agent("loop", "Help.", tools=[ask], policy="react")
    world = World(agent, chat=[asks(ToolCall("c1", "ask", "{}")), says("Done.")])
    ref = world.submitted()
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED
    assert world.steps(ref)[0].result.messages[-1].content == "error: TimeoutError: no answer"


def test_parallel_reads_keep_their_own_results() -> None:
    calls = [look_call(f"place {i}", f"c{i}") for i in range(6)]
    world = World(REACT, chat=[asks(*calls), says("Done.")])
    ref = world.submitted()
    world.run(ref)
    messages = world.steps(ref)[0].result.messages[1:]
    assert [(m.tool_call_id, m.content) for m in messages] == [
        (f"c{i}", f"saw place {i}") for i in range(6)
    ]


def test_calls_with_the_same_id_are_told_apart() -> None:
    world = World(REACT, chat=[asks(look_call("a", "x"), look_call("b", "x")), says("Done.")])
    ref = world.submitted()
    world.run(ref)
    messages = world.steps(ref)[0].result.messages
    assert [c.id for c in messages[0].tool_calls] == ["call_0", "call_1"]
    assert [m.content for m in messages[1:]] == ["saw a", "saw b"]


@pytest.mark.parametrize("effect", ["read", "idempotent", "unsafe"])
@pytest.mark.parametrize("fails", [False, True])
def test_half_a_character_in_a_tools_words_does_not_cost_the_step(effect: str, fails: bool) -> None:
    @tool(effect=effect)
    def quote() -> str:
        """Say something."""
        if fails:
            raise ValueError("cut \ud800")
        return "cut \ud800"

    agent = Agent("loop", "Help.", tools=[quote], policy="react")
    world = World(agent, chat=[asks(ToolCall("c1", "quote", "{}")), says("Done.")])
    ref = world.submitted()
    tip = world.run(ref)
    assert tip.state.status is not TaskStatus.FAILED
    (step, *_) = world.steps(ref)
    assert step.result.messages[-1].content == ("error: ValueError: cut ?" if fails else "cut ?")
    assert step.result.tool_runs[0].ok is not fails
