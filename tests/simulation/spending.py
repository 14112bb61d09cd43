"""Budgets under faults: the real step executor on an in-memory table, in virtual time, with attempts beside each other.

A light world of its own: one task a run, or several of a tenant with a daily cap; no queues and no API. What the
provider charges is counted where it is charged, also when the answer never arrives, and compared with the caps and with
the ledger.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, TypeVar, cast

from ratchet import Agent, Limits, tool
from ratchet.app.agents import AgentDirectory, AgentRegistry
from ratchet.app.decide_interrupt import DecideInterrupt
from ratchet.app.execute_step import ExecuteStep
from ratchet.app.resume_task import ResumeTask
from ratchet.app.spending import Sending
from ratchet.app.tenant_allowance import TenantGovernor
from ratchet.app.warm_histories import WarmHistories
from ratchet.budget_ports import TenantBudgets
from ratchet.contracts.charge import NO_CHARGE, Charge
from ratchet.contracts.errors import (
    AttemptLost,
    ExecutionFailed,
    ModelThrottled,
    ModelUnavailable,
    RetryableError,
    StoreUnavailable,
)
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.limits import DEFAULT_MAX_TOKENS
from ratchet.contracts.messages import (
    Allowance,
    ExecutionRef,
    Route,
    StepInput,
    StepOutput,
    StepRef,
    TaskRef,
)
from ratchet.contracts.names import Action, Complexity, StepType, TaskStatus
from ratchet.contracts.request_errors import TaskNotResumable
from ratchet.contracts.task_api import LimitsRequest, ResumeRequest
from ratchet.contracts.tenant_caps import TenantCaps
from ratchet.domain.allowance import Move
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage, built_in
from ratchet.domain.steps import End, Failure, Paused, Step
from ratchet.domain.task import Task, TaskLimits, end_record
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.ports import ANY_ATTEMPT
from ratchet.testing.clock import SequentialIds
from ratchet.testing.queue import InMemoryInbox
from ratchet.testing.store import InMemoryCheckpoints
from ratchet.testing.tenant_budgets import InMemoryTenantBudgets
from tests.simulation.scheduler import Killed, Life, Scheduler

T = TypeVar("T")

START_MS = 1_767_225_600_000
TIMEOUT_MS = 330_000
STEP_SECONDS = 300.0
MAX_TRIES = 6
MAX_RESTARTS = 3
TENANT = "acme"
DAY_MS = 24 * 3600 * 1000
ROUTES = {
    Complexity.SIMPLE: Route("act", ("gpt-4o-mini", "gpt-4.1-mini"), ("gpt-4o",)),
    Complexity.COMPLEX: Route("act hard", ("gpt-4o", "gpt-4o-mini"), cheaper=("gpt-4.1-mini",)),
}
MODELS = built_in()
MANY_TOKENS = DEFAULT_MAX_TOKENS


@tool(effect="read")
def look(n: int) -> str:
    """Read something."""
    return "seen " * n


@tool(effect="unsafe")
def pay(n: int) -> str:
    """Move money."""
    return f"paid {n}"


AGENT = Agent("loop", "Loop.", tools=[look, pay], policy="react", limits=Limits(max_cost_usd=5.0))
REGISTRY = AgentRegistry({AGENT.name: AGENT})


class World:
    """One tenant with its tasks, its provider, its table and everybody who runs the steps."""

    def __init__(self, seed: int) -> None:
        self.seed, self.dice = seed, Random(seed)
        self.rate = self.dice.choice((0.0, 0.03, 0.08, 0.2))
        self.scheduler = Scheduler()
        self.memory = InMemoryCheckpoints(self)
        self.store = Wire(self, self.memory)
        self.ids = SequentialIds()
        self.faults = self.calls = self.unanswered = self.beside = 0
        self.steps_per_execution = self.dice.choice((2, 500))
        self.is_capped = self.dice.random() < 0.3
        self.starts_ms = START_MS + (self.dice.random() < 0.2) * (DAY_MS - 60_000)
        self.books = Books(self)
        self.tenant_cap = 0
        self.charged_on: Counter[str] = Counter()
        count = self.dice.randint(2, 4) if self.is_capped else 1
        self.tasks = {task.ref.task_id: task for task in (Played(self, n) for n in range(count))}
        self.tenants = self._tenants()

    def _tenants(self) -> TenantGovernor:
        if not self.is_capped:
            return TenantGovernor()
        together = sum(task.cap for task in self.tasks.values())
        self.tenant_cap = int(together * self.dice.uniform(0.1, 1.2) * 1_000_000)
        caps = TenantCaps({TENANT: self.tenant_cap})
        return TenantGovernor(cast("TenantBudgets", Wire(self, self.books)), caps)

    def now_ms(self) -> int:
        return self.starts_ms + self.scheduler.now_ms

    def monotonic(self) -> float:
        return self.scheduler.now_ms / 1000

    def sleep(self, seconds: float) -> None:
        self.scheduler.sleep(int(seconds * 1000))

    def run(self) -> None:
        """Play all tasks to their end, side by side."""
        for task in self.tasks.values():
            task.begin()
        try:
            self.scheduler.run(until_ms=10**12, is_over=lambda: False)
        finally:
            self.scheduler.close()

    def step_executor(self) -> ExecuteStep:
        """A fresh sandbox."""
        return ExecuteStep(
            store=self.store,
            chat=self,
            agents=REGISTRY,
            clock=self,
            ids=self.ids,
            metrics=self,
            warm=WarmHistories(),
            patience_seconds=60,
            steps_per_execution=self.steps_per_execution,
            clock_margin_seconds=1,
            tenants=self.tenants,
        )

    def step_finished(self, record: Any, *, task: Task) -> None:
        """The Metrics."""

    # The provider

    def complete(self, call: ModelCall) -> ModelAnswer:
        """The ChatModel: what is charged is counted even when the answer never arrives."""
        self.calls += 1
        fault = self.dice.random() < self.rate
        kind = self.dice.randrange(8) if fault else -1
        self.faults += fault
        self.scheduler.sleep(self.dice.randrange(500, 20_000))
        if kind == 0:
            raise ModelThrottled("429", 2.0)
        if kind == 1:
            raise ModelUnavailable("no connection", may_have_spent=False)
        if kind == 2:
            self._die()
        if kind == 3:
            self.scheduler.sleep(self.dice.randrange(20_000, 700_000))
        answer = self._charged(call)
        if kind in (4, 5, 6):
            self.unanswered += 1
        if kind == 4:
            raise ModelUnavailable("timeout")
        if kind == 5:
            self._die()
        if kind == 6:
            self.scheduler.sleep(self.dice.randrange(20_000, 700_000))
        return answer

    def _charged(self, call: ModelCall) -> ModelAnswer:
        dice, most = self.dice, call.prompt.estimated_tokens()
        given = most if dice.random() < 0.3 else dice.randint(most // 3, most)
        out = call.max_output_tokens
        said = out if dice.random() < 0.3 else dice.randint(1, out)
        cached = dice.randint(0, given)
        usage = Usage(given, cached, said, 0, dice.randint(0, given - cached))
        cost = MODELS.spec(call.model).cost_microusd(usage)
        charge = Charge(cost, usage.total_tokens)
        self.tasks[call.sticky_key].charge(charge, step=self.scheduler.me().life.step)
        self.charged_on[_covered_on(call)] += cost
        roll = dice.random()
        if roll < 0.12:
            return ModelAnswer(None, (ToolCall("c", "nothing", "{}"),), "tool_calls", usage)
        if roll < 0.2 or call.prompt.tool_choice == "none":
            return ModelAnswer("done", (), "stop", usage)
        name = "pay" if roll < 0.45 else "look"
        arguments = f'{{"n":{dice.randint(1, 400)}}}'
        return ModelAnswer(None, (ToolCall("c", name, arguments),), "tool_calls", usage)

    def _die(self) -> None:
        self.scheduler.me().life.is_dead = True
        raise Killed

    def wire(self, name: str, effect: Callable[[], T]) -> T:
        """One call of the store."""
        scheduler, dice = self.scheduler, self.dice
        scheduler.sleep(dice.randrange(5, 40))
        if dice.random() >= self.rate:
            return effect()
        self.faults += 1
        kind = dice.randrange(5)
        if kind == 0:
            raise StoreUnavailable("throttled")
        if kind == 1:
            effect()
            raise StoreUnavailable("the answer was lost")
        if kind == 2:
            self._die()
        if kind == 3:
            effect()
            self._die()
        scheduler.sleep(dice.randrange(20_000, 700_000))
        return effect()


def _token_cap(dice: Random) -> int:
    """Of some tasks so few that a step or two use them up; of the others more than they can use."""
    return int(10 ** dice.uniform(3.0, 4.7)) if dice.random() < 0.4 else MANY_TOKENS


class Played:
    """One task and what runs its steps: the state machine, the dispatcher, the sweeper, the deliverer, and people."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.ref = TaskRef(TENANT, f"task_{number:026d}")
        self.cap = round(10 ** world.dice.uniform(-3.3, -0.3), 4)
        self.token_cap = _token_cap(Random(f"{world.seed}/tokens/{number}"))
        self.alive = 0
        self.charged = NO_CHARGE
        self.charged_at: defaultdict[int, Charge] = defaultdict(Charge)
        self.overshoot = False

    def begin(self) -> None:
        """Submit it."""
        dice, scheduler = self.world.dice, self.world.scheduler
        first = Step(StepType.TOOL_DISPATCH, dice.choice(list(Complexity)))
        limits = TaskLimits(6, self.cap, self.token_cap, deadline_seconds=24 * 3600)
        task = Task(
            self.ref, "Do it.", AGENT.name, AGENT.version, first, limits, self.world.now_ms()
        )
        self.world.memory.create_task(task, claim=None, due_at_ms=0)
        scheduler.spawn(self._life_of_task, Life("state machine"))
        if dice.random() < 0.05:
            cancel = partial(self._end, End(TaskStatus.CANCELLED))
            scheduler.spawn(cancel, Life("cancel"), delay_ms=dice.randrange(60_000))

    @property
    def caps(self) -> Charge:
        """What it may be charged."""
        return Charge(int(self.cap * 1_000_000), self.token_cap)

    def charge(self, charge: Charge, *, step: int) -> None:
        """What the provider charges for a call."""
        self.charged += charge
        self.charged_at[step] += charge
        self.overshoot |= bool(self.charged.beyond(self.caps))

    def _deliverer(self) -> None:
        """One message; it comes back when this fails."""
        try:
            self.world.tenants.give_back(self.world.store, self.ref)
        except (StoreUnavailable, Killed):
            self.world.scheduler.spawn(self._deliverer, Life("deliverer"), delay_ms=30_000)

    # The state machine, the dispatcher and the sweeper

    def _life_of_task(self) -> None:
        generation, restarts, resumes = 1, 0, 0
        while True:
            tip = self.world.memory.load_tip(self.ref)
            if tip is None:
                return
            if not isinstance(tip.next, Step):
                late_ms = self.world.dice.randrange(300_000)
                self.world.scheduler.spawn(self._deliverer, Life("deliverer"), delay_ms=late_ms)
                self.world.scheduler.sleep(self.world.dice.randrange(600_000))
                if resumes >= 2 or self.world.dice.random() < 0.6 or not self._goes_on():
                    return
                resumes, restarts = resumes + 1, 0
                continue
            execution = ExecutionRef(generation, tip.next_number, restarts=restarts)
            step = StepRef(tip.next_number, tip.next.type, tip.next.complexity)
            died = self._execution(StepOutput(self.ref, Action.STEP, step, execution))
            generation += 1
            restarts = restarts + 1 if died else 0
            if restarts > MAX_RESTARTS:
                self._give_up_task()
                restarts = 0

    def _give_up_task(self) -> None:
        """As the sweeper does with a task whose executions keep dying."""
        self._end(End(TaskStatus.FAILED, failure=Failure(ExecutionFailed.code, "they died")))

    def _end(self, end: End) -> None:
        tip = self.world.memory.load_tip(self.ref)
        if tip is not None and not isinstance(tip.next, End):
            record = end_record(tip, end, now_ms=self.world.now_ms())
            self.world.memory.commit(tip.task, record, due_at_ms=0, effects_of=ANY_ATTEMPT)

    def _goes_on(self) -> bool:
        """A person answers, or resumes the task with more money."""
        tip = self.world.memory.load_tip(self.ref)
        if tip is None:
            return False
        inbox = InMemoryInbox()
        if isinstance(tip.next, Paused):
            decide = DecideInterrupt(self.world.memory, inbox, inbox, self.world)
            for interrupt in tip.next.interrupts:
                decide(self.ref, interrupt.id, DecisionRequest(answer="happened"))
            return True
        directory = AgentDirectory(REGISTRY.manifest(), default=AGENT.name)
        more = min(5.0, round(self.cap * 2, 4))
        more_tokens = min(MANY_TOKENS, self.token_cap * 2)
        limits = LimitsRequest(max_cost_usd=more, max_tokens=more_tokens)
        try:
            resume = ResumeTask(self.world.memory, inbox, directory, self.world)
            resume(self.ref, ResumeRequest(limits=limits))
        except TaskNotResumable:
            return False
        self.cap, self.token_cap = more, more_tokens
        return True

    def _execution(self, state: StepOutput) -> bool:
        """One execution; whether it died."""
        while state.action in (Action.STEP, Action.WAIT, Action.WARN):
            if state.action is Action.WAIT:
                self.world.scheduler.sleep(state.wait_seconds * 1000)
            following = self._task_state(state)
            if following is None:
                return True
            state = following
        return False

    def _task_state(self, state: StepOutput) -> StepOutput | None:
        tries, unspent, failure = 0, 0, None
        while True:
            if self.world.dice.random() < self.world.rate / 4:
                return None  # the execution dies before the call
            if self.world.dice.random() < self.world.rate / 2:
                self.world.scheduler.sleep(2_000)  # a throttled sandbox
                continue
            answer = self._invoke(state, tries, failure)
            if isinstance(answer, StepOutput):
                return answer
            if self.world.dice.random() < self.world.rate / 4:
                return None  # or while nobody waits for its answer
            if isinstance(answer, RetryableError) and not isinstance(answer, AttemptLost):
                unspent += 1
                failure = failure or (f"{type(answer).__name__}: x" if unspent > 6 else None)
            elif isinstance(answer, Exception) and not isinstance(answer, AttemptLost):
                raise answer
            else:
                tries += 1
                failure = failure or ("Lambda.Unknown: x" if tries > MAX_TRIES else None)
            self.world.scheduler.sleep(self.world.dice.randrange(1_000, 20_000))

    def _invoke(self, state: StepOutput, tries: int, failure: str | None) -> Any:
        step = state.step
        route = ROUTES[step.complexity]
        if failure:
            models = dict.fromkeys(m for r in ROUTES.values() for m in (*r.models, *r.cheaper))
            route = Route("any", tuple(models))
        event = {
            **state.to_dict(),
            "route": route.to_dict(),
            "attempt": tries,
            "failure": failure and {"Error": failure.split(":")[0], "Cause": "x"},
        }
        life = Life("step_executor")
        life.step = step.number
        self.alive += 1
        self.world.beside += self.alive > 1
        process = self.world.scheduler.spawn(lambda: self._sandbox(event), life)
        patience = TIMEOUT_MS
        if self.world.dice.random() < self.world.rate / 2:
            patience = self.world.dice.randrange(
                5_000
            )  # the client gives up on a Lambda that runs on
        if not self.world.scheduler.wait(process.done, timeout_ms=patience):
            return None
        if process.done.error is not None:
            return None if isinstance(process.done.error, Killed) else process.done.error
        return None if self.world.dice.random() < self.world.rate / 4 else process.done.value

    def _sandbox(self, event: Any) -> StepOutput:
        try:
            return self.world.step_executor()(
                StepInput.from_event(event), remaining_seconds=lambda: STEP_SECONDS
            )
        finally:
            self.alive -= 1


class Books(InMemoryTenantBudgets):
    """Remember when each task drew last."""

    def __init__(self, clock: "World") -> None:
        super().__init__()
        self._clock = clock
        self.moved_at_ms: dict[str, int] = {}

    def move(self, ref: TaskRef, move: Move) -> Allowance | None:
        if move.microusd > 0:
            self.moved_at_ms[ref.task_id] = self._clock.now_ms()
        return super().move(ref, move)


def _covered_on(call: ModelCall) -> str:
    """The day that a call was covered in; "" without a daily cap."""
    sending = getattr(call.again, "__self__", None)
    stands = sending.spending.allowance.stands if isinstance(sending, Sending) else None
    return "" if stands is None else stands.day


class Wire:
    """The store behind a network."""

    def __init__(self, world: World, memory: InMemoryCheckpoints | InMemoryTenantBudgets) -> None:
        self._world = world
        self._memory = memory

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._memory, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._world.wire(name, lambda: method(*args, **kwargs))

        return call
