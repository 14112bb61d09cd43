"""One deployment in virtual time: our handlers and use cases, and all that they stand on."""

import json
from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import Any

from ratchet.app.admission import Admission, SlotReturn
from ratchet.app.agents import AgentDirectory, AgentRegistry
from ratchet.app.announce_task import AnnounceTask
from ratchet.app.batches import SubmitBatch
from ratchet.app.cancel_task import CancelTask
from ratchet.app.cursors import Cursors
from ratchet.app.decide_interrupt import DecideInterrupt
from ratchet.app.deliveries import Deliveries
from ratchet.app.dispatch_task import DispatchTask
from ratchet.app.erase_tenant import EraseTenant
from ratchet.app.execute_step import ExecuteStep
from ratchet.app.fork_task import ForkTask
from ratchet.app.manage_tenants import ManageTenants
from ratchet.app.memories import Memories
from ratchet.app.resume_task import ResumeTask
from ratchet.app.session_lock import SessionLock, SessionReturn
from ratchet.app.sessions import Sessions
from ratchet.app.submit_task import SubmitTask
from ratchet.app.suspensions import SuspendedTenants, nobody
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.app.user_erasure import UserErasure
from ratchet.app.warm_histories import WarmHistories
from ratchet.contracts.errors import ModelRejected, ModelThrottled, ModelUnavailable
from ratchet.contracts.messages import Doorbell, StepInput, TaskRef
from ratchet.domain.models import Usage
from ratchet.domain.tools import ToolContext
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.signing_keys import InMemorySigningKeys
from tests.simulation.batches import BatchCalls
from tests.simulation.brain import UNSAFE, Brain, agents_of, large_text, owner, set_stage
from tests.simulation.calls import Errors, Network
from tests.simulation.canary import CANARY
from tests.simulation.doors import (
    Door,
    Machine,
    Numbers,
    Provider,
    Receiver,
    Silence,
    SkewedClock,
)
from tests.simulation.events import Events
from tests.simulation.faults import Injector
from tests.simulation.handlers import Beside, Context, handle
from tests.simulation.lambdas import Body, Event, Lambdas
from tests.simulation.ledger import Ledger
from tests.simulation.memories import MemoryCalls
from tests.simulation.orchestrator import Execution, Orchestrator
from tests.simulation.people import People
from tests.simulation.queues import Queue
from tests.simulation.scheduler import Life, Scheduler
from tests.simulation.sessions import Sittings
from tests.simulation.slots import Seats, rules_of
from tests.simulation.story import Story, Suspend
from tests.simulation.table import Checkpoints
from tests.simulation.tenancy import HoldingCalls, SuspensionCalls
from tests.simulation.verdict import judge

DIRECTORY = AgentDirectory(AgentRegistry(agents_of(1)).manifest(), default="loop")
TOOL = Errors(
    lambda: RuntimeError(f"503 for {CANARY}"), lambda: TimeoutError(f"no answer to {CANARY}")
)


