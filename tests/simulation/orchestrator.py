"""Step Functions: runs our definition, gives up on a Task without stopping its Lambda, and sometimes just dies."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ratchet.contracts.messages import StepOutput, TaskRef
from ratchet.domain.identifiers import execution_name
from tests.simulation.calls import Network
from tests.simulation.faults import Fault
from tests.simulation.lambdas import Lambdas
from tests.simulation.ledger import Ledger
from tests.simulation.machine_code import Data, Retrier, State, StatesRuntime, machine
from tests.simulation.queues import Queue
from tests.simulation.scheduler import Future, Killed, Life, Process

MAX_EVENTS = 25_000
MAX_PAYLOAD_BYTES = 262_144
NAME_CHARS = 80


class Died(Exception):
    """The execution ends without success, and no Catch sees it."""


class TaskFailed(Exception):
    """A Task state's error, by its ASL name."""

    def __init__(self, name: str, cause: str = "") -> None:
        super().__init__(cause)
        self.name = name


@dataclass(eq=False)
class Execution:
    """One execution, on one version of the machine; `cause` once it is dead."""

    name: str
    task: TaskRef
    input: Data
    version: int
    process: Process | None = None
    is_running: bool = True
    cause: str = ""
    events: int = 0
    states: list[str] = field(default_factory=list)


