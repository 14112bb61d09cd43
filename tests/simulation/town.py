"""Admission in virtual time: queues, dispatchers, deliverers and the sweeper with our use cases in them, and no models.

An execution lasts as long as the dice say and then commits the end of its task.
"""

import heapq
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Any

from ratchet.app.admission import Admission, SlotReturn
from ratchet.app.announce_task import AnnounceTask
from ratchet.app.dispatch_task import DispatchTask
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.contracts.errors import RatchetError
from ratchet.contracts.limits import RING_AGAIN_SECONDS
from ratchet.contracts.messages import Doorbell, StepOutput, TaskRef
from ratchet.contracts.names import Complexity, InterruptKind, StepType, TaskStatus
from ratchet.domain.slots import AdmissionRules
from ratchet.domain.steps import End, Interrupt, Paused, Step, StepRecord, StepResult, Totals
from ratchet.domain.task import Task, TaskLimits, announce_by
from ratchet.observability import logger
from ratchet.ports import Event, Reopening
from ratchet.testing.clock import FakeClock
from ratchet.testing.store import InMemoryCheckpoints
from ratchet.testing.workflow import InMemoryWorkflow
from tests.simulation.town_queues import Died, FairQueue, Faults, Message, Port

PER_MESSAGE = 0.1  # seconds
BATCHES = {"inbox": 10, "outbox": 5}
ACTING = Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE)


class Ears:
    """Hears every announcement; a repeated one has the same id."""

    channel = "sns"

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.refs: set[TaskRef] = set()

    def announce(self, event: Event, *, target: str | None) -> str:
        data = json.loads(event.body)["data"]
        self.ids.add(event.id)
        self.refs.add(TaskRef(event.attributes["tenant"], data["task_id"]))
        return "heard"


class Machine(InMemoryWorkflow):
    """Runs what it starts: the end of the task comes after a while."""

    def __init__(self, town: "Town") -> None:
        super().__init__()
        self._town = town

    def start(self, first: StepOutput) -> str | None:
        known = len(self.executions)
        version = super().start(first)
        if len(self.executions) > known:
            self._town.execution_started(first)
        return version


