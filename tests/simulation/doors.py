"""The other ports of the simulation: queues, state machine, models, announcers, clock and ids."""

from collections.abc import Callable

from ratchet.contracts.errors import (
    ContextOverflow,
    DeliveryFailed,
    ModelRejected,
    ModelThrottled,
    ModelUnavailable,
    ReceiverGone,
)
from ratchet.contracts.messages import Doorbell, StepOutput, TaskRef
from ratchet.domain.models import Usage
from ratchet.domain.steps import StepRecord
from ratchet.domain.task import Task
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.ports import Event, ExecutionState
from tests.simulation.bodies import AWS
from tests.simulation.brain import bad_answer
from tests.simulation.calls import Errors, Network
from tests.simulation.canary import CANARY
from tests.simulation.faults import Fault
from tests.simulation.orchestrator import Orchestrator
from tests.simulation.queues import Queue
from tests.simulation.scheduler import Scheduler

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z

PROVIDER = Errors(
    lambda: ModelThrottled(f"429 for {CANARY}", 2.0),
    lambda: ModelUnavailable(f"the connection was reset at {CANARY}"),
)
RECEIVER = Errors(
    lambda: DeliveryFailed("the receiver answered 503"), lambda: DeliveryFailed("no answer in time")
)


class Door:
    """An Inbox."""

    def __init__(self, network: Network, queue: Queue) -> None:
        self._network = network
        self._queue = queue

    def send(self, bell: Doorbell) -> None:
        name = f"{self._queue.name}.send"
        self._network.call(name, lambda: self._queue.put(bell.to_json()), AWS)

    def depth(self) -> int:
        return self._network.call(
            f"{self._queue.name}.depth", lambda: len(self._queue.messages), AWS
        )


class Machine:
    """The Workflow."""

    def __init__(self, network: Network, orchestrator: Orchestrator) -> None:
        self._network = network
        self._orchestrator = orchestrator

    def start(self, first: StepOutput) -> str:
        current = self._network.life().version
        self._network.passing("an execution", first.task.tenant)
        return self._network.call(
            "workflow.start", lambda: self._orchestrator.start(first, current=current), AWS
        )

    def stop(self, ref: TaskRef, *, generation: int, cause: str) -> None:
        def effect() -> None:
            execution = self._orchestrator.find(ref, generation)
            if execution is not None:
                self._orchestrator.abort(execution, cause)

        self._network.call("workflow.stop", effect, AWS)

    def describe(self, ref: TaskRef, *, generation: int) -> ExecutionState:
        def effect() -> ExecutionState:
            execution = self._orchestrator.find(ref, generation)
            if execution is None:
                return ExecutionState(is_running=False)
            return ExecutionState(execution.is_running, execution.cause)

        return self._network.call("workflow.describe", effect, AWS)


class Provider:
    """The ChatModel. `answer` is the honest answer; what is charged is counted even when it never arrives."""

    def __init__(
        self,
        network: Network,
        answer: Callable[[ModelCall], ModelAnswer],
        charge: Callable[[Usage], None],
    ) -> None:
        self._network = network
        self._answer = answer
        self._charge = charge

    def complete(self, call: ModelCall) -> ModelAnswer:
        network = self._network
        life = network.life()
        fault = network.fault("step_executor:chat.complete")
        network.rest(life, network.latency_ms() * 20)
        match fault:
            case Fault.REFUSED:
                raise PROVIDER.refused()
            case Fault.UNKNOWN:
                raise PROVIDER.unknown()
            case Fault.DIED_BEFORE:
                network.die(life)
            case Fault.STALLED:
                network.stall(life)
            case Fault.REJECTED:
                raise ModelRejected(f"the provider refuses to say {CANARY}")
            case Fault.OVERFLOW:
                raise ContextOverflow(f"the prompt is too long after {CANARY}")
            case Fault.MALFORMED | Fault.UNKNOWN_TOOL | Fault.TRUNCATED:
                bad = bad_answer(fault, call)
                self._charge(bad.usage)
                return bad
        answer = self._answer(call)
        self._charge(answer.usage)
        if fault is Fault.LOST:
            raise PROVIDER.unknown()
        if fault is Fault.DIED_AFTER:
            network.die(life)
        return answer


class Receiver:
    """An Announcer; `arrived` has the events as the other side saw them."""

    def __init__(self, channel: str, network: Network) -> None:
        self.channel = channel
        self.arrived: list[Event] = []
        self.down_until_ms = 0
        self.gone_until_ms = 0
        self._network = network

    def announce(self, event: Event, *, target: str | None) -> str:
        def effect() -> str:
            if self._network.scheduler.now_ms < self.down_until_ms:
                raise RECEIVER.refused()
            if self._network.scheduler.now_ms < self.gone_until_ms:
                raise ReceiverGone("the receiver answered 410")
            self._network.passing("an announcement", event.attributes["tenant"])
            self.arrived.append(event)
            return "200"

        return self._network.call(f"announce.{self.channel}", effect, RECEIVER)


class SkewedClock:
    """The Clock: every sandbox has its own idea of the time."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def now_ms(self) -> int:
        current = self._scheduler.current
        skew = 0 if current is None else current.life.skew_ms
        return START_MS + self._scheduler.now_ms + skew

    def monotonic(self) -> float:
        return self._scheduler.now_ms / 1000

    def sleep(self, seconds: float) -> None:
        self._scheduler.sleep(int(seconds * 1000))


class Numbers:
    """The Ids: in order."""

    def __init__(self) -> None:
        self._tasks = 0
        self._attempts = 0

    def task_id(self) -> str:
        self._tasks += 1
        return f"task_{self._tasks:026d}"

    def attempt_id(self) -> str:
        self._attempts += 1
        return f"attempt-{self._attempts}"


class Silence:
    """The Metrics."""

    def step_finished(self, record: StepRecord, *, task: Task) -> None:
        """Not counted here."""
