"""Tool calls without an answer, after another task of the session took the place of the one that had made them."""

from collections.abc import Callable
from typing import Any

import pytest

from ratchet import Agent, tool
from ratchet.app.session_turn import ABORTED
from ratchet.contracts.messages import StepOutput, TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain.messages import Message, ToolCall
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import asks, says
from tests.unit.shared.app.test_unsafe_tools import Died
from tests.unit.shared.app.world import World

POLICIES = ["interrupt", "rollback"]


class Talk:
    """A session whose first task asks for three calls at once; whatever is told to a model must be well-formed."""

    def __init__(self, *, approval: Any = "never") -> None:
        self.on_pay: Callable[[int], None] = lambda _: None

        @tool(effect="read")
        def look() -> str:
            """Look."""
            return "seen"

        @tool(effect="unsafe", approval=approval)
        def pay(amount: int) -> str:
            """Pay."""
            self.on_pay(amount)
            return f"paid {amount}"

        agent = Agent("payer", "Pay.", tools=[look, pay], policy="react")
        self.world = World(agent, chat=self._answer)
        self.first = self._submit("Pay twice.")

    def _answer(self, call: ModelCall) -> ModelAnswer:
        check_calls_are_answered(call.prompt.messages)
        goal = max(i for i, m in enumerate(call.prompt.messages) if m.role == "user")
        if "Pay" not in (call.prompt.messages[goal].content or ""):
            return says("Stopped.")
        if any(m.role == "tool" for m in call.prompt.messages[goal:]):
            return says("Paid.")
        return asks(
            ToolCall("c1", "look", "{}"),
            ToolCall("c2", "pay", '{"amount":1}'),
            ToolCall("c3", "pay", '{"amount":2}'),
        )

    def _submit(self, goal: str, **options: Any) -> TaskRef:
        return self.world.submitted(goal, session_id="talk", **options)

    def take_over(self, policy: str) -> TaskRef:
        """Another task is to run in the place of the first."""
        return self._submit("Stop.", on_conflict=policy)

    def die_in_the_second_payment(self, policy: str) -> TaskRef:
        """While it is made, another task takes the place; the sandbox never hears of its result."""
        later: list[TaskRef] = []

        def pay(amount: int) -> None:
            if amount == 2:
                later.append(self.take_over(policy))
                raise Died

        self.on_pay = pay
        with pytest.raises(Died):
            self.world.step(self.begun())
        return later[0]

    def begun(self) -> StepOutput:
        return self.world.first(self.first)

    def told(self, later: TaskRef) -> list[Message]:
        """What the later task is told of the first, once that has left."""
        assert self.world.tip(self.first).state.status is TaskStatus.CANCELLED
        self.world.announce_all(self.first)
        assert self.world.run(later).state.status is TaskStatus.SUCCEEDED
        return list(self.world.tip(later).task.earlier or ())


def check_calls_are_answered(messages: Any) -> None:
    """As providers demand it: each call has one answer, right after the message that asked for it."""
    open_: list[str] = []
    for message in messages:
        if message.role == "tool":
            assert message.tool_call_id in open_, f"{message} answers nothing"
            open_.remove(message.tool_call_id)
            continue
        assert open_ == [], f"{open_} have no answer before {message.role}"
        open_ = [call.id for call in message.tool_calls]
    assert open_ == []


def test_an_interrupted_call_of_unknown_outcome_is_told_as_such_beside_what_is_known() -> None:
    talk = Talk()
    told = talk.told(talk.die_in_the_second_payment("interrupt"))
    check_calls_are_answered(told)
    answers = {m.tool_call_id: m.content for m in told if m.role == "tool"}
    assert answers == {"c1": ABORTED, "c2": "paid 1", "c3": ABORTED}
    assert told[0] == Message("user", "Pay twice.")
    assert "The task before ended as cancelled" in (told[-1].content or "")


def test_nothing_of_a_call_that_was_rolled_back_is_told() -> None:
    talk = Talk()
    assert talk.told(talk.die_in_the_second_payment("rollback")) == []


@pytest.mark.parametrize("policy", POLICIES)
def test_calls_that_wait_for_a_person_dangle_no_more_than_others(policy: str) -> None:
    talk = Talk(approval="always")
    talk.world.step(talk.begun())
    assert talk.world.tip(talk.first).state.status is TaskStatus.INPUT_REQUIRED
    told = talk.told(talk.take_over(policy))
    check_calls_are_answered(told)
    answers = {m.tool_call_id: m.content or "" for m in told if m.role == "tool"}
    if policy == "rollback":
        assert told == []
        return
    assert answers["c1"] == "seen"
    assert {"c2", "c3"} <= answers.keys()
    assert "paid" not in answers["c2"] + answers["c3"]


@pytest.mark.parametrize("policy", POLICIES)
def test_an_attempt_that_comes_back_later_neither_pays_again_nor_is_told_of(policy: str) -> None:
    talk = Talk()
    first = talk.begun()
    paid: list[int] = []
    later: list[TaskRef] = []

    def pay(amount: int) -> None:
        paid.append(amount)
        if amount == 2 and not later:
            later.append(talk.take_over(policy))

    talk.on_pay = pay
    out = talk.world.step(first)
    assert out.status == "cancelled"
    talk.world.step(first, attempt=1)
    assert paid == [1, 2]
    told = talk.told(later[0])
    check_calls_are_answered(told)
    answers = {m.tool_call_id: m.content for m in told if m.role == "tool"}
    known = {"c1": ABORTED, "c2": "paid 1", "c3": "paid 2"}
    assert answers == (known if policy == "interrupt" else {})
