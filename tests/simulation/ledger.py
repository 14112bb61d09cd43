"""What must hold whatever happens: looked at after every write, and all of it at the end."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ratchet.contracts.charge import Charge
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain import keys
from ratchet.domain.models import Usage
from ratchet.domain.steps import End, Paused, Step, StepRecord, Totals
from ratchet.domain.task import History
from ratchet.testing.store import InMemoryCheckpoints
from ratchet.testing.store_rows import Body, Partition
from tests.simulation.approvals import Approvals
from tests.simulation.bodies import is_gone, is_unreadable_end
from tests.simulation.brain import UNSAFE, rounds_of
from tests.simulation.canary import CANARY
from tests.simulation.faults import Injector
from tests.simulation.pauses import Pauses
from tests.simulation.scheduler import Future, Scheduler
from tests.simulation.story import Story
from tests.simulation.usage import Spent

if TYPE_CHECKING:
    from tests.simulation.doors import Receiver
    from tests.simulation.orchestrator import Execution

RETENTION_MS = TERMINAL_RETENTION_SECONDS * 1000
ONCE = (
    "pay"  # an unsafe tool that may not even be called twice: nobody can look what became of a call
)
MAX_TEXT_BYTES = 256 * 1024
"""Of a state's input or output, a message or a line of log: the smallest limit of these."""
MAX_GENERATIONS = 200  # no story has so many steps, and a step that kills executions gets a few
DONE = ("Roll over", "Announce")  # states of an execution that only rings any more


@dataclass(slots=True)
class Seen:
    """What was seen of a task so far."""

    bodies: dict[int, Body] = field(default_factory=dict)
    agent_version: str | None = None  # that its steps ran; None before the first
    last: StepRecord | None = None
    ends: list[StepRecord] = field(default_factory=list)
    warned: list[StepRecord] = field(default_factory=list)
    pauses: list[int] = field(default_factory=list)  # the steps that asked, or left a question open
    is_erased: bool = False
    is_going: bool = False  # somebody erases it, piece by piece
    ended: Future = field(default_factory=Future)


