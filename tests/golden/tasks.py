"""Tasks as a release leaves them in its table, and how each must go on in every later release."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel

from ratchet import Agent, Limits, ToolContext, tool
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Action
from ratchet.domain.messages import ToolCall
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import asks, says
from tests.unit.shared.app.world import World

LARGE = "".join(
    hashlib.sha256(str(i).encode()).hexdigest() for i in range(1_500)
)  # deflates to 48 KB


class Summary(BaseModel):
    summary: str


@tool(effect="read")
def read(name: str) -> str:
    """Read a document."""
    return LARGE if name == "large" else f"the text of {name}"


@tool(effect="unsafe")
def pay(amount: int, context: ToolContext) -> str:
    """Pay somebody."""
    return f"paid {amount} ({context.idempotency_key})"


AGENT = Agent(
    name="golden",
    instructions="Summarize what you read.",
    tools=[read, pay],
    output=Summary,
    limits=Limits(max_steps=30),
)
PLAN = says('{"plan": ["read"], "complexity": "complex"}')
DONE = says('{"summary": "All read."}')


def script(call: ModelCall) -> ModelAnswer:
    """Plan, read twice in parallel, pay, read a large document, conclude: by what has been said so far."""
    said = sum(message.role == "assistant" for message in call.prompt.messages)
    turns = [
        PLAN,
        asks(ToolCall("c1", "read", '{"name":"a"}'), ToolCall("c2", "read", '{"name":"ü"}')),
        asks(ToolCall("c3", "pay", '{"amount":5}')),
        asks(ToolCall("c4", "read", '{"name":"large"}')),
        says("The document says it all."),
        says("Ready."),
        DONE,
    ]
    return turns[min(said, len(turns) - 1)]


@dataclass(frozen=True)
class Golden:
    """How to bring a task to where it is kept, and the steps it must have at its end."""

    leave: Callable[[World, TaskRef], None]
    steps: int
    resumes: bool = False


def _until(steps: int) -> Callable[[World, TaskRef], None]:
    def run(world: World, ref: TaskRef) -> None:
        state = world.first(ref)
        for _ in range(steps):
            state = world.step(state)
            assert state.action is Action.STEP

    return run


def _never_dispatched(_world: World, _ref: TaskRef) -> None:
    return


def _given_up(world: World, ref: TaskRef) -> None:
    state = world.step(world.first(ref))
    world.step(state, failure="Runtime.ExitError: out of memory")
    world.announce_all(ref)


TASKS = {
    "queued": Golden(_never_dispatched, steps=7),
    "planned": Golden(_until(1), steps=7),
    "paid": Golden(_until(3), steps=7),
    "large": Golden(_until(4), steps=7),
    "nearly_done": Golden(_until(6), steps=7),
    "failed": Golden(_given_up, steps=8, resumes=True),
}
