"""One deployment in memory: our use cases on in-memory ports, stepped as the state machine steps them."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from ratchet.app.agents import AgentDirectory, AgentRegistry
from ratchet.app.announce_task import AnnounceTask
from ratchet.app.dispatch_task import DispatchTask
from ratchet.app.execute_step import ExecuteStep
from ratchet.app.memories import Memories
from ratchet.app.submit_task import SubmitTask
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.app.warm_histories import WarmHistories
from ratchet.contracts.errors import AttemptLost, RetryableError
from ratchet.contracts.limits import STEPS_PER_EXECUTION
from ratchet.contracts.messages import Doorbell, StepInput, StepOutput, TaskRef
from ratchet.contracts.names import Action, Json
from ratchet.contracts.routing import RoutingTable, Rule
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.agent import Agent
from ratchet.domain.memory import Namespace, Note, Place, Source
from ratchet.domain.models import ModelCatalogue, built_in
from ratchet.domain.steps import Step, StepRecord
from ratchet.domain.task import History, Task
from ratchet.domain.tools import Tool, ToolContext
from ratchet.model_ports import ChatModel
from ratchet.observability import logger
from ratchet.testing.announcers import RecordingAnnouncer
from ratchet.testing.clock import FakeClock, SequentialIds
from ratchet.testing.memories import InMemoryMemories
from ratchet.testing.queue import InMemoryInbox
from ratchet.testing.sandbox import Sandbox, SandboxDied, Trace, watched_agent
from ratchet.testing.store import InMemoryCheckpoints
from ratchet.testing.workflow import InMemoryWorkflow

TENANT = "test"
RETRIES, GIVE_UP_RETRIES = 6, 30
"""How often the state machine (cdk/components/asl.py) runs a step again that may have spent money, and its end."""
STEP_SECONDS = 300.0
MAX_INVOCATIONS = 20_000

# The table that Ratchet ships (cdk/routing.yaml), so that a test needs no file.
SHIPPED_ROUTING = RoutingTable(
    default=("gpt-4o",),
    rules=tuple(
        Rule.model_validate({"step": step, "complexity": complexity, "models": (model,)})
        for step, complexity, model in (
            ("tool_dispatch", "simple", "gpt-4o-mini"),
            ("tool_dispatch", "complex", "gpt-4o"),
            ("reasoning", "simple", "gpt-4o-mini"),
            ("reasoning", "complex", "gpt-4o"),
            ("planning", "any", "o3-mini"),
            ("final_synthesis", "simple", "gpt-4o"),
            ("final_synthesis", "complex", "o3"),
        )
    ),
)


class Recovery(StrEnum):
    """Who goes on after a death: the state machine's Retry, or the sweeper when the execution died as well."""

    RETRY = "retry"
    SWEEPER = "sweeper"

    @property
    def story(self) -> str:
        """What happened next, in words."""
        if self is Recovery.RETRY:
            return "the state machine ran the step again"
        return "its execution died with it, and the sweeper started the next one"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a deployment decides about its tasks."""

    routing: RoutingTable = SHIPPED_ROUTING
    patience_seconds: int = 180
    steps_per_execution: int = STEPS_PER_EXECUTION
    models: ModelCatalogue = field(default_factory=built_in)
    remembered: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """What is remembered before the first task, by namespace and key: `{"user:ann": {"diet": "vegan"}}`."""


class _ExecutionDied(Exception):
    """The execution is gone; nothing of it runs on."""


class _NoMetrics:
    def step_finished(self, record: StepRecord, *, task: Task) -> None:
        """Nobody counts here."""


class Deployment:
    """Runs tasks of one agent. Every invocation is a fresh sandbox, as after a scale-in: nothing is remembered."""

    def __init__(
        self,
        agent: Agent,
        chat: ChatModel,
        trace: Trace,
        *,
        settings: Settings,
        ids: SequentialIds,
        recovery: Recovery = Recovery.RETRY,
    ) -> None:
        self.clock = FakeClock()
        self.store = InMemoryCheckpoints(self.clock)
        self.memories = InMemoryMemories(self.store, self.clock)
        for namespace, facts in settings.remembered.items():
            self.remember(namespace, facts)
        self.workflow = InMemoryWorkflow()
        self.inbox, self.outbox = InMemoryInbox(), InMemoryInbox()
        self.announcers = (RecordingAnnouncer("sns"), RecordingAnnouncer("webhook"))
        self._chat, self._trace, self._ids = chat, trace, ids
        self._settings, self._recovery = settings, recovery
        self._registry = AgentRegistry({agent.name: watched_agent(agent, self._call_tool)})
        self._sandbox: Sandbox | None = None
        self._invocations = 0
        self._lost = 0  # attempts at the step that may have spent money

    def run(self, request: TaskRequest) -> History:
        """Submit the task and run it to its announced end, or until it asks a person."""
        ref = self._submit(request)
        while (bell := self.inbox.receive()) is not None:
            DispatchTask(self.store, self.workflow, self.clock)(bell)
            self._execute(ref)
        while (bell := self.outbox.receive()) is not None:
            AnnounceTask(self.store, self.announcers, self.clock)(bell)
        history = self.store.load(ref)
        if history is None or isinstance(history.next, Step):
            raise AssertionError(f"the task stands still as {history and history.state.status}")
        return history

    def remember(self, namespace: str, facts: Mapping[str, Json]) -> None:
        """Put facts into a namespace of the tenant."""
        place = Place(TENANT, Namespace.parse(namespace))
        for key, value in facts.items():
            note = Note(value, Source(), write_id=f"{namespace} {key}")
            Memories(self.memories, self.clock).write(place, key, note)

    def remembered(self) -> dict[str, dict[str, Json]]:
        """What is remembered now, by namespace and key."""
        used, found = Memories(self.memories, self.clock), {}
        for partition in sorted(self.memories.drawers):
            place = Place(TENANT, Namespace.parse(partition.split("#MEMORY#", 1)[1]))
            found[str(place.namespace)] = {fact.key: fact.value for fact in used.all(place)}
        return found

    def _submit(self, request: TaskRequest) -> TaskRef:
        submit = SubmitTask(
            store=self.store,
            inbox=self.inbox,
            agents=AgentDirectory(self._registry.manifest(), default=""),
            clock=self.clock,
            ids=self._ids,
            check_webhook=lambda url: None,  # noqa: ARG005 - nothing is sent anywhere
        )
        return submit(request, tenant=TENANT).task.ref

    def _execute(self, ref: TaskRef) -> None:
        """The execution that was started last; when it dies, what the sweeper puts in its place."""
        generation = self._generation(ref)
        try:
            self._loop(self.workflow.input_of(ref, generation))
        except _ExecutionDied:
            self.workflow.kill(ref, generation, cause="the execution died with its sandbox")
            SweepTasks(self.store, self.inbox, self.outbox, self.workflow, self.clock).reconcile(
                ref
            )
            if self._generation(ref) > generation:
                self._execute(ref)

    def _loop(self, state: StepOutput) -> None:
        """One execution, from Route to Route; ends with a doorbell on one of the queues."""
        generation = state.execution.generation
        while state.action in (Action.STEP, Action.WAIT, Action.WARN):
            if state.action is Action.WARN:
                self.outbox.send(Doorbell(state.task))
            self.clock.advance(state.wait_seconds)
            state = self._step(state)
        self.workflow.end(state.task, generation)
        if state.action is Action.ROLL_OVER:
            self.inbox.send(Doorbell(state.task, generation + 1))
        else:
            self.outbox.send(Doorbell(state.task))

    def _step(self, state: StepOutput) -> StepOutput:
        """A Task state: Retry, then Catch. Only attempts that may have spent money count."""
        self._lost = 0
        done = self._try(state, retries=RETRIES)
        if isinstance(done, Exception):
            failure = f"{type(done).__name__}: {done}"
            done = self._try(state, retries=GIVE_UP_RETRIES, failure=failure)
        if isinstance(done, StepOutput):
            return done
        raise AssertionError(f"step {state.step.number} can neither run nor fail") from done

    def _try(
        self, state: StepOutput, *, retries: int, failure: str | None = None
    ) -> StepOutput | Exception:
        last: Exception = RuntimeError("the sandbox died")
        for attempt in range(retries + 1):
            try:
                return self._invoke(state, self._lost, failure)
            except SandboxDied as exc:
                if self._recovery is Recovery.SWEEPER:
                    raise _ExecutionDied from exc
                self._lost += 1
            except RetryableError as exc:
                last = exc
                self._lost += isinstance(exc, AttemptLost)
            except AssertionError:
                raise  # the script's own: the test is wrong, not the agent
            except Exception as exc:  # noqa: BLE001 - as Catch does with States.ALL
                return exc
            self.clock.advance(min(2**attempt, 60))
        return last

    def _invoke(self, state: StepOutput, attempt: int, failure: str | None) -> StepOutput:
        """One invocation of step_executor, in a sandbox of its own."""
        self._invocations += 1
        if self._invocations > MAX_INVOCATIONS:
            raise AssertionError(f"the task does not end: {MAX_INVOCATIONS} invocations")
        step = state.step
        route = self._settings.routing.route(step.type, step.complexity)
        event = StepInput(state.task, step, route, state.execution, attempt, failure)
        self._sandbox = sandbox = Sandbox(self._trace, step.number)
        execute = ExecuteStep(
            store=sandbox.port(self.store),
            chat=sandbox.port(self._chat),
            agents=self._registry,
            clock=self.clock,
            ids=self._ids,
            metrics=_NoMetrics(),
            warm=WarmHistories(),
            patience_seconds=self._settings.patience_seconds,
            steps_per_execution=self._settings.steps_per_execution,
            models=self._settings.models,
            memories=Memories(sandbox.port(self.memories), self.clock),
        )
        return execute(event, remaining_seconds=lambda: STEP_SECONDS)

    def _call_tool(self, tool: Tool, arguments: dict[str, Any], context: ToolContext) -> str:
        return cast("Sandbox", self._sandbox).tool(tool, arguments, context)

    def _generation(self, ref: TaskRef) -> int:
        tip = self.store.load_tip(ref)
        return 0 if tip is None else tip.state.generation


@contextmanager
def quiet_log() -> Iterator[None]:
    """Hundreds of crashed runs would bury what a test has to say."""
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
