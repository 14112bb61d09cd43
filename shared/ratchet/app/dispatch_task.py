"""Start the execution that a doorbell asks for. Safe to repeat: executions are named after task and generation."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ratchet.app.admission import Admission
from ratchet.app.remains import tip_or_remains
from ratchet.app.session_lock import SessionLock
from ratchet.app.suspensions import nobody
from ratchet.contracts.limits import WATCH_SECONDS
from ratchet.contracts.messages import Doorbell, ExecutionRef, StepOutput, StepRef
from ratchet.contracts.names import Action, TaskStatus
from ratchet.domain.steps import Step
from ratchet.domain.task import History
from ratchet.observability import logger, task_started
from ratchet.ports import CheckpointStore, Clock, Start, Workflow


@dataclass(frozen=True, slots=True)
class DispatchTask:
    """The use case of the dispatcher: one queue message."""

    store: CheckpointStore
    workflow: Workflow
    clock: Clock
    admission: Admission | None = None  # None: every task starts at once
    sessions: SessionLock | None = None
    is_suspended: Callable[[str], bool] = nobody

    def __call__(self, bell: Doorbell) -> None:
        """Start the execution unless the task has ended or a later one was started.

        While another task of its session runs it waits for that one, and asks for a slot only then. While too many
        tasks run it stands in line instead, and those before it are started that now may.

        Raises:
            StoreUnavailable: the message must come back.
        """
        details = {"task_id": bell.task.task_id, "tenant": bell.task.tenant}
        if self.is_suspended(bell.task.tenant):
            logger.info("task of a suspended tenant", extra=details)
            return  # it stays due
        tip = tip_or_remains(self.store, bell.task)
        if tip is None:
            logger.error("message without a task", extra=details)
            return
        if self.sessions is not None and is_of_session(tip):
            first = self.sessions.admit(tip)
            if first is None or first.task.ref != tip.task.ref:
                logger.info("task waits for its session", extra=details)
            if first is None:
                return
            tip = first
        start = due_start(tip, bell, at_ms=self.clock.now_ms())
        if start is None or not isinstance(tip.next, Step):
            logger.info("nothing to dispatch", extra=details)
            self._start_all(None)
        elif self.admission is None or not needs_slot(tip):
            self._start(tip, start)
        else:
            self._start_all(tip)

    def _start(self, tip: History, start: Start) -> None:
        start_execution(self.store, self.workflow, tip, start)
        details = {"task_id": tip.task.ref.task_id, "tenant": tip.task.ref.tenant}
        logger.info("task dispatched", extra={**details, "generation": start.generation})
        if not tip.state.generation:
            task_started(self.clock.now_ms() - tip.task.created_at_ms)

    def _start_all(self, asked: History | None) -> None:
        """Start those that now hold a slot; the asked one may come later. What a crash leaves is due in a minute."""
        seated = [] if self.admission is None else self.admission.admit(asked)
        if asked is not None and asked.task.ref not in seated:
            details = {"task_id": asked.task.ref.task_id, "tenant": asked.task.ref.tenant}
            logger.info("task waits for a slot", extra=details)
        for ref in seated:
            # One that cannot be read is started too: its step ends it. Left in line it would stop those behind it.
            tip = tip_or_remains(self.store, ref)
            if tip is None or needs_slot(tip):
                continue  # it has run, paused and been answered since it was seated: it asks for a slot of its own
            start = due_start(tip, Doorbell(ref), at_ms=self.clock.now_ms())
            if start is not None:
                self._start(tip, start)


def is_of_session(tip: History) -> bool:
    """Whether the task must hold its session's lock first: one that runs does."""
    return tip.state.status is TaskStatus.QUEUED and tip.task.session is not None


def needs_slot(tip: History) -> bool:
    """Whether the task must be admitted first: one that runs, or holds a slot already, need not."""
    return tip.state.status is TaskStatus.QUEUED and tip.state.slot is None


def due_start(tip: History, bell: Doorbell, *, at_ms: int) -> Start | None:
    """The execution to start: a queued task gets its next one, a running one only what it has not had."""
    generation = tip.state.generation + 1
    is_wanted = tip.state.status is TaskStatus.QUEUED or bell.generation == generation
    if tip.state.status.is_terminal or not is_wanted:
        return None
    due, opened = at_ms + WATCH_SECONDS * 1000, tip.state.opened_at_ms
    return Start(generation, at_ms, due, opened, at_step=tip.next_number)


def start_execution(
    store: CheckpointStore,
    workflow: Workflow,
    tip: History,
    start: Start,
    *,
    follows_lost: bool = True,
) -> None:
    """Start an execution that goes on from the last committed step, then note it.

    `follows_lost`: the one that it replaces, if it does, may have broken off while it spent.

    It runs the version that the task's earlier executions ran, so its code does not change under it; the first one
    runs the current version, and so does one whose version no longer exists.
    """
    following = tip.next
    if not isinstance(following, Step):
        return
    step = StepRef(start.at_step, following.type, following.complexity)
    pinned = tip.state.machine_version
    restarts = start.restarts if follows_lost else 0
    execution = ExecutionRef(start.generation, start.at_step, pinned, restarts)
    version = workflow.start(StepOutput(tip.task.ref, Action.STEP, step, execution))
    if pinned not in (None, version):
        details = {"task_id": tip.task.ref.task_id, "pinned": pinned, "version": version}
        logger.warning("pinned version is gone", extra=details)
    store.mark_started(tip.task.ref, replace(start, machine_version=version))