class Ledger:
    """Keeps its own books and compares them with the table."""

    def __init__(self, scheduler: Scheduler, story: Story, injector: Injector) -> None:
        self.violations: list[str] = []
        self.tasks: dict[TaskRef, Seen] = {}
        self.receivers: Sequence[Receiver] = ()
        self.states: set[str] = set()
        self.called: Counter[tuple[TaskRef, int]] = Counter()
        self._inherited: dict[TaskRef, int] = {}  # rounds of the program that a parent has done
        self.deeds: set[tuple[str, TaskRef, int, int]] = set()  # the same by argument
        self.pauses = Pauses(self.violate)
        self.approvals = Approvals(self.violate, self._history)
        self.pauses.on_decided = self.approvals.decided
        self.spent = Spent()
        self.used: Counter[tuple[TaskRef, int]] = (
            Counter()
        )  # tokens that providers charged, by step
        self.acted: defaultdict[tuple[str, TaskRef, int], Counter[str]] = defaultdict(Counter)
        self.longest_recovery_ms = 0
        self._called_back_ms = 0  # when a task that waited for people, or had ended, went on
        self.largest: Counter[str] = Counter()  # bytes that passed, by place
        self._scheduler = scheduler
        self._story = story
        self._injector = injector
        self._twin: InMemoryCheckpoints | None = None

    def watch(self, twin: InMemoryCheckpoints) -> None:
        """The books that are compared."""
        self._twin = twin

    def violate(self, text: str) -> None:
        """Something happened that must not."""
        if len(self.violations) < 5:
            self.violations.append(text)

    def passed(self, place: str, text: str) -> None:
        """A text passes through a place where nothing of what was said may be seen, and nothing large fits."""
        self.largest[place] = max(self.largest[place], len(text))
        if CANARY in text:
            self.violate(f"I11: {place} shows what a caller, a model or a tool said")
        if len(text) > MAX_TEXT_BYTES:
            self.violate(f"I12: {place} was given {len(text)} bytes")

    def touched(self, ref: TaskRef) -> None:
        """A process reads or writes a task: it may, if it was invoked for it."""
        current = self._scheduler.current
        subject = None if current is None else current.life.subject
        if isinstance(subject, frozenset) and ref not in subject:
            self.violate(f"I9: a process that was not invoked for {ref} touched it")

    def wrote(self, ref: TaskRef) -> None:
        """A task has been written: records only grow, by one, and never change."""
        partition = self.partition(ref)
        if partition.head is None and ref not in self.tasks:
            return  # a key that was used before: the task of that id was never made
        seen = self.tasks.setdefault(ref, Seen())
        if partition.head is None:
            if partition.steps:
                self.violate(f"I5: {ref.task_id} has steps and no head")
            seen.is_erased = seen.is_going or bool(seen.bodies)
            return
        if seen.is_going or partition.head.is_erasing:
            seen.is_erased = True
            if partition.head.is_tombstone and partition.steps:
                self.violate(f"I5: a step of {ref.task_id} was committed after it was deleted")
            return
        for number, body in seen.bodies.items():
            if partition.steps.get(number) is not body:
                self.violate(f"I5: step {number} of {ref.task_id} changed or is gone")
        for number in range(len(seen.bodies) + 1, len(partition.steps) + 1):
            self._added(ref, seen, number, partition)
        self._check_status(ref, seen, partition)

    def going(self, tenant: str) -> list[TaskRef]:
        """Somebody erases the tenant from now on; its tasks."""
        going = [ref for ref in self.tasks if ref.tenant == tenant]
        for ref in going:
            self.tasks[ref].is_going = self.tasks[ref].is_erased = True
        return going

    def end_of(self, ref: TaskRef) -> Future:
        """Set when the task has ended for the first time."""
        return self.tasks.setdefault(ref, Seen()).ended

    def started(self, ref: TaskRef, generation: int, others: "Sequence[Execution]") -> None:
        """An execution starts: there is none of its generation, and it is not beside a living one without need."""
        if generation > MAX_GENERATIONS:
            self.violate(f"I12: {ref.task_id} is given execution after execution")
        head = self.partition(ref).head
        is_running = head is not None and head.state.status is TaskStatus.RUNNING
        for other in others:
            if other.input["execution"]["generation"] == generation:
                self.violate(f"I10: {ref.task_id} has two executions of generation {generation}")
            elif not (other.is_running and is_running and other.states):
                continue
            elif (
                other.input["execution"]["generation"] == generation - 1
                and other.states[-1] not in DONE
            ):
                self.violate(f"I10: {ref.task_id} was given an execution beside a living one")

    def tool_called(self, name: str, ref: TaskRef, step: int, argument: int) -> None:
        """A tool is called, whatever becomes of it."""
        if argument % 100 // 10 < self._rounds_inherited(ref):
            self.violate(f"I3: {ref.task_id} called {name} again, which its parent had done")
        self.approvals.called(name, ref, argument)
        if name != ONCE:
            return
        self.called[ref, step] += 1
        allowed = self._program(ref)[argument % 100 // 10].count(ONCE)
        if self.called[ref, step] > allowed:
            self.violate(
                f"I4: step {step} of {ref.task_id} called an unsafe tool "
                f"{self.called[ref, step]} times, and {allowed} was asked for"
            )

    def asked(self, ref: TaskRef, step: int, usage: Usage) -> None:
        """A provider charges for an answer, whether or not it arrives."""
        self.used[ref, step] += usage.total_tokens

    def tool_acted(self, name: str, ref: TaskRef, step: int, key: str, argument: int) -> None:
        """A tool had its effect."""
        self.deeds.add((name, ref, step, argument))
        count = self.acted[name, ref, step]
        count[key] += 1
        if name not in UNSAFE:
            return
        if count[key] > 1:
            self.violate(f"I4: step {step} of {ref.task_id} had an unsafe effect twice")
        if step + 1 in self.partition(ref).steps:
            self.violate(
                f"I3: an unsafe effect of step {step} of {ref.task_id} came when the task had gone on"
            )

    def happened(self, ref: TaskRef, key: str) -> bool:
        """What somebody finds who looks into the books of the world: whether the call with that key had its effect."""
        return any(self.acted[name, r, step][key] for name, r, step in list(self.acted) if r == ref)

    def effect_begun(self, ref: TaskRef, step: int) -> None:
        """An attempt now owns an unsafe call, and will make it."""
        if step in self.partition(ref).steps:
            self.violate(
                f"I4: an unsafe call of step {step} of {ref.task_id} was begun after the commit"
            )

    def effect_recorded(self, ref: TaskRef, step: int, key: str) -> None:
        """The result of an unsafe call was written."""
        effect = self.partition(ref).effects.get(keys.effect_sort_key(step, key))
        if effect is None or effect.body is None:
            self.violate(f"I3: the result of an unsafe call of {ref.task_id} was not recorded")

    def upgraded(self, ref: TaskRef) -> None:
        """Somebody asked for the deployed version: the next step may run another one than those before."""
        self.tasks.setdefault(ref, Seen()).agent_version = None

    def is_at_rest(self) -> bool:
        """Whether every task has ended and only the end of its retention is waited for."""
        heads = [p.head for ref in self.tasks if (p := self.partition(ref)).head is not None]
        if self._story.is_erased:
            return not heads
        return all(
            h.state.status.is_terminal and h.due_at_ms >= h.state.updated_at_ms + RETENTION_MS
            for h in heads
            if h
        )

    def partition(self, ref: TaskRef) -> Partition:
        """The task's items in the table."""
        if self._twin is None:
            raise RuntimeError("no table")
        return self._twin._partitions[keys.task_key(ref)]

    def record(self, body: Body) -> StepRecord:
        """A stored step."""
        if self._twin is None:
            raise RuntimeError("no table")
        return self._twin.payloads.read_record(body)

    def _history(self, ref: TaskRef) -> History | None:
        return None if self._twin is None else self._twin.load(ref)

    def _program(self, ref: TaskRef) -> Sequence[Sequence[str]]:
        head = self.partition(ref).head
        if self._twin is None or head is None:
            return []
        return rounds_of(self._twin.payloads.read_task(head).goal)

    def _rounds_inherited(self, ref: TaskRef) -> int:
        if self._story.robbed_at_ms:
            return 0  # no story of theft has forks
        if ref not in self._inherited:
            head = self.partition(ref).head
            fork = self._twin.payloads.read_task(head).fork if self._twin and head else None
            inherited = fork.inherited if fork else ()
            said = [message for result in inherited for message in result.messages]
            self._inherited[ref] = sum(bool(message.tool_calls) for message in said)
        return self._inherited[ref]

    def _added(self, ref: TaskRef, seen: Seen, number: int, partition: Partition) -> None:
        body = partition.steps.get(number)
        if body is None:
            self.violate(f"I5: step {number} of {ref.task_id} is missing, and later ones are there")
            return
        seen.bodies[number] = body
        if self._story.robbed_at_ms and self._twin and is_gone(body, self._twin.payloads):
            return  # taken between its put and the write of this item
        record = self.record(body)
        before = seen.last.totals if seen.last else Totals()
        charged = Charge(before.cost_microusd, before.tokens) + record.result.charged
        if is_unreadable_end(record):
            if not self._story.robbed_at_ms:
                self.violate(f"I1: bodies of {ref.task_id} are gone, and nobody took them")
            self._kept(seen, record)  # what the lost steps cost is lost with them
            return
        if (
            record.number != number
            or Charge(record.totals.cost_microusd, record.totals.tokens) != charged
            or record.totals.usage != before.usage + record.result.usage
            or not 0 <= record.totals.steps - before.steps <= 1
        ):
            self.violate(f"I6: the totals of step {number} of {ref.task_id} are not the sum")
        is_after_end = seen.last is not None and isinstance(seen.last.next, End)
        did_work = any(message.role != "user" for message in record.result.messages)
        if is_after_end and (not isinstance(record.next, Step) or did_work):
            self.violate(f"I2: step {number} of {ref.task_id} was added after its end")
        if record.result.messages and record.result.model:
            self._check_version(ref, seen, record)
        self.pauses.added(ref, seen.last, record)
        self.spent.committed(ref, record)
        if seen.last is not None and not isinstance(seen.last.next, Step):
            self._called_back_ms = self._scheduler.now_ms
        self._kept(seen, record)

    def _kept(self, seen: Seen, record: StepRecord) -> None:
        seen.last = record
        seen.warned += [record] if record.warning else []
        if isinstance(record.next, Paused):
            seen.pauses.append(record.number)
            self._recovered()
        if isinstance(record.next, End):
            seen.ends.append(record)
            self._recovered()
            seen.ended.settle()

    def _check_version(self, ref: TaskRef, seen: Seen, record: StepRecord) -> None:
        version = record.result.agent_version or "as submitted"
        if seen.agent_version not in (None, version):
            self.violate(
                f"I13: step {record.number} of {ref.task_id} ran another version of the agent"
            )
        seen.agent_version = version

    def _recovered(self) -> None:
        since_ms = max(self._injector.last_fault_ms, self._called_back_ms)
        took = self._scheduler.now_ms - since_ms
        if self._injector.injected:
            self.longest_recovery_ms = max(self.longest_recovery_ms, took)

    def _check_status(self, ref: TaskRef, seen: Seen, partition: Partition) -> None:
        if partition.head is None:
            return
        state = partition.head.state
        last = seen.last.next if seen.last else None
        status = last.status if isinstance(last, End) else None
        if (state.status is TaskStatus.INPUT_REQUIRED) != isinstance(last, Paused):
            asks = "something" if isinstance(last, Paused) else "nothing"
            self.violate(
                f"I2: {ref.task_id} is {state.status.value}, and its last step asks {asks}"
            )
        if (
            state.status.is_terminal != (status is not None)
            or (status or state.status) != state.status
        ):
            self.violate(
                f"I2: {ref.task_id} is {state.status.value}, and its last step says "
                f"{'it goes on' if status is None else status.value}"
            )
        fence = min(state.generation, 3)
        self.states.add(f"{state.status.value}/{min(len(seen.bodies), 6)}/{fence}")
