"""Questions to people: asked once, answered once, closed in time."""

import re

import pytest

from ratchet import Agent, tool
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.limits import INTERRUPT_SECONDS
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.request_errors import (
    InterruptDecided,
    InterruptExpired,
    InterruptNotFound,
    InvalidRequest,
    TaskNotResumable,
)
from ratchet.contracts.task_api import ResumeRequest
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import End, Paused
from ratchet.testing.chat import asks, says
from tests.unit.shared.app.test_execute_step import ended
from tests.unit.shared.app.world import World

HAPPENED = DecisionRequest(answer="happened")
NOT_HAPPENED = DecisionRequest(answer="did_not_happen")
ABORT = DecisionRequest(answer="abort")


def asking(*amounts: int) -> tuple[World, TaskRef]:
    """A task that asks about each of these calls."""

    @tool(effect="unsafe", parallel=True)
    def pay(amount: int) -> str:
        """Pay."""
        raise TimeoutError

    calls = [ToolCall(f"c{n}", "pay", f'{{"amount":{n}}}') for n in amounts or (1,)]
    world = World(Agent("payer", "Pay.", tools=[pay], policy="react"))
    world.chat._decide = lambda c: (
        says("Done.") if any(m.role == "assistant" for m in c.prompt.messages) else asks(*calls)
    )
    ref = world.submitted(webhook={"url": "https://example.com/hook"})
    assert world.run(ref).state.status is TaskStatus.INPUT_REQUIRED
    return world, ref


def open_ids(world: World, ref: TaskRef) -> list[str]:
    following = world.tip(ref).next
    return [i.id for i in following.interrupts] if isinstance(following, Paused) else []


@pytest.mark.parametrize(
    ("answer", "told"),
    [(HAPPENED, "this call happened. Do not make it again"), (NOT_HAPPENED, "did not happen")],
)
def test_the_task_goes_on_with_the_answer(answer: DecisionRequest, told: str) -> None:
    world, ref = asking()
    (asked,) = open_ids(world, ref)
    tip = world.decide(ref, asked, answer)
    assert tip.state.status is TaskStatus.QUEUED
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED
    last = world.chat.calls[-1].prompt.messages[-1]
    assert (last.role, last.tool_call_id) == ("tool", "c1")
    assert told in (last.content or "")


def test_waiting_costs_nothing_and_ends_no_deadline() -> None:
    world, ref = asking()
    world.clock.advance(6 * 24 * 3600)
    world.sweep()
    assert world.tip(ref).state.status is TaskStatus.INPUT_REQUIRED
    world.decide(ref, open_ids(world, ref)[0], HAPPENED)
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED


def test_several_questions_are_answered_one_by_one_in_any_order() -> None:
    world, ref = asking(1, 2, 3)
    first, second, third = open_ids(world, ref)
    assert world.decide(ref, second, HAPPENED).state.status is TaskStatus.INPUT_REQUIRED
    assert open_ids(world, ref) == [first, third]
    world.decide(ref, third, NOT_HAPPENED)
    assert world.decide(ref, first, HAPPENED).state.status is TaskStatus.QUEUED
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED
    answered = [m.tool_call_id for m in world.chat.calls[-1].prompt.messages if m.role == "tool"]
    assert answered == ["c2", "c3", "c1"]


def test_the_first_answer_counts_and_may_be_repeated() -> None:
    world, ref = asking(1, 2)
    first, second = open_ids(world, ref)
    world.decide(ref, first, HAPPENED)
    assert world.decide(ref, first, HAPPENED).state.status is TaskStatus.INPUT_REQUIRED
    with pytest.raises(InterruptDecided, match="'happened'"):
        world.decide(ref, first, NOT_HAPPENED)
    world.decide(ref, second, HAPPENED)
    world.run(ref)
    assert world.decide(ref, second, HAPPENED).state.status is TaskStatus.SUCCEEDED
    with pytest.raises(InterruptDecided):
        world.decide(ref, second, ABORT)


def test_abort_ends_the_task_and_answers_every_call() -> None:
    world, ref = asking(1, 2)
    world.decide(ref, open_ids(world, ref)[1], ABORT)
    end = ended(world, ref)
    assert end.status is TaskStatus.FAILED
    assert end.failure is not None
    assert end.failure.code == "effect_outcome_unknown"
    assert {m.tool_call_id for m in world.steps(ref)[-1].result.messages} == {"c1", "c2"}
    with pytest.raises(InvalidRequest, match="effect_outcomes") as asked:
        world.resume(ref)
    ids = re.findall(r"int_\w+", str(asked.value))
    assert len(ids) == 2
    world.resume(ref, ResumeRequest(effect_outcomes=dict.fromkeys(ids, "did_not_happen")))
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED


