"""Resume: an ended task goes on from its last commit. The one way out of a terminal status, and a person's decision."""

from dataclasses import dataclass, replace

from ratchet.app.agents import AgentDirectory
from ratchet.app.submit_task import tighten
from ratchet.contracts.api import LimitsRequest, ResumeRequest
from ratchet.contracts.errors import (
    EffectOutcomeUnknown,
    InvalidRequest,
    StoreUnavailable,
    TaskNotFound,
    TaskNotResumable,
)
from ratchet.contracts.limits import RING_AGAIN_SECONDS
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain.messages import Message
from ratchet.domain.steps import End, Step, StepRecord
from ratchet.domain.task import History, TaskLimits, TaskState, end_record
from ratchet.observability import logger
from ratchet.ports import CheckpointStore, Clock, Inbox, Reopening

NOTHING_NEW = ResumeRequest()
RESUMABLE = frozenset({TaskStatus.FAILED, TaskStatus.TIMED_OUT, TaskStatus.BUDGET_EXCEEDED})


@dataclass(frozen=True, slots=True)
class ResumeTask:
    """The use case of `POST /v1/tasks/{task_id}/resume`."""

    store: CheckpointStore
    inbox: Inbox
    agents: AgentDirectory
    clock: Clock

    def __call__(self, ref: TaskRef, request: ResumeRequest = NOTHING_NEW) -> History:
        """Queue the task again; its deadline counts from now. A task that runs already is answered as it is.

        Raises:
            TaskNotFound: this tenant has no such task.
            TaskNotResumable: it succeeded or was cancelled.
            InvalidRequest: `limits` are above the agent's own, or `effect_outcome` is missing or out of place.
            StoreUnavailable: send the same request again.
        """
        tip = self.store.load_tip(ref)
        if tip is None:
            raise TaskNotFound(f"there is no task {ref.task_id!r}; GET /v1/tasks lists yours")
        if not isinstance(tip.next, End):
            return tip
        if tip.next.status not in RESUMABLE:
            raise TaskNotResumable(
                f"the task has ended as {tip.next.status.value}; only failed, timed_out and "
                "budget_exceeded tasks can go on. Submit a new task instead"
            )
        told = _told(tip.next, request)
        reopening = self._reopening(tip, told, self._limits(tip, request.limits))
        if self.store.reopen(tip, reopening):
            self._ring(tip)
        now = self.store.load_tip(ref)
        return now or _reopened(tip, reopening)

    def _limits(self, tip: History, request: LimitsRequest | None) -> TaskLimits:
        """The limits in force from now on: the task's own, with the request's in their place."""
        if request is None:
            return tip.task.limits
        agent = self.agents.find(tip.task.agent)
        asked = tighten(agent.limits, request)
        named = request.model_dump(exclude_none=True)
        return replace(tip.task.limits, **{name: getattr(asked, name) for name in named})

    def _reopening(self, tip: History, told: tuple[Message, ...], limits: TaskLimits) -> Reopening:
        now = self.clock.now_ms()
        last = tip.records[-1].result
        ended = end_record(tip, End(TaskStatus.FAILED), now_ms=now)
        result = replace(ended.result, messages=told)
        record = replace(ended, result=result, next=Step(last.type, last.complexity))
        return Reopening(record, limits, now, now + RING_AGAIN_SECONDS * 1000)

    def _ring(self, tip: History) -> None:
        try:
            self.inbox.send(Doorbell(tip.task.ref, tip.state.generation + 1))
        except StoreUnavailable:
            # The task is queued and due: the sweeper rings again.
            logger.warning("doorbell failed", extra={"task_id": tip.task.ref.task_id})


def _told(end: End, request: ResumeRequest) -> tuple[Message, ...]:
    """What the agent is told of an unsafe call whose outcome only a person could find out."""
    failure, outcome = end.failure, request.effect_outcome
    is_unknown = failure is not None and failure.code == EffectOutcomeUnknown.code
    if failure is None or not is_unknown:
        if outcome is not None:
            raise InvalidRequest(
                "effect_outcome: this task did not end as effect_outcome_unknown; leave it out"
            )
        return ()
    if outcome is None:
        raise InvalidRequest(
            f"effect_outcome: say `happened` or `did_not_happen`, because {failure.message}"
        )
    found = "it happened, so do not call it again" if outcome == "happened" else "it did not happen"
    return (Message("user", f"[ratchet:effect] {failure.message}. A person has looked: {found}."),)


def _reopened(tip: History, reopening: Reopening) -> History:
    record: StepRecord = reopening.record
    state = TaskState(TaskStatus.QUEUED, reopening.at_ms, reopening.at_ms, tip.state.generation)
    return History(replace(tip.task, limits=reopening.limits), state, (record,))
