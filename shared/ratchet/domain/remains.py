"""What can still be said of a task when stored bodies of it are gone or damaged: stand-ins for what they told."""

from ratchet.contracts.errors import DataMissing
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Complexity, StepType
from ratchet.domain.steps import End, Failure, Step, StepRecord, StepResult, Totals
from ratchet.domain.task import History, Task, TaskLimits, TaskState, end_record

_UNKNOWN = Step(StepType.REASONING, Complexity.SIMPLE)


def lost_task(ref: TaskRef, *, agent: str, user_id: str | None, created_at_ms: int) -> Task:
    """The task, without what was asked: only what its head says beside its body."""
    return Task(
        ref=ref,
        goal="",
        agent=agent,
        agent_version="",
        first_step=_UNKNOWN,
        limits=TaskLimits(),
        created_at_ms=created_at_ms,
        user_id=user_id,
    )


def lost_record(number: int, state: TaskState, totals: Totals, error: DataMissing) -> StepRecord:
    """The last step, without what it did: of an ended task it still says how that ended.

    `totals` are those of the last step that can be read: what this one took is lost with it.
    """
    end = End(state.status, failure=failure_of(error))
    return StepRecord(
        number=number,
        result=StepResult(_UNKNOWN.type, _UNKNOWN.complexity),
        next=end if state.status.is_terminal else _UNKNOWN,
        totals=totals,
        attempt=0,
        started_at_ms=state.updated_at_ms,
        finished_at_ms=state.updated_at_ms,
    )


def unreadable_end(remains: History, error: DataMissing, *, now_ms: int) -> StepRecord:
    """The end of a task that cannot go on because what it did cannot be read."""
    return end_record(remains, End(error.status, failure=failure_of(error)), now_ms=now_ms)


def failure_of(error: DataMissing) -> Failure:
    """What its reader is told."""
    return Failure(error.code, str(error))