class World:
    """A story with its faults. Run once."""

    def __init__(self, story: Story, injector: Injector) -> None:
        self.story = story
        self.injector = injector
        dice = None if story.seed is None else Random(story.seed)
        self.dice = dice
        self.scheduler = Scheduler()
        self.network = Network(self.scheduler, injector, dice)
        self.clock = SkewedClock(self.scheduler)
        self.ledger = Ledger(self.scheduler, story, injector)
        self.store = Checkpoints(
            self.network, self.clock, dice, self.ledger, inline_bytes=story.inline_bytes
        )
        self.ledger.watch(self.store.twin)
        self.store.seats = Seats(
            self.store.twin,
            rules_of(story),
            now_ms=lambda: self.scheduler.now_ms,
            last_trouble_ms=lambda: max(injector.last_fault_ms, story.lambda_throttled_ms),
            violate=self.ledger.violate,
        )
        self.store.sittings = Sittings(self.store.twin, self.ledger.violate)
        self.memories = MemoryCalls(self.network, self.store.twin, self.clock, self.ledger.violate)
        self.network.passed = self.ledger.passed
        self.lambdas = Lambdas(self.network, self._body, self._skew_ms)
        self.lambdas.throttled_until_ms = story.lambda_throttled_ms
        self._queues()
        self.orchestrator = Orchestrator(
            self.network,
            self.lambdas,
            {"inbox": self.inbox, "outbox": self.outbox},
            dice=dice,
            ledger=self.ledger,
            on_death=self._on_death,
        )
        self.orchestrator.dying = story.dying_executions
        self.orchestrator.spared_steps = story.spared_steps
        self.orchestrator.dying_steps = story.dying_steps
        self.events = Events(
            self.network,
            self.lambdas,
            self.store.index,
            is_idle=self.is_idle,
            is_waited=self.store.seats.is_waited,
            next_visit_ms=self._next_visit_ms,
            skew_ms=story.max_skew_ms,
        )
        self.deadly_calls = story.deadly_calls
        self.silent_calls, self.lost_calls = story.silent_calls, story.lost_calls
        self.suspensions = SuspensionCalls(self.network, self.ledger.violate)
        self.store.fence = self.suspensions
        self.network.passing = self.suspensions.passed
        self.store.seats.stands_still = self.suspensions.stands_still
        self.suspensions.changed = self.store.seats.look
        self._ports()
        self._offices()
        self.people = People(self)

    def _queues(self) -> None:
        self.inbox = Queue(
            "inbox", "dispatcher", self.network, self.lambdas, visibility_seconds=180
        )
        self.outbox = Queue(
            "outbox", "deliverer", self.network, self.lambdas, visibility_seconds=360
        )

    def _ports(self) -> None:
        network, clock = self.network, self.clock
        inbox, outbox = Door(network, self.inbox), Door(network, self.outbox)
        workflow = Machine(network, self.orchestrator)
        self.ids = Numbers()
        self.sns = Receiver("sns", network)
        self.webhook = Receiver("webhook", network)
        self.webhook.down_until_ms = self.story.webhook_down_ms
        self.webhook.gone_until_ms = self.story.webhook_gone_ms
        self.ledger.receivers = (self.sns, self.webhook)
        self.brain = Brain(self.story.fickle)
        self.chat = Provider(network, self._answer, self._charged)
        self.cancel = CancelTask(self.store, workflow, outbox, clock)
        self.submit = SubmitTask(
            store=self.store,
            inbox=inbox,
            agents=DIRECTORY,
            clock=clock,
            ids=self.ids,
            check_webhook=lambda url: None,
            cancel=None if self.story.spares_holders else self.cancel,
            is_suspended=self._is_suspended(),
        )
        self.fork = ForkTask.beside(self.submit)
        self.resume = ResumeTask(self.store, inbox, DIRECTORY, clock, self._is_suspended())
        self.decide = DecideInterrupt(self.store, inbox, outbox, clock)
        self.deliveries = Deliveries(self.store, outbox, clock, Cursors(InMemorySigningKeys()))
        self._inbox, self._outbox, self._workflow = inbox, outbox, workflow

    def _offices(self) -> None:
        """What operators use, and callers who submit much or want to be forgotten."""
        self.batches = BatchCalls(self.store, self.network, self.clock)
        self.submit_batch = SubmitBatch.of(self.submit, self.batches)
        self.tenants = ManageTenants(self.suspensions, self.clock)
        self.holdings = HoldingCalls(self.store, self.network, self.store.twin)
        self.erase_tenant = EraseTenant(self.tenants, self.store, self._workflow, (self.holdings,))
        cursors = Cursors(InMemorySigningKeys())
        self.sessions = Sessions(self.store, self.clock, cursors)
        self.erase_user = UserErasure(self.store, Memories(self.memories, self.clock))

    def _is_suspended(self) -> Callable[[str], bool]:
        """What one sandbox knows of suspended tenants; nothing where there never are any."""
        if not any(isinstance(act, Suspend) for act in self.story.acts):
            return nobody
        return SuspendedTenants(self.suspensions, self.clock)

    def _on_death(self, execution: Execution) -> None:
        self.events.execution_ended(execution)

    def run(self) -> list[str]:
        """Play the story to its end; what was violated."""
        Beside.network = self.network
        set_stage(self)
        try:
            self.people.begin()
            self.events.begin()
            if self.story.deployed_at_ms:
                self.scheduler.at(self.story.deployed_at_ms, self.lambdas.upgrade)
            if self.story.robbed_at_ms:
                self.scheduler.at(self.story.robbed_at_ms, self.store.bucket.clear)
            if self.story.poison_at_ms:
                self.scheduler.at(self.story.poison_at_ms, lambda: self.inbox.put("{}"))
            self.scheduler.run(until_ms=self.story.limit_ms, is_over=self.is_over)
            judge(self.ledger, self)
        finally:
            self.scheduler.close()
            set_stage(None)
        return self.ledger.violations

    def take_apart(self) -> None:
        """Forget everything: the parts know each other in circles, and are freed sooner without."""
        for part in list(vars(self).values()):
            if hasattr(part, "__dict__"):
                vars(part).clear()
        vars(self).clear()

    def _next_visit_ms(self) -> int | None:
        return self.people.visitors.next_ms()

    def is_idle(self) -> bool:
        """Whether nothing is on its way, but for what the sweeper will find."""
        return not (self.scheduler.busy or self.inbox.messages or self.outbox.messages)

    def is_over(self) -> bool:
        """Whether nothing will ever happen again, but for the end of retention."""
        is_expected = self.events.coming or self.people.visitors.coming
        if not self.is_idle() or is_expected or not self.store.index.is_settled:
            return bool(self.ledger.violations)
        return self.ledger.is_at_rest()

    def use(self, name: str, context: ToolContext, argument: int) -> str:
        """A tool of ours is called."""
        life = self.network.life()
        self.suspensions.passed(f"tool {name}", owner(context).tenant)
        self.ledger.tool_called(name, owner(context), life.step, argument)

        def effect() -> str:
            key = context.idempotency_key
            if name in UNSAFE and self.deadly_calls:
                self.deadly_calls -= 1
                self.network.die(life)
            is_silent, is_lost = self._is_unheard() if name in UNSAFE else (False, False)
            if not is_lost:
                self.ledger.tool_acted(name, owner(context), life.step, key, argument)
            if is_silent or is_lost:
                raise TOOL.unknown()
            return f"{name} {argument} {CANARY}" if name != "fetch" else large_text(argument)

        return self.network.call(f"tool.{name}", effect, TOOL)

    def _is_unheard(self) -> tuple[bool, bool]:
        """Whether an unsafe call gives no answer: because it was lost, or though it happens."""
        if self.silent_calls:
            self.silent_calls -= 1
            return True, False
        is_lost = self.lost_calls > 0
        self.lost_calls -= is_lost
        return False, is_lost

    def check(self, name: str, context: ToolContext, argument: int) -> str | None:
        """Somebody looks, for a tool of ours, whether a call has happened."""

        def effect() -> str | None:
            has_happened = self.ledger.happened(owner(context), context.idempotency_key)
            return f"{name} {argument} {CANARY}" if has_happened else None

        return self.network.call("tool.check", effect, TOOL)

    def _answer(self, call: ModelCall) -> ModelAnswer:
        now = self.scheduler.now_ms
        for ref in _subject(self.network.life()):
            self.suspensions.passed("a model call", ref.tenant)
        if now < self.story.throttled_ms:
            raise ModelThrottled(f"429 for {CANARY}", 30.0)
        if now < self.story.outage_ms:
            raise ModelUnavailable(f"503 for {CANARY}")
        if self.story.rejecting_after_ms <= now < self.story.rejecting_ms:
            raise ModelRejected(f"402 for {CANARY}")
        return self.brain(call)

    def _charged(self, usage: Usage) -> None:
        life = self.network.life()
        if isinstance(life.subject, frozenset):
            (ref,) = life.subject
            self.ledger.asked(ref, life.step, usage)

    def _skew_ms(self) -> int:
        most = self.story.max_skew_ms
        return 0 if self.dice is None or not most else self.dice.randint(-most, most)

    def _body(self, role: str, version: int) -> Body:
        match role:
            case "step_executor":
                return self._step_executor(version)
            case "sweeper":
                sweep = self._sweeper()
                return lambda event: handle(role, sweep, event, _ENDLESS)
            case "dispatcher" | "deliverer":
                use = self._dispatcher() if role == "dispatcher" else self._deliverer()
                return lambda event: self._batch(role, use, event)
            case _:
                return lambda event: event["call"]()

    def _admission(self) -> Admission | None:
        """What one sandbox remembers of slots; None where nothing is limited."""
        rules = self.store.seats.rules
        return (
            Admission(self.store, self.clock, rules, self._is_suspended()) if rules.is_on else None
        )

    def _dispatcher(self) -> DispatchTask:
        lock = SessionLock(self.store, self.clock)
        return DispatchTask(
            self.store,
            self._workflow,
            self.clock,
            self._admission(),
            lock,
            self._is_suspended(),
        )

    def _deliverer(self) -> AnnounceTask:
        admission = self._admission()
        slots = None if admission is None else SlotReturn(admission, self._inbox)
        sessions = SessionReturn(SessionLock(self.store, self.clock), self._inbox)
        announcers = (self.sns, self.webhook)
        return AnnounceTask(
            self.store,
            announcers,
            self.clock,
            slots,
            sessions=sessions,
            is_suspended=self._is_suspended(),
        )

    def _sweeper(self) -> SweepTasks:
        admission = self._admission()
        return SweepTasks(
            self.store,
            self._inbox,
            self._outbox,
            self._workflow,
            self.clock,
            admission,
            None if admission is None else self._inbox,
            self._is_suspended(),
        )

    def _batch(self, role: str, use: Callable[[Any], Any], event: Event) -> Any:
        bodies = [record["body"] for record in event["Records"] if record["body"] != "{}"]
        bells = map(_doorbell, bodies)
        self.network.life().subject = frozenset(bell.task for bell in bells)
        return handle(role, use, event, _ENDLESS)

    def _step_executor(self, version: int) -> Body:
        use = ExecuteStep(
            store=self.store,
            chat=self.chat,
            agents=AgentRegistry(agents_of(version)),
            clock=self.clock,
            ids=self.ids,
            metrics=Silence(),
            warm=WarmHistories(),
            patience_seconds=self.story.patience_seconds,
            steps_per_execution=self.story.steps_per_execution,
            throttles=self.store if self.store.seats.rules.is_on else None,
            memories=Memories(self.memories, self.clock),
            is_suspended=self._is_suspended(),
        )

        def body(event: Event) -> Any:
            life = self.network.life()
            life.step = event["step"]["number"]
            life.subject = frozenset([StepInput.task_of(event)])
            if event.get("failure"):
                life.began_ms = 0  # it ends the task, which a suspension does not keep it from

            def remaining_ms() -> float:
                return float(life.ends_at_ms - self.scheduler.now_ms)

            return json.dumps(handle("step_executor", use, event, Context(remaining_ms)))

        return body


@lru_cache(maxsize=1024)
def _doorbell(body: str) -> Doorbell:
    return Doorbell.from_json(body)


def _subject(life: Life) -> frozenset[TaskRef]:
    return life.subject if isinstance(life.subject, frozenset) else frozenset()


_ENDLESS = Context(lambda: 30_000.0)
