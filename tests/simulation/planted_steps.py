"""Planted bugs that take more than a line."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from functions.deliverer import handler as deliverer
from functions.dispatcher import handler as dispatcher
from ratchet.app.announce_task import AnnounceTask
from ratchet.app.events import event_of
from ratchet.app.execute_step import ExecuteStep
from ratchet.app.step_attempt import StepAttempt
from ratchet.app.step_course import StepCourse
from ratchet.app.step_waits import StepWaits
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.app.tool_runner import ToolRunner
from ratchet.contracts import limits
from ratchet.contracts.messages import Doorbell, StepOutput
from ratchet.contracts.names import Purpose, TaskStatus
from ratchet.domain.identifiers import tool_call_key
from ratchet.domain.steps import End
from ratchet.ports import ExecutionState
from ratchet.testing.store import InMemoryCheckpoints
from tests.simulation import machine_code, orchestrator
from tests.simulation.bugs import Patch, planted
from tests.simulation.doors import Machine


def key_by_place() -> AbstractContextManager[Any]:
    """A call's key counts all calls before it."""

    def keys_of(self: Any, calls: Any) -> list[str]:
        ref, step = self.task.ref, self.step
        return [tool_call_key(ref, step, i, p.tool.name) for i, p in enumerate(calls)]

    return planted(ToolRunner, "_keys", keys_of)


def blind_rerun() -> AbstractContextManager[Any]:
    """An intent without a result is no reason to ask."""

    def once(self: Any, key: str, planned: Any) -> Any:
        ref, mine = self.task.ref, self._intent(planned)
        self.store.begin_effect(ref, self.plan, step=self.step, key=key, intent=mine)
        return self._call(key, planned)

    return planted(ToolRunner, "_once", once)


def stubborn_loser() -> AbstractContextManager[Any]:
    """Who loses the race for a number goes on from its own step."""

    def commit(self: Any, history: Any, done: Any, event: Any) -> Any:
        record = done.record
        due = record.finished_at_ms + 60_000
        self.store.commit(history.task, record, due_at_ms=due, effects_of=done.effects_of)
        self.warm.put(history.with_record(record))
        return self._after(record, event)

    return planted(ExecuteStep, "_commit", commit)


def trusted_history() -> AbstractContextManager[Any]:
    """What a sandbox remembers is all there is."""

    def history(self: Any, event: Any) -> Any:
        return self.warm.get(event.task) or self.store.load(event.task)

    return planted(ExecuteStep, "_history", history)


def busy_summary() -> AbstractContextManager[Any]:
    """The policy takes a summary for the last thing that the agent did."""
    following = StepCourse.after

    def after(self: Any, agent: Any, result: Any, output: Any) -> Any:
        return following(self, agent, replace(result, purpose=Purpose.WORK), output)

    return planted(StepCourse, "after", after)


def forgetful() -> AbstractContextManager[Any]:
    """A step is run as the next one, whatever its number says."""

    def call(self: Any, event: Any, *, remaining_seconds: Any) -> Any:
        history = self._history(event)
        following = replace(event, step=replace(event.step, number=history.next_number))
        outcome = self._attempt(following, history, remaining_seconds).run()
        return outcome if isinstance(outcome, StepOutput) else self._commit(history, outcome, event)

    return planted(ExecuteStep, "__call__", call)


def impatient() -> AbstractContextManager[Any]:
    """Waits for a throttled model count as waits for one that is out."""
    original = StepWaits.for_model

    def wait(self: Any, error: Any) -> Any:
        waiting = original(self, error)
        if waiting is None:
            return None
        waited = self.event.step.waited_seconds + waiting.wait_seconds
        return replace(waiting, step=replace(waiting.step, waited_seconds=waited))

    return planted(StepWaits, "for_model", wait)


def no_give_up() -> AbstractContextManager[Any]:
    """The invocation that should record why a step cannot be run fails itself."""
    original = StepAttempt._work

    def work(self: Any, spending: Any) -> Any:
        if self.event.failure is not None:
            raise RuntimeError("no give up")
        return original(self, spending)

    return planted(StepAttempt, "_work", work)


def wrong_generation(around: Callable[..., Any]) -> Patch:
    """The roll-over rings for the execution that there is."""
    original = StepOutput.to_dict
    return lambda: planted(StepOutput, "to_dict", lambda self: around(original, self))


