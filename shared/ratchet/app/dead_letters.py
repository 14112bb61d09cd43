"""Dead letters: messages that five receives have not brought through. A task that cannot be started ends as `poison`.

An outage is no poison. What a letter asks for is tried once more, here: when a service refuses or does not answer, the
letter is done with, since the table still has the task as due and the sweeper rings again each minute. Only a bug, or a
process that dies of it, ends the task; so nothing waits for ever for what will never work.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ratchet.app.remains import tip_or_remains
from ratchet.contracts.errors import RatchetError, StoreUnavailable
from ratchet.contracts.limits import DEAD_LETTER_TRIES, QUEUE_RECEIVES
from ratchet.contracts.messages import Doorbell
from ratchet.contracts.names import TaskStatus
from ratchet.domain.steps import End, Failure
from ratchet.domain.task import announce_by, end_record
from ratchet.observability import logger, task_poisoned
from ratchet.ports import ANY_ATTEMPT, CheckpointStore, Clock, Inbox

POISON = "poison"


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The consumer of both dead-letter queues; `start` is what the dispatcher does."""

    store: CheckpointStore
    start: Callable[[Doorbell], None]
    outbox: Inbox
    clock: Clock

    def __call__(self, bell: Doorbell, *, receives: int) -> None:
        """Try the letter once more, or end its task.

        Raises:
            StoreUnavailable: the task could not be ended now; the letter must come back.
        """
        details = {"task_id": bell.task.task_id, "tenant": bell.task.tenant}
        cause = "it broke off the process that should have started it"
        if receives <= QUEUE_RECEIVES + DEAD_LETTER_TRIES:  # SQS counts those of all queues
            try:
                self.start(bell)
            except RatchetError as exc:
                logger.warning("dead letter of an outage", extra={**details, "error": exc.code})
                return
            except Exception as exc:  # noqa: BLE001 - any bug is what makes it poison
                logger.exception("dead letter of a bug", extra=details)
                cause = type(exc).__name__
            else:
                logger.warning("dead letter came through", extra=details)
                return
        self._end(bell, cause)

    def _end(self, bell: Doorbell, cause: str) -> None:
        """End the task unless it has ended, runs, or waits for a person: those go on without the letter."""
        tip = tip_or_remains(self.store, bell.task)
        if tip is None or tip.state.status is not TaskStatus.QUEUED:
            return
        failure = Failure(
            POISON, f"the task cannot be started ({cause}); mend the cause, then resume it"
        )
        record = end_record(
            tip, End(TaskStatus.FAILED, failure=failure), now_ms=self.clock.now_ms()
        )
        self.store.commit(tip.task, record, due_at_ms=announce_by(record), effects_of=ANY_ATTEMPT)
        task_poisoned()
        logger.error("task ended as poison", extra={"task_id": bell.task.task_id})
        try:
            self.outbox.send(Doorbell(bell.task))
        except StoreUnavailable:
            logger.warning("end not yet announced", extra={"task_id": bell.task.task_id})
