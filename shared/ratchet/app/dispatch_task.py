"""Start the state machine for a task that is waiting for it. Safe to repeat: the execution is named after the task."""

from dataclasses import dataclass

from ratchet.contracts.messages import StepOutput, StepRef, TaskRef
from ratchet.contracts.names import Action, TaskStatus
from ratchet.domain.steps import End
from ratchet.domain.task import History
from ratchet.observability import logger
from ratchet.ports import CheckpointStore, Clock, Workflow


@dataclass(frozen=True, slots=True)
class DispatchTask:
    """The use case of the dispatcher: one queue message."""

    store: CheckpointStore
    workflow: Workflow
    clock: Clock

    def __call__(self, ref: TaskRef) -> None:
        """Start the task's execution unless it runs or has ended.

        Raises:
            StoreUnavailable: the message must come back.
        """
        tip = self.store.load_tip(ref)
        if tip is None:
            logger.error("message without a task", extra={"task_id": ref.task_id})
            return
        first = first_state(tip)
        if tip.state.status is not TaskStatus.QUEUED or first is None:
            logger.info("nothing to dispatch", extra={"task_id": ref.task_id})
            return
        arn = self.workflow.start(first)
        self.store.mark_started(ref, execution_arn=arn, at_ms=self.clock.now_ms())
        logger.info("task dispatched", extra={"task_id": ref.task_id, "tenant": ref.tenant})


def first_state(tip: History) -> StepOutput | None:
    """What an execution that goes on from the last committed step begins with; None if the task has ended."""
    following = tip.next
    if isinstance(following, End):
        return None
    step = StepRef(tip.next_number, following.type, following.complexity)
    return StepOutput(tip.task.ref, Action.STEP, step)
