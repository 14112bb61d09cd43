"""The use cases on in-memory ports: submit a task and run its steps as the state machine would."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import cast

from ratchet import Agent
from ratchet.app.agents import AgentDirectory, AgentRegistry
from ratchet.app.announce_task import AnnounceTask
from ratchet.app.cancel_task import CancelTask
from ratchet.app.cursors import Cursors
from ratchet.app.decide_interrupt import DecideInterrupt
from ratchet.app.deliveries import Deliveries
from ratchet.app.deployed_models import DeployedModels
from ratchet.app.dispatch_task import DispatchTask
from ratchet.app.execute_step import ExecuteStep
from ratchet.app.fork_task import ForkTask
from ratchet.app.list_tasks import ListTasks
from ratchet.app.memories import Memories
from ratchet.app.read_task import ReadTask
from ratchet.app.read_usage import ReadUsage
from ratchet.app.resume_task import ResumeTask
from ratchet.app.routing_in_force import OverridableRouting
from ratchet.app.run_schedule import RunSchedule
from ratchet.app.schedules import Schedules
from ratchet.app.session_lock import SessionLock, SessionReturn
from ratchet.app.sessions import Sessions
from ratchet.app.similar_goal import GoalPorts
from ratchet.app.submit_task import SubmitTask
from ratchet.app.suspensions import SuspendedTenants
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.app.task_events import TaskEvents
from ratchet.app.tenant_allowance import TenantGovernor
from ratchet.app.user_erasure import UserErasure
from ratchet.app.warm_histories import WarmHistories
from ratchet.batch_ports import BatchStore
from ratchet.contracts.messages import Doorbell, Route, StepInput, StepOutput, TaskRef
from ratchet.contracts.names import Action
from ratchet.contracts.routing import RoutingTable
from ratchet.contracts.task_api import TaskRequest
from ratchet.contracts.tenant_caps import TenantCaps
from ratchet.domain.keys import due_shards
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import History, Task
from ratchet.memory_ports import MemoryStore
from ratchet.model_ports import ModelCall, ResponseCache
from ratchet.ports import CheckpointStore
from ratchet.session_ports import SessionStore
from ratchet.testing.announcers import RecordingAnnouncer
from ratchet.testing.batches import InMemoryBatches
from ratchet.testing.chat import Outcome, ScriptedChat
from ratchet.testing.clock import FakeClock, SequentialIds
from ratchet.testing.known_goals import InMemoryKnownGoals
from ratchet.testing.memories import InMemoryMemories
from ratchet.testing.queue import InMemoryInbox
from ratchet.testing.response_cache import InMemoryResponseCache
from ratchet.testing.routing_override import InMemoryRoutingOverride
from ratchet.testing.schedules import InMemorySchedules, InMemoryTimers
from ratchet.testing.signing_keys import InMemorySigningKeys
from ratchet.testing.store import InMemoryCheckpoints
from ratchet.testing.suspensions import InMemorySuspensions
from ratchet.testing.tenant_budgets import InMemoryTenantBudgets
from ratchet.testing.workflow import InMemoryWorkflow

ROUTING = RoutingTable.load(Path(__file__).parents[4] / "cdk" / "routing.yaml")


@dataclass
class RecordedMetrics:
    steps: list[StepRecord] = field(default_factory=list)

    def step_finished(self, record: StepRecord, *, task: Task) -> None:
        self.steps.append(record)


class World:
    """One deployment in memory. `chat` decides what the models say."""

    def __init__(
        self,
        *agents: Agent,
        chat: Iterable[Outcome] | Callable[[ModelCall], Outcome] = (),
        patience_seconds: int = 30,
        steps_per_execution: int = 500,
        kept: "tuple[CheckpointStore, FakeClock] | None" = None,
        tenant_caps: str = "none",
    ) -> None:
        self.clock = kept[1] if kept else FakeClock()
        self.ids = SequentialIds()
        self.memory = InMemoryCheckpoints(self.clock)
        self.store = cast("SessionStore", kept[0]) if kept else self.memory
        self.memo = InMemoryResponseCache(self.clock)
        self.cache: ResponseCache = self.memo
        self.goals = InMemoryKnownGoals(self.clock)
        self.budgets = InMemoryTenantBudgets()
        self.tenants = TenantGovernor(self.budgets, TenantCaps.parse(tenant_caps))
        self.suspensions = InMemorySuspensions()
        self.is_suspended = is_suspended = SuspendedTenants(self.suspensions, self.clock)
        self.facts: MemoryStore = InMemoryMemories(self.memory, self.clock)
        self.memories = Memories(self.facts, self.clock)
        self.inbox, self.outbox = InMemoryInbox(), InMemoryInbox()
        self.workflow = InMemoryWorkflow()
        self.metrics = RecordedMetrics()
        self.chat = ScriptedChat(chat)
        self.sns, self.webhook = RecordingAnnouncer("sns"), RecordingAnnouncer("webhook")
        self.registry = AgentRegistry({a.name: a for a in agents})
        self.patience_seconds, self.steps_per_execution = patience_seconds, steps_per_execution
        directory = AgentDirectory(self.registry.manifest(), default=agents[0].name)
        self.override = InMemoryRoutingOverride()
        models = DeployedModels()
        self.cancel = CancelTask(self.store, self.workflow, self.outbox, self.clock)
        self.submit = SubmitTask(
            store=self.store,
            inbox=self.inbox,
            agents=directory,
            clock=self.clock,
            ids=self.ids,
            check_webhook=lambda url: None,
            models=models,
            routing=OverridableRouting(self.override, models=models, clock=self.clock),
            cancel=self.cancel,
            is_suspended=is_suspended,
        )
        self.batches: BatchStore = InMemoryBatches(self.store, self.clock)
        self.lock = SessionLock(self.store, self.clock)
        cursors = Cursors(InMemorySigningKeys())
        self.sessions = Sessions(self.store, self.clock, cursors)
        self.fork = ForkTask.beside(self.submit)
        self.dispatch = DispatchTask(
            self.store,
            self.workflow,
            self.clock,
            sessions=self.lock,
            is_suspended=is_suspended,
        )
        self.read = ReadTask(self.store, self.clock)
        self.lists = ListTasks(self.store, cursors)
        self.events = TaskEvents(self.store, self.clock, cursors)
        self.usage = ReadUsage(self.store, self.clock)
        self.resume = ResumeTask(self.store, self.inbox, directory, self.clock, is_suspended)
        self.sweep = SweepTasks(
            self.store,
            self.inbox,
            self.outbox,
            self.workflow,
            self.clock,
            is_suspended=is_suspended,
        )
        self.decide = DecideInterrupt(self.store, self.inbox, self.outbox, self.clock)
        self.deliveries = Deliveries(self.store, self.outbox, self.clock, cursors)
        self.announce = AnnounceTask(
            self.store,
            (self.sns, self.webhook),
            self.clock,
            tenants=self.tenants,
            sessions=SessionReturn(self.lock, self.inbox),
            is_suspended=is_suspended,
        )

    @cached_property
    def schedules(self) -> Schedules:
        """What makes and deletes schedules."""
        records = InMemorySchedules(self.clock)
        return Schedules(records, InMemoryTimers(), self.submit, self.sessions.cursors)

    @property
    def run_schedule(self) -> RunSchedule:
        """What happens when a schedule is due."""
        return RunSchedule(self.schedules.store, self.schedules.timers, self.submit)

    @property
    def erase_user(self) -> UserErasure:
        """What deletes all that is kept of a user."""
        return UserErasure(self.store, self.memories, self.schedules.delete_of_user)

    def executor(self) -> ExecuteStep:
        """A fresh sandbox."""
        return ExecuteStep(
            store=self.store,
            chat=self.chat,
            agents=self.registry,
            clock=self.clock,
            ids=self.ids,
            metrics=self.metrics,
            warm=WarmHistories(),
            patience_seconds=self.patience_seconds,
            steps_per_execution=self.steps_per_execution,
            cache=self.cache,
            goals=GoalPorts(self.chat, self.goals),
            memories=self.memories,
            tenants=self.tenants,
            is_suspended=self.is_suspended,
        )

    def submitted(self, goal: str = "Find the answer.", **request: object) -> TaskRef:
        body = TaskRequest.model_validate({"goal": goal, **request})
        return self.submit(body, tenant="acme").task.ref

    def first(self, ref: TaskRef) -> StepOutput:
        """Dispatch the task; the input of its execution."""
        generation = self.tip(ref).state.generation + 1
        self.dispatch(Doorbell(ref, generation))
        return self.workflow.input_of(ref, generation)

    def step(
        self,
        state: StepOutput,
        *,
        executor: ExecuteStep | None = None,
        attempt: int = 0,
        failure: str | None = None,
        remaining: float = 300.0,
    ) -> StepOutput:
        """One invocation of step_executor with what the state machine would send."""
        route: Route = ROUTING.route(state.step.type, state.step.complexity)
        event = StepInput(state.task, state.step, route, state.execution, attempt, failure)
        return (executor or self.executor())(event, remaining_seconds=lambda: remaining)

    def run(self, ref: TaskRef, *, executor: ExecuteStep | None = None) -> History:
        """Run the task to its end, waits included."""
        return self.continue_from(self.first(ref), executor=executor)

    def continue_from(self, state: StepOutput, *, executor: ExecuteStep | None = None) -> History:
        """Run the task from a state of its execution to its end."""
        for _ in range(1_000):
            if state.action is Action.FINISH:
                return self.tip(state.task)
            if state.action is Action.WARN:
                self.announce_all(state.task)
            if state.action is Action.WAIT:
                self.clock.advance(state.wait_seconds)
            if state.action is Action.ROLL_OVER:
                self.workflow.end(state.task, state.execution.generation)
                state = self.first(state.task)
            state = self.step(state, executor=executor)
        raise AssertionError("the task does not end")

    def announce_all(self, ref: TaskRef) -> None:
        """The outbox rings once."""
        self.announce(Doorbell(ref))

    def due(self, *, before_days: float = 1) -> set[TaskRef]:
        """What somebody will look at by then."""
        by_then = self.clock.now_ms() + int(before_days * 24 * 3600 * 1000)
        return {
            due.ref
            for shard in due_shards()
            for due in self.store.due_tasks(shard, now_ms=by_then, limit=100)
        }

    def tip(self, ref: TaskRef) -> History:
        tip = self.store.load_tip(ref)
        assert tip is not None
        return tip

    def steps(self, ref: TaskRef) -> tuple[StepRecord, ...]:
        history = self.store.load(ref)
        assert history is not None
        return history.records
