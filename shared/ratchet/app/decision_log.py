"""Decisions enter the log: a decision is a step, and when no question is left, the task is queued again."""

from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import RING_AGAIN_SECONDS
from ratchet.contracts.messages import Doorbell
from ratchet.domain.steps import Step, StepRecord
from ratchet.domain.task import History, TaskLimits, announce_by
from ratchet.observability import interrupts_closed, logger
from ratchet.ports import CheckpointStore, Inbox, Reopening


def write_decision(
    store: CheckpointStore,
    tip: History,
    record: StepRecord,
    *,
    inbox: Inbox,
    outbox: Inbox,
    limits: TaskLimits | None = None,
) -> bool:
    """Whether the record took its number; then somebody is rung for. `limits` are those in force from now on."""
    ref, at_ms = tip.task.ref, record.finished_at_ms
    if isinstance(record.next, Step):
        due_at_ms = at_ms + RING_AGAIN_SECONDS * 1000
        if not store.reopen(tip, Reopening(record, limits or tip.task.limits, at_ms, due_at_ms)):
            return False
        interrupts_closed()
        _ring(inbox, Doorbell(ref, tip.state.generation + 1))
        return True
    if store.commit(tip.task, record, due_at_ms=announce_by(record)) != record:
        return False
    interrupts_closed()
    _ring(outbox, Doorbell(ref))
    return True


def _ring(queue: Inbox, bell: Doorbell) -> None:
    try:
        queue.send(bell)
    except StoreUnavailable:
        # The task is due: the sweeper rings again.
        logger.warning("doorbell failed", extra={"task_id": bell.task.task_id})