def test_a_question_that_nobody_answers_is_closed() -> None:
    world, ref = asking()
    (asked,) = open_ids(world, ref)
    world.announce_all(ref)
    world.clock.advance(INTERRUPT_SECONDS - 60)
    assert ref in world.due(before_days=0.01)
    world.sweep()
    assert world.tip(ref).state.status is TaskStatus.INPUT_REQUIRED
    world.clock.advance(61)
    with pytest.raises(InterruptExpired):
        world.decide(ref, asked, HAPPENED)
    world.sweep()
    end = ended(world, ref)
    assert end.failure is not None
    assert end.failure.code == "effect_outcome_unknown"
    assert "nobody answered" in end.failure.message
    with pytest.raises(InterruptExpired):
        world.decide(ref, asked, HAPPENED)


def test_a_cancelled_task_asks_nothing_any_more() -> None:
    world, ref = asking()
    (asked,) = open_ids(world, ref)
    assert isinstance(world.cancel(ref).next, End)
    with pytest.raises(InterruptExpired, match="cancelled"):
        world.decide(ref, asked, HAPPENED)
    assert world.steps(ref)[-1].result.messages[0].tool_call_id == "c1"


@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_what_was_never_asked_is_not_found(tenant: str) -> None:
    world, ref = asking()
    asked = "int_0" if tenant == "acme" else open_ids(world, ref)[0]
    with pytest.raises(InterruptNotFound):
        world.decide(TaskRef(tenant, ref.task_id), asked, HAPPENED)
    with pytest.raises(InterruptNotFound):
        world.decide(TaskRef(tenant, "nonsense"), asked, HAPPENED)


def test_an_answer_must_be_one_of_the_choices() -> None:
    world, ref = asking()
    with pytest.raises(InvalidRequest, match="happened, did_not_happen, abort"):
        world.decide(ref, open_ids(world, ref)[0], DecisionRequest(answer="maybe"))


def test_a_task_that_asks_cannot_be_resumed_and_says_what_to_do() -> None:
    world, ref = asking()
    with pytest.raises(TaskNotResumable, match=open_ids(world, ref)[0]):
        world.resume(ref)


def test_the_question_is_announced_until_it_is_answered() -> None:
    world, ref = asking()
    world.announce_all(ref)
    world.announce_all(ref)
    (event,) = world.sns.delivered
    assert event.type == "interrupt.requested"
    assert event.attributes["status"] == "input_required"
    assert open_ids(world, ref)[0].encode() in event.body
    assert [e.id for e in world.webhook.delivered] == [event.id]
    world.decide(ref, open_ids(world, ref)[0], HAPPENED)
    world.run(ref)
    world.announce_all(ref)
    assert [e.type for e in world.sns.delivered] == ["interrupt.requested", "task.succeeded"]


def test_a_lost_doorbell_after_an_answer_is_rung_again() -> None:
    world, ref = asking()

    def silent(bell: Doorbell) -> None:
        raise StoreUnavailable("the queue is out")

    send, world.inbox.send = world.inbox.send, silent  # type: ignore[method-assign]
    world.decide(ref, open_ids(world, ref)[0], HAPPENED)
    world.inbox.send = send  # type: ignore[method-assign]
    world.clock.advance(61)
    world.sweep()
    bells = list(iter(world.inbox.receive, None))
    assert bells[-1] == Doorbell(ref, 2)


def test_open_questions_are_listed_by_tenant() -> None:
    world, ref = asking(1, 2)
    tips, cursor = world.lists.interrupts("acme", limit=10, cursor=None)
    assert ([t.task.ref for t in tips], cursor) == ([ref], None)
    assert world.lists.interrupts("globex", limit=10, cursor=None) == ([], None)


def test_a_long_poll_ends_with_a_question() -> None:
    world, ref = asking()
    before = world.clock.monotonic()
    assert world.read.tip(ref, wait_seconds=25).state.status is TaskStatus.INPUT_REQUIRED
    assert world.clock.monotonic() == before
