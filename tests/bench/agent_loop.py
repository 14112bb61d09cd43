"""Step after step of a standard task, as the state machine would ask for them."""

from collections.abc import Callable, Iterator
from pathlib import Path

from ratchet.app.agents import AgentRegistry
from ratchet.app.execute_step import ExecuteStep
from ratchet.app.warm_histories import WarmHistories
from ratchet.contracts.messages import StepInput, StepOutput
from ratchet.contracts.names import Action
from ratchet.contracts.routing import RoutingTable
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import Task
from ratchet.model_ports import ChatModel
from ratchet.ports import CheckpointStore, Clock, Metrics
from ratchet.testing.clock import SequentialIds
from tests.bench.standard import standard_agent

ROUTING = RoutingTable.load(Path(__file__).parents[2] / "cdk" / "routing.yaml")


class NoMetrics:
    """Metrics that go nowhere."""

    def step_finished(self, record: StepRecord, *, task: Task) -> None:
        """One committed step."""


def agents(policy: str = "react") -> AgentRegistry:
    """The standard agent, deployed."""
    return AgentRegistry({"standard": standard_agent(policy)})


def sandbox(
    store: CheckpointStore,
    chat: ChatModel,
    *,
    clock: Clock,
    metrics: Metrics | None = None,
    policy: str = "react",
) -> ExecuteStep:
    """A step executor that remembers nothing yet."""
    return ExecuteStep(
        store=store,
        chat=chat,
        agents=agents(policy),
        clock=clock,
        ids=SequentialIds(),
        metrics=metrics or NoMetrics(),
        warm=WarmHistories(),
        patience_seconds=30,
    )


def run_steps(first: StepOutput, executor: Callable[[], ExecuteStep]) -> Iterator[StepOutput]:
    """Each step's outcome, the last one's with status `succeeded`; `executor` is asked once a step."""
    state = first
    while state.action is Action.STEP:
        route = ROUTING.route(state.step.type, state.step.complexity)
        event = StepInput(state.task, state.step, route)
        state = executor()(event, remaining_seconds=lambda: 300.0)
        yield state
    if state.status != "succeeded":
        raise AssertionError(f"the standard task ended as {state}")