@contextmanager
def small_executions() -> Iterator[None]:
    """Executions may have few events, and the first death of one is its task's."""
    with (
        planted(orchestrator, "MAX_EVENTS", 31),
        planted(limits, "MAX_RESTARTS", 0),
    ):
        yield


def no_roll_over() -> AbstractContextManager[Any]:
    """Executions grow until Step Functions ends them."""
    return planted(ExecuteStep, "_after", _never_full(ExecuteStep._after))


def _never_full(original: Any) -> Any:
    def after(self: Any, record: Any, event: Any) -> Any:
        execution = replace(event.execution, first_step=record.number + 1)
        output = original(self, record, replace(event, execution=execution))
        return replace(output, execution=event.execution)

    return after


def unpinned(module: Any) -> Patch:
    """Who starts an execution there does not look at the version of those before it."""
    original = module.start_execution

    def start_execution(store: Any, workflow: Any, tip: Any, start: Any, **options: Any) -> None:
        state = replace(tip.state, machine_version=None)
        original(store, workflow, replace(tip, state=state), start, **options)

    return lambda: planted(module, "start_execution", start_execution)


def claims_current() -> AbstractContextManager[Any]:
    """An execution that is found started is taken to run what the finder would have started."""
    original = Machine.start

    def start(self: Any, first: Any) -> str:
        original(self, first)
        return str(first.execution.version or self._network.life().version)

    return planted(Machine, "start", start)


def always_upgrades() -> AbstractContextManager[Any]:
    """Every resume takes the current version."""
    original = InMemoryCheckpoints.reopen

    def reopen(self: Any, tip: Any, reopening: Any) -> bool:
        return original(self, tip, replace(reopening, upgrade=True))

    return planted(InMemoryCheckpoints, "reopen", reopen)


def stale_sweeper() -> AbstractContextManager[Any]:
    """The sweeper believes the status that the index shows."""
    original = SweepTasks._look_at

    def look_at(self: Any, due: Any) -> None:
        if due.status is TaskStatus.QUEUED:
            tip = self.store.load_tip(due.ref)
            if tip is not None:
                self.inbox.send(Doorbell(due.ref, tip.state.generation + 1))
                self.store.postpone(due, until_ms=self.clock.now_ms() + 60_000)
            return
        original(self, due)

    return planted(SweepTasks, "_look_at", look_at)


def hasty_sweeper() -> AbstractContextManager[Any]:
    """The sweeper does not ask whether the execution lives."""
    original = SweepTasks._watch

    def watch(self: Any, tip: Any) -> Any:
        class Dead:
            def __init__(self, workflow: Any) -> None:
                self.start = workflow.start

            def describe(self, ref: Any, *, generation: int) -> Any:
                return ExecutionState(is_running=False, cause="not asked")

        return original(replace(self, workflow=Dead(self.workflow)), tip)

    return planted(SweepTasks, "_watch", watch)


@contextmanager
def _batches(handle: Any) -> Iterator[None]:
    with (
        planted(dispatcher, "run_batch", handle),
        planted(deliverer, "run_batch", handle),
    ):
        yield


def raising_batch(handle: Any) -> Patch:
    """One bad message returns the whole batch."""
    return lambda: _batches(handle)


def careless() -> AbstractContextManager[Any]:
    """A failed try is not tried again."""
    original = AnnounceTask._deliver

    def deliver(self: Any, *given: Any) -> None:
        original(self, *given)

    return planted(AnnounceTask, "_deliver", deliver)


def early_announcer() -> AbstractContextManager[Any]:
    """The outcome is announced when it is worked out, not when it is committed."""
    original = ExecuteStep._commit

    def commit(self: Any, history: Any, done: Any, event: Any) -> Any:
        if isinstance(done.record.next, End):
            from tests.simulation.brain import _Now  # noqa: PLC0415 - the world of this process

            world: Any = _Now.stage
            tip = replace(history, records=(*history.records, done.record))
            world.sns.arrived.append(event_of(tip))
        return original(self, history, done, event)

    return planted(ExecuteStep, "_commit", commit)


@contextmanager
def no_retry() -> Iterator[None]:
    """The state machine gives up on a step at the first crash of its sandbox."""
    start, states = machine_code.machine()
    changed = {
        name: replace(state, retry=state.retry[:1], catch=state.catch[-1:])
        for name, state in states.items()
    }
    with planted(orchestrator, "machine", lambda: (start, changed)):
        yield
