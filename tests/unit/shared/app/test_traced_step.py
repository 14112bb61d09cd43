"""One task, one trace: through tools, retries, waits, a person's approval, roll-overs and a resume."""

from dataclasses import replace
from typing import cast

import pytest

from ratchet import Agent, tool
from ratchet.app.execute_step import ExecuteStep
from ratchet.app.traced_step import TracedStep
from ratchet.contracts.errors import ModelRejected, ModelThrottled, StoreUnavailable
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.messages import StepInput, TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain.messages import ToolCall
from ratchet.domain.spans import Span, task_place
from ratchet.model_ports import ModelCall
from ratchet.testing.chat import Outcome, asks, says
from ratchet.testing.spans import RecordedSpans
from tests.unit.shared.app.world import ROUTING, World

WORD = "canary-of-the-caller"


@tool(effect="read")
def look(where: str) -> str:
    """Look."""
    if where == "nowhere":
        raise ValueError(WORD)
    return f"{WORD} seen"


@tool(effect="unsafe", approval="always")
def pay(amount: int) -> str:
    """Pay."""
    return f"{WORD} paid {amount}"


AGENT = Agent("shop", "Sell.", tools=[look, pay], policy="react")
LOOK = ToolCall("c1", "look", f'{{"where":"{WORD}"}}')
PAY = ToolCall("c2", "pay", '{"amount":5}')


class Traced(World):
    """A world whose steps and ends are traced."""

    def __init__(self, *chat: Outcome, steps_per_execution: int = 500) -> None:
        super().__init__(AGENT, chat=chat, steps_per_execution=steps_per_execution)
        self.sink = RecordedSpans()
        self.announce = replace(self.announce, spans=self.sink)

    def executor(self) -> ExecuteStep:
        return cast("ExecuteStep", TracedStep(super().executor(), self.sink))

    def connected(self, ref: TaskRef) -> list[Span]:
        """All spans, which are one tree below the task's own."""
        spans = self.sink.spans
        ids = {span.place.span_id for span in spans}
        root = task_place(ref)
        assert {span.place.trace_id for span in spans} == {root.trace_id}
        assert {s.place.parent_id for s in spans if s.place != root} <= ids
        assert [s for s in spans if s.place == root]
        assert WORD not in repr(spans)
        return spans


def test_a_task_with_tools_an_approval_and_a_resume_is_one_connected_trace() -> None:
    world = Traced(asks(LOOK), asks(PAY), ModelRejected("no"), says(WORD), steps_per_execution=2)
    ref = world.submitted(WORD)
    paused = world.run(ref)
    assert paused.state.status is TaskStatus.INPUT_REQUIRED
    world.announce_all(ref)
    world.clock.advance(3_600)
    world.decide(ref, paused.next.interrupts[0].id, DecisionRequest(decision="approve"), by="ann")  # type: ignore[union-attr]
    assert world.run(ref).state.status is TaskStatus.FAILED
    world.announce_all(ref)
    world.resume(ref)
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED
    world.announce_all(ref)
    world.connected(ref)
    assert [s.name for s in world.sink.named("execute_tool")] == [
        "execute_tool look",
        "execute_tool pay",
    ]
    assert len(world.sink.named("chat ")) == len(world.chat.calls) == 4
    failed, ended = world.sink.named("invoke_agent")
    assert failed.place == ended.place
    assert (failed.attributes["ratchet.status"], ended.attributes["ratchet.status"]) == (
        "failed",
        "succeeded",
    )
    assert ended.attributes["gen_ai.usage.input_tokens"] == 300
    assert ended.ended_at_ms - ended.started_at_ms >= 3_600_000


def test_a_chat_span_says_what_was_asked_of_whom_and_what_it_used() -> None:
    world = Traced(asks(LOOK), says("Done.", finish_reason=WORD))
    ref = world.submitted()
    world.run(ref)
    first, last = world.sink.named("chat ")
    assert {**first.attributes, "gen_ai.request.max_tokens": 0} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": world.chat.calls[0].model,
        "gen_ai.request.max_tokens": 0,
        "gen_ai.response.finish_reasons": ("tool_calls",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.output_tokens": 20,
    }
    assert last.attributes["gen_ai.response.finish_reasons"] == ("other",)


def test_a_throttled_call_and_the_wait_after_it_are_in_the_trace() -> None:
    world = Traced(ModelThrottled("later", 5.0), says("Done."))
    ref = world.submitted()
    world.run(ref)
    world.announce_all(ref)
    world.connected(ref)
    assert [s.error for s in world.sink.named("chat ")] == ["model_throttled", ""]
    assert [s.attributes["ratchet.outcome"] for s in world.sink.named("step ")] == [
        "wait",
        "finish",
    ]


def test_a_tool_that_raises_is_an_error_without_its_words() -> None:
    world = Traced(asks(ToolCall("c1", "look", '{"where":"nowhere"}')), says("Done."))
    world.run(world.submitted())
    (span,) = world.sink.named("execute_tool")
    assert (span.error, span.attributes["error.type"]) == ("tool_error", "tool_error")
    assert WORD not in repr(world.sink.spans)


def test_an_attempt_that_breaks_off_is_told_and_raises_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(call: ModelCall) -> Outcome:
        raise StoreUnavailable(WORD)

    world = Traced()
    world.chat._decide = gone
    ref = world.submitted()
    state = world.first(ref)
    with pytest.raises(StoreUnavailable):
        world.step(state)
    chat, step = world.sink.spans
    assert (chat.error, step.error) == ("store_unavailable", "StoreUnavailable")
    assert WORD not in repr(world.sink.spans)


def test_a_backend_that_is_down_changes_nothing_but_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = Traced(asks(LOOK), says("Done."))
    world.sink.is_down = True
    ref = world.submitted()
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED
    world.announce_all(ref)
    assert world.sink.spans == []
    assert len(world.sns.delivered) == 1


def test_an_invocation_with_no_time_left_sends_nothing() -> None:
    world, left = Traced(), [300.0]

    def slow(call: ModelCall) -> Outcome:
        left[0] = 1.0
        return says("Done.")

    world.chat._decide = slow
    state = world.first(world.submitted())
    route = ROUTING.route(state.step.type, state.step.complexity)
    event = StepInput(state.task, state.step, route, state.execution)
    world.executor()(event, remaining_seconds=lambda: left[0])
    assert len(world.steps(state.task)) == 1
    assert world.sink.spans == []


def test_a_session_is_one_conversation_that_does_not_tell_its_id() -> None:
    world = Traced(says("One."), says("Two."))
    for _ in range(2):
        ref = world.submitted(session_id=WORD)
        world.run(ref)
        world.announce_all(ref)
    conversations = {
        s.attributes["gen_ai.conversation.id"] for s in world.sink.named("invoke_agent")
    }
    assert len(conversations) == 1
    assert conversations.pop().startswith("session_")  # type: ignore[union-attr]
    assert WORD not in repr(world.sink.spans)
