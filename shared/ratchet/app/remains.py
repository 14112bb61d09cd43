"""Tasks whose stored bodies are gone or damaged: they are read as far as they can be, and end as `data_missing`."""

from ratchet.contracts.errors import DataMissing
from ratchet.contracts.messages import TaskRef
from ratchet.domain.remains import unreadable_end
from ratchet.domain.task import History, announce_by
from ratchet.observability import logger
from ratchet.ports import ANY_ATTEMPT, CheckpointStore


def tip_or_remains(store: CheckpointStore, ref: TaskRef) -> History | None:
    """The task with its last step; stand-ins for what of them is gone, so that its status can always be told."""
    try:
        return store.load_tip(ref)
    except DataMissing:
        return store.load_remains(ref)


def end_unreadable(
    store: CheckpointStore, ref: TaskRef, error: DataMissing, *, now_ms: int
) -> History | None:
    """End a task that cannot go on, since what it did must not be guessed at; as it is, if it has ended."""
    remains = store.load_remains(ref)
    if remains is None or remains.state.status.is_terminal:
        return remains
    logger.error("task cannot be read", extra={"task_id": ref.task_id})
    record = unreadable_end(remains, error, now_ms=now_ms)
    stored = store.commit(
        remains.task, record, due_at_ms=announce_by(record), effects_of=ANY_ATTEMPT
    )
    return remains.with_record(stored)
