"""Start the execution that a doorbell asks for. Safe to repeat: executions are named after task and generation."""

from dataclasses import dataclass, replace

from ratchet.contracts.limits import WATCH_SECONDS
from ratchet.contracts.messages import Doorbell, ExecutionRef, StepOutput, StepRef
from ratchet.contracts.names import Action, TaskStatus
from ratchet.domain.steps import Step
from ratchet.domain.task import History
from ratchet.observability import logger
from ratchet.ports import CheckpointStore, Clock, Start, Workflow


@dataclass(frozen=True, slots=True)
class DispatchTask:
    """The use case of the dispatcher: one queue message."""

    store: CheckpointStore
    workflow: Workflow
    clock: Clock

    def __call__(self, bell: Doorbell) -> None:
        """Start the execution unless the task has ended or a later one was started.

        Raises:
            StoreUnavailable: the message must come back.
        """
        details = {"task_id": bell.task.task_id, "tenant": bell.task.tenant}
        tip = self.store.load_tip(bell.task)
        if tip is None:
            logger.error("message without a task", extra=details)
            return
        start = due_start(tip, bell, at_ms=self.clock.now_ms())
        if start is None or not isinstance(tip.next, Step):
            logger.info("nothing to dispatch", extra=details)
            return
        start_execution(self.store, self.workflow, tip, start)
        logger.info("task dispatched", extra={**details, "generation": start.generation})


def due_start(tip: History, bell: Doorbell, *, at_ms: int) -> Start | None:
    """The execution to start: a queued task gets its next one, a running one only what it has not had."""
    generation = tip.state.generation + 1
    is_wanted = tip.state.status is TaskStatus.QUEUED or bell.generation == generation
    if tip.state.status.is_terminal or not is_wanted:
        return None
    return Start(generation, at_ms, at_ms + WATCH_SECONDS * 1000, at_step=tip.next_number)


def start_execution(store: CheckpointStore, workflow: Workflow, tip: History, start: Start) -> None:
    """Start an execution that goes on from the last committed step, then note it.

    It runs the version that the task's earlier executions ran, so its code does not change under it; the first one
    runs the current version, and so does one whose version no longer exists.
    """
    following = tip.next
    if not isinstance(following, Step):
        return
    step = StepRef(start.at_step, following.type, following.complexity)
    pinned = tip.state.machine_version
    execution = ExecutionRef(start.generation, start.at_step, version=pinned)
    version = workflow.start(StepOutput(tip.task.ref, Action.STEP, step, execution))
    if pinned not in (None, version):
        details = {"task_id": tip.task.ref.task_id, "pinned": pinned, "version": version}
        logger.warning("pinned version is gone", extra=details)
    store.mark_started(tip.task.ref, replace(start, machine_version=version))