class Town:
    """One deployment. `asks` of a task's number says whether its first execution ends with a question."""

    def __init__(
        self,
        rules: AdmissionRules,
        *,
        seed: int = 1,
        faults: Faults | None = None,
        seconds: tuple[float, float] = (20.0, 40.0),
        asks: Callable[[int], bool] = lambda _: False,
        is_fair_queue: bool = True,
        check: Callable[["Town"], None] = lambda _: None,
    ) -> None:
        self.clock = FakeClock()
        self.rules, self.dice = rules, Random(seed)
        self.faults = faults or Faults()
        self.memory = InMemoryCheckpoints(self.clock)
        self.machine = Machine(self)
        self.inbox = self._queue("inbox", is_fair_queue)
        self.outbox = self._queue("outbox", is_fair_queue)
        self.heard = Ears()
        self.events_due = 0
        self.started: dict[TaskRef, float] = {}
        self.submitted: dict[TaskRef, float] = {}
        self._seconds, self._asks, self._check = seconds, asks, check
        self._tasks = count(1)
        self._order = count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._idle = {"inbox": 5, "outbox": 5}
        self._sandboxes: dict[str, list[Any]] = {"inbox": [], "outbox": []}
        self.after(30, self._sweep)

    def _queue(self, name: str, is_fair: bool) -> FairQueue:
        return FairQueue(name, is_fair=is_fair, after=self.after, poll=self.poll)

    # Time

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), what))

    def run(self, *, most_seconds: float = 1e6) -> None:
        """Until every task has ended and nothing is under way."""
        while not self.is_over():
            at, _, what = heapq.heappop(self._agenda)
            assert at < most_seconds, "the tasks do not end"
            self.clock.advance(max(at - self.now, 0))
            what()
            self._check(self)

    def is_over(self) -> bool:
        quiet = not (self.inbox.depth() or self.outbox.depth())
        return quiet and len(self.heard.ids) >= self.events_due and self._all_returned()

    def _all_returned(self) -> bool:
        return self._idle == {"inbox": 5, "outbox": 5} and not self.memory.counts(()).total

    # People

    def submit(self, tenant: str, *, number: int = 1, at: float = 0.0, priority: int = 5) -> None:
        self.events_due += number
        for _ in range(number):
            self.after(at, lambda: self._submit(tenant, priority))

    def _submit(self, tenant: str, priority: int) -> None:
        ref = TaskRef(tenant, f"task_{next(self._tasks):026d}")
        now = self.clock.now_ms()
        limits = TaskLimits(deadline_seconds=30 * 24 * 3600)
        task = Task(ref, "x", "a", "1", ACTING, limits, now, priority=priority)
        due = now + RING_AGAIN_SECONDS * 1000
        self.memory.create_task(task, claim=None, due_at_ms=due)
        self.submitted[ref] = self.now
        self.events_due += self._asks(_number(ref))
        self.inbox.send(Doorbell(ref))

    # The functions

    def poll(self, queue: FairQueue) -> None:
        """An idle consumer takes a batch."""
        while self._idle[queue.name] and queue.depth():
            self._idle[queue.name] -= 1
            batch = [
                message
                for _ in range(BATCHES[queue.name])
                if (message := queue.receive()) is not None
            ]
            pool = self._sandboxes[queue.name]
            handler = pool.pop() if pool else self._sandbox(queue.name)
            self._go_on(queue, handler, batch)

    def _go_on(self, queue: FairQueue, handler: Any, batch: list[Message]) -> None:
        if not batch:
            self._idle[queue.name] += 1
            self._sandboxes[queue.name].append(handler)
            self.poll(queue)
            return
        message, *rest = batch

        def handled() -> None:
            try:
                handler(Doorbell.from_json(message.body))
            except RatchetError:
                queue.done(message, ok=False)
            except Died:
                for lost in batch:
                    queue.done(lost, ok=False)
                self._idle[queue.name] += 1
                self.poll(queue)
                return
            else:
                queue.done(message, ok=True)
            self._go_on(queue, handler, rest)

        self.after(PER_MESSAGE, handled)

    def _sandbox(self, name: str) -> Any:
        """A new one: it remembers nothing."""
        store: Any = Port("store", self.memory, self.faults)
        inbox: Any = Port("inbox", self.inbox, self.faults)
        if name == "outbox":
            slots = SlotReturn(Admission(store, self.clock, self.rules), inbox)
            return AnnounceTask(store, (self.heard,), self.clock, slots)
        machine: Any = Port("machine", self.machine, self.faults)
        admission = Admission(store, self.clock, self.rules) if self.rules.is_on else None
        return DispatchTask(store, machine, self.clock, admission)

    def _sweep(self) -> None:
        self.after(60, self._sweep)
        store: Any = Port("store", self.memory, self.faults)
        inbox: Any = Port("inbox", self.inbox, self.faults)
        sweep = SweepTasks(
            store,
            inbox,
            self.outbox,
            self.machine,
            self.clock,
            Admission(store, self.clock, self.rules),
            self.inbox,
        )
        try:
            sweep()
        except (Died, RatchetError):
            return

    # The state machine

    def execution_started(self, first: StepOutput) -> None:
        ref, generation = first.task, first.execution.generation
        self.started.setdefault(ref, self.now)
        asks = generation == 1 and self._asks(_number(ref))
        self.after(self.dice.uniform(*self._seconds), lambda: self._end(ref, generation, asks))

    def _end(self, ref: TaskRef, generation: int, asks: bool) -> None:
        tip = self.memory.load_tip(ref)
        assert tip is not None
        if isinstance(tip.next, Step):
            following = self._question() if asks else End(TaskStatus.SUCCEEDED, output={})
            record = self._record(tip.next_number, following)
            self.memory.commit(tip.task, record, due_at_ms=announce_by(record))
            if asks:
                self.after(self.dice.uniform(0.0, 100.0), lambda: self._answer(ref))
        self.machine.end(ref, generation)
        self.outbox.send(Doorbell(ref))

    def _answer(self, ref: TaskRef) -> None:
        tip = self.memory.load_tip(ref)
        assert tip is not None
        now = self.clock.now_ms()
        record = self._record(tip.next_number, ACTING)
        due = now + RING_AGAIN_SECONDS * 1000
        # People answer what they have heard of.
        if ref not in self.heard.refs:
            self.after(60, lambda: self._answer(ref))
            return
        assert self.memory.reopen(tip, Reopening(record, tip.task.limits, now, due))
        self.inbox.send(Doorbell(ref, tip.state.generation + 1))

    def _question(self) -> Paused:
        kind, far = InterruptKind.EFFECT_UNKNOWN, self.clock.now_ms() + 10**10
        return Paused((Interrupt("int_1", kind, "c1", "Did it?", ("happened",), far),), ACTING)

    def _record(self, number: int, following: Any) -> StepRecord:
        now = self.clock.now_ms()
        result = StepResult(StepType.TOOL_DISPATCH, Complexity.SIMPLE)
        return StepRecord(number, result, following, Totals(number), 0, now, now)

    # What is to be seen

    def delays(self, tenant: str) -> list[float]:
        """From the submission to the start, in order."""
        return sorted(
            at - self.submitted[ref] for ref, at in self.started.items() if ref.tenant == tenant
        )

    def slots_by_heads(self) -> Counter[str]:
        """How many tasks of each tenant are marked as holding a slot."""
        heads = [p.head for p in self.memory._partitions.values()]
        return Counter(h.ref.tenant for h in heads if h is not None and h.state.slot is not None)


def _number(ref: TaskRef) -> int:
    return int(ref.task_id[-8:])


def p95(delays: list[float]) -> float:
    return delays[-(-95 * len(delays) // 100) - 1]


@contextmanager
def quiet() -> Iterator[None]:
    """Ten thousand tasks would bury what a test has to say."""
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
