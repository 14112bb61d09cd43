"""Cancel: take the next step number before a step does. Whoever holds it decides, so there is one outcome."""

from dataclasses import dataclass

from ratchet.contracts.errors import RatchetError, StoreUnavailable
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.request_errors import TaskAlreadyFinished, TaskNotFound
from ratchet.domain.steps import End, Failure, Paused
from ratchet.domain.task import History, announce_by, end_record
from ratchet.observability import interrupts_closed, logger
from ratchet.ports import ANY_ATTEMPT, CheckpointStore, Clock, Inbox, Workflow

_CANCELLED = End(TaskStatus.CANCELLED, failure=Failure("cancelled", "cancelled by the caller"))

MAX_RACES = 20
"""Steps that may overtake a cancel before it gives up and asks the caller to try again."""


@dataclass(frozen=True, slots=True)
class CancelTask:
    """The use case of `POST /v1/tasks/{task_id}/cancel`."""

    store: CheckpointStore
    workflow: Workflow
    outbox: Inbox
    clock: Clock

    def __call__(self, ref: TaskRef) -> History:
        """End the task as `cancelled` and announce it; again on a cancelled task: the same answer.

        Raises:
            TaskNotFound: this tenant has no such task.
            TaskAlreadyFinished: it ended in another way before.
            StoreUnavailable: send the same request again.
        """
        for _ in range(MAX_RACES):
            tip = self.store.load_tip(ref)
            if tip is None:
                raise TaskNotFound(f"no task {ref.task_id}")
            if isinstance(tip.next, End):
                return _cancelled_or_refuse(tip, tip.next)
            record = end_record(tip, _CANCELLED, now_ms=self.clock.now_ms())
            if (
                self.store.commit(
                    tip.task, record, due_at_ms=announce_by(record), effects_of=ANY_ATTEMPT
                )
                == record
            ):
                if isinstance(tip.next, Paused):
                    interrupts_closed(len(tip.next.interrupts))
                self._after(tip)
        raise StoreUnavailable("the task's steps kept overtaking the cancel; send it again")

    def _after(self, tip: History) -> None:
        # Best effort: the outcome is written and due; these only make it visible sooner.
        try:
            if tip.state.generation:
                self.workflow.stop(
                    tip.task.ref, generation=tip.state.generation, cause="cancelled by the caller"
                )
            self.outbox.send(Doorbell(tip.task.ref))
        except RatchetError:
            logger.warning("cancel not yet announced", extra={"task_id": tip.task.ref.task_id})


def _cancelled_or_refuse(tip: History, end: End) -> History:
    if end.status is TaskStatus.CANCELLED:
        return tip
    raise TaskAlreadyFinished(
        f"the task has ended as {end.status.value}, which cannot change; read its result instead"
    )