class Orchestrator:
    """All executions."""

    def __init__(
        self,
        network: Network,
        lambdas: Lambdas,
        queues: dict[str, Queue],
        *,
        dice: Random | None,
        ledger: Ledger,
        on_death: Callable[[Execution], None],
    ) -> None:
        self.executions: dict[str, Execution] = {}
        self.max_events = MAX_EVENTS
        self.dying = 0  # so many more executions die in their first Task state
        self.spared_steps = 0
        self.dying_steps = 0  # after the spared ones, so many more sandboxes of steps die at once
        self._network = network
        self._scheduler = network.scheduler
        self._lambdas = lambdas
        self._queues = queues
        self._dice = dice
        self._ledger = ledger
        self._on_death = on_death

    def start(self, first: StepOutput, *, current: int) -> str:
        """StartExecution of its version, or else of that one; nothing if there is one of that name.

        `current` is what the caller was told when it was deployed, which may be old. Returns what it runs.
        """
        name = execution_name(first.task, first.execution.generation)
        if len(name) > NAME_CHARS:
            raise ValueError(f"{name} is too long for an execution")
        if name in self.executions:
            return str(self.executions[name].version)
        version = int(first.execution.version or current)
        others = [e for e in self.executions.values() if e.task == first.task]
        self._ledger.started(first.task, first.execution.generation, others)
        text = json.dumps(first.to_dict())
        self._network.passed("the input of an execution", text)
        execution = Execution(name, first.task, json.loads(text), version)
        self.executions[name] = execution
        execution.process = self._scheduler.spawn(lambda: self._run(execution), Life("execution"))
        return str(version)

    def find(self, ref: TaskRef, generation: int) -> Execution | None:
        """The execution of that name."""
        return self.executions.get(execution_name(ref, generation))

    def abort(self, execution: Execution, cause: str) -> None:
        """StopExecution, or a death from outside: its Lambda runs on."""
        if execution.is_running and execution.process is not None:
            execution.process.life.is_dead = True
            self._end(execution, cause)

    def _end(self, execution: Execution, cause: str) -> None:
        execution.is_running = False
        execution.cause = cause
        self._network.passed("the cause of an execution's end", cause)
        if cause:
            self._on_death(execution)

    def _run(self, execution: Execution) -> None:
        try:
            self._states(execution)
        except (Died, StatesRuntime) as exc:
            self._end(execution, str(exc) or "died")
        except TaskFailed as exc:
            self._end(execution, f"{exc.name}: {exc}")
        except Killed:
            raise
        else:
            self._end(execution, "")

    def _states(self, execution: Execution) -> None:
        name, states = machine()
        self._count(execution, 2)  # that it has started, and that it has ended
        data = execution.input
        following: str | None = name
        while following is not None:
            state = states[following]
            execution.states.append(following)
            self._count(execution, 2)  # entered, exited
            data, following = self._step(execution, state, data)

    def _step(self, execution: Execution, state: State, data: Data) -> tuple[Data, str | None]:
        match state.type:
            case "Choice":
                found = (target for rule, target in state.choices if _holds(rule, data))
                return data, next(found, state.default)
            case "Wait":
                if state.seconds is None:
                    raise StatesRuntime("no SecondsPath")
                self._scheduler.sleep(int(state.seconds(data)) * 1000)
                return data, state.next
            case "Pass":
                made = state.parameters(data, {}) if state.parameters else state.result
                return _placed(data, state.result_path, made), state.next
            case "Task":
                return self._task(execution, state, data)
            case _:
                raise Died(f"the state {state.name} fails the execution")

    def _task(self, execution: Execution, state: State, data: Data) -> tuple[Data, str | None]:
        tries: dict[Retrier, int] = {}
        while True:
            if state.parameters is None:
                raise StatesRuntime("no Parameters")
            sent = state.parameters(data, {"State": {"RetryCount": sum(tries.values())}})
            self._network.passed(f"the input of {state.name}", json.dumps(sent))
            self._count(execution, 3)  # scheduled, started, and how it went
            try:
                answer = self._called(execution, state, sent)
                return _placed(data, state.result_path, answer), state.next
            except TaskFailed as failed:
                retrier = next(
                    (r for r in state.retry if r.errors & {failed.name, "States.ALL"}), None
                )
                if retrier is None or tries.get(retrier, 0) >= retrier.attempts:
                    catcher = next((c for c in state.catch if c.takes(failed.name)), None)
                    if catcher is None:
                        raise
                    failure = {"Error": failed.name, "Cause": str(failed)}
                    return _placed(data, catcher.result_path, failure), catcher.next
                self._back_off(retrier, tries)

    def _back_off(self, retrier: Retrier, tries: dict[Retrier, int]) -> None:
        count = tries.get(retrier, 0)
        tries[retrier] = count + 1
        seconds = min(retrier.interval * retrier.rate**count, retrier.longest)
        jitter = 1.0 if self._dice is None else self._dice.random()
        self._scheduler.sleep(int(seconds * jitter * 1000))

    def _called(self, execution: Execution, state: State, sent: Any) -> Any:
        if state.resource == "${StepExecutorArn}":
            return self._invoke(execution, sent, state.timeout_seconds)
        if state.resource == "arn:aws:states:::sqs:sendMessage":
            self._send(execution, sent)
            return {}
        raise StatesRuntime(f"the resource {state.resource} is not known")

    def _send(self, execution: Execution, sent: Data) -> None:
        name = {"${InboxQueueUrl}": "inbox", "${OutboxQueueUrl}": "outbox"}[sent["QueueUrl"]]
        fault = self._network.fault(f"execution:sqs.{name}")
        self._scheduler.sleep(self._network.latency_ms())
        if fault is Fault.ABORTED:
            raise Died("aborted")
        if fault in (None, Fault.LOST):
            self._queues[name].put(json.dumps(sent["MessageBody"]))
        if fault is not None:
            raise TaskFailed("SQS.SqsException", fault.value)

    def _invoke(self, execution: Execution, sent: Any, timeout_seconds: int) -> Any:
        fault = self._network.fault("execution:invoke")
        self._scheduler.sleep(self._network.latency_ms())
        self._check_weather()
        match fault:
            case Fault.REFUSED:
                raise TaskFailed("Lambda.TooManyRequestsException")
            case Fault.UNKNOWN:
                raise TaskFailed("Lambda.ServiceException")
            case Fault.UPGRADED:
                self._lambdas.upgrade()
            case Fault.ABORTED:
                raise Died("aborted")
        is_stillborn = fault is Fault.DIED_BEFORE or self._is_stillborn()
        invocation = self._lambdas.invoke(
            "step_executor", sent, version=execution.version, stillborn=is_stillborn
        )
        if fault is Fault.ORPHANED:
            raise Died("aborted while a Lambda ran")
        if fault is Fault.STALLED:  # the client gives up on a Lambda that runs
            raise TaskFailed("Lambda.ClientExecutionTimeoutException")
        if not self._waited(invocation, timeout_seconds):
            raise TaskFailed("States.Timeout")
        if not invocation.done.is_set:
            raise TaskFailed("Lambda.ClientExecutionTimeoutException", "no answer came")
        if fault in (Fault.LOST, Fault.DIED_AFTER):
            raise TaskFailed(
                "Lambda.SdkClientException" if fault is Fault.LOST else "Lambda.Unknown"
            )
        return self._answer(invocation)

    def _is_stillborn(self) -> bool:
        if self.spared_steps:
            self.spared_steps -= 1
            return False
        self.dying_steps -= 1
        return self.dying_steps >= 0

    def _waited(self, invocation: Process, timeout_seconds: int) -> bool:
        """Wait for the answer, or until it is lost; False when the Task state's time is up before."""
        either = Future()
        invocation.done.on_settled(either.settle)
        invocation.life.given_up.on_settled(either.settle)
        return self._scheduler.wait(either, timeout_ms=timeout_seconds * 1000)

    def _check_weather(self) -> None:
        """What the story says of this hour, whatever the faults."""
        if self.dying:
            self.dying -= 1
            raise Died("aborted")
        if self._scheduler.now_ms < self._lambdas.throttled_until_ms:
            raise TaskFailed("Lambda.TooManyRequestsException")

    def _answer(self, invocation: Process) -> Any:
        error = invocation.done.error
        if isinstance(error, Killed):
            raise TaskFailed("Lambda.Unknown", "the sandbox died")
        if error is not None:
            raise TaskFailed(type(error).__name__, str(error))
        text = invocation.done.value
        self._network.passed("the output of a step", text)
        if len(text) > MAX_PAYLOAD_BYTES:
            raise TaskFailed("States.DataLimitExceeded")
        return json.loads(text)

    def _count(self, execution: Execution, events: int) -> None:
        execution.events += events
        if execution.events > self.max_events:
            self._ledger.violate(f"I12: {execution.name} has more than {self.max_events} events")
            raise Died("the execution reached the maximum number of history events")


def _holds(rule: Callable[[Data], bool], data: Data) -> bool:
    return rule(data)


def _placed(data: Data, path: str | None, value: Any) -> Data:
    if path is None:
        return data
    if path == "$":
        placed: Data = value
        return placed
    return {**data, path.removeprefix("$."): value}
