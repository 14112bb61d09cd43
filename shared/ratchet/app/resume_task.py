"""Resume: an ended task goes on from its last commit. The one way out of a terminal status, and a person's decision."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ratchet.app.agents import AgentDirectory
from ratchet.app.new_tasks import tighten
from ratchet.app.suspensions import nobody, refuse_suspended
from ratchet.contracts.errors import EffectOutcomeUnknown, StoreUnavailable
from ratchet.contracts.limits import RING_AGAIN_SECONDS
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.request_errors import InvalidRequest, TaskNotFound, TaskNotResumable
from ratchet.contracts.task_api import LimitsRequest, ResumeRequest
from ratchet.domain.identifiers import interrupt_id
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.steps import End, Paused, StepRecord
from ratchet.domain.task import UNANSWERED, History, TaskLimits, TaskState, end_record, step_after
from ratchet.observability import logger
from ratchet.ports import Begun, CheckpointStore, Clock, Inbox, Intent, Reopening

NOTHING_NEW = ResumeRequest()
_FOUND = {
    "happened": "it happened, so do not call it again",
    "did_not_happen": "it did not happen",
}
RESUMABLE = frozenset({TaskStatus.FAILED, TaskStatus.TIMED_OUT, TaskStatus.BUDGET_EXCEEDED})


@dataclass(frozen=True, slots=True)
class ResumeTask:
    """The use case of `POST /v1/tasks/{task_id}/resume`."""

    store: CheckpointStore
    inbox: Inbox
    agents: AgentDirectory
    clock: Clock
    is_suspended: Callable[[str], bool] = nobody

    def __call__(self, ref: TaskRef, request: ResumeRequest = NOTHING_NEW) -> History:
        """Queue the task again; its deadline counts from now. A task that runs already is answered as it is.

        Raises:
            TenantSuspended: nothing of this tenant may go on.
            TaskNotFound: this tenant has no such task.
            TaskNotResumable: it succeeded, was cancelled, waits for an answer, or a tool of it may still be running.
            InvalidRequest: `limits` are above the agent's own, or `effect_outcomes` misses a call or names another.
            StoreUnavailable: send the same request again.
        """
        refuse_suspended(is_suspended=self.is_suspended(ref.tenant))
        tip = self.store.load_tip(ref)
        if tip is None:
            raise TaskNotFound(f"there is no task {ref.task_id!r}; GET /v1/tasks lists yours")
        if isinstance(tip.next, Paused):
            raise TaskNotResumable(
                "the task waits for an answer and goes on by itself then: "
                f"POST /v1/tasks/{ref.task_id}/interrupts/{tip.next.interrupts[0].id}"
            )
        if not isinstance(tip.next, End):
            return tip
        if tip.next.status not in RESUMABLE:
            raise TaskNotResumable(
                f"the task has ended as {tip.next.status.value}; only failed, timed_out and "
                "budget_exceeded tasks can go on. Submit a new task instead"
            )
        lost = self._lost(tip)
        told = self._told(tip, tip.next, request, lost=lost)
        reopening = self._reopening(tip, told, self._limits(tip, request.limits))
        if self._brings_untrusted(tip, lost):
            result = replace(reopening.record.result, untrusted=True)
            reopening = replace(reopening, record=replace(reopening.record, result=result))
        reopening = replace(reopening, upgrade=request.upgrade)
        if self.store.reopen(tip, reopening):
            self._ring(tip)
        now = self.store.load_tip(ref)
        return now or _reopened(tip, reopening)

    def _lost(self, tip: History) -> list[tuple[ToolCall, Intent]]:
        """Unsafe calls that no step tells of: the attempt that made them was lost."""
        begun = self.store.begun_effects(tip.task.ref, step=tip.records[-1].number)
        return _lost_calls(begun) if begun is not None and _is_untold(tip, begun) else []

    def _brings_untrusted(self, tip: History, lost: Sequence[tuple[ToolCall, Intent]]) -> bool:
        """Whether a result that the agent is told of is what strangers wrote."""
        told = {call.name for call, intent in lost if intent.result is not None}
        return bool(told) and bool(told & self.agents.find(tip.task.agent).untrusted)

    def _told(
        self,
        tip: History,
        end: End,
        request: ResumeRequest,
        *,
        lost: Sequence[tuple[ToolCall, Intent]],
    ) -> tuple[Message, ...]:
        """What the agent is told of lost calls."""
        alive_ms = max((i.dies_at_ms for _, i in lost if i.result is None), default=0)
        if self.clock.now_ms() < alive_ms:
            seconds = -(-(alive_ms - self.clock.now_ms()) // 1000)
            raise TaskNotResumable(
                f"the last attempt may still be running a tool; resume the task in {seconds} s"
            )
        unknown, said = _untold(tip, end, lost), request.effect_outcomes
        _check_outcomes(unknown, said)
        lines = [
            f"called before the task ended: {_call(c)}: {i.result}"
            for c, i in lost
            if i.result is not None
        ]
        lines += [
            f"{call}. A person has looked: {_FOUND[said[id_]]}." for id_, call in unknown.items()
        ]
        return tuple(Message("user", f"[ratchet:effect] {line}") for line in lines)

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
        ended = end_record(tip, End(TaskStatus.FAILED), now_ms=now)
        result = replace(ended.result, messages=told)
        record = replace(ended, result=result, next=step_after(tip))
        return Reopening(record, limits, now, now + RING_AGAIN_SECONDS * 1000)

    def _ring(self, tip: History) -> None:
        try:
            self.inbox.send(Doorbell(tip.task.ref, tip.state.generation + 1))
        except StoreUnavailable:
            # The task is queued and due: the sweeper rings again.
            logger.warning("doorbell failed", extra={"task_id": tip.task.ref.task_id})


def _is_untold(tip: History, begun: Begun) -> bool:
    """Whether the last step is not the one that the calls were part of: an end took its number."""
    return begun.plan.message not in tip.records[-1].result.messages


def _lost_calls(begun: Begun) -> list[tuple[ToolCall, Intent]]:
    by_call = {intent.call_id: intent for intent in begun.intents.values()}
    return [(c, by_call[c.id]) for c in begun.plan.message.tool_calls if c.id in by_call]


def _untold(tip: History, end: End, lost: Sequence[tuple[ToolCall, Intent]]) -> dict[str, str]:
    """The calls of unknown outcome by id, in words. The ids hold for this end alone: another one asks anew."""
    ref, number = tip.task.ref, tip.records[-1].number
    found = {
        interrupt_id(ref, number, call.id): f"{_call(call)} gave no answer"
        for call, intent in lost
        if intent.result is None
    }
    is_unknown = end.failure is not None and end.failure.code == EffectOutcomeUnknown.code
    if end.failure is not None and is_unknown and not found:
        # It ended while it asked: its last step gave these calls their last words.
        told = [m for m in tip.records[-1].result.messages if m.content == UNANSWERED]
        for call_id in [m.tool_call_id or "" for m in told] or [""]:
            about = f"call {call_id}: " if len(told) > 1 else ""
            found[interrupt_id(ref, number, call_id)] = about + end.failure.message.rstrip(".")
    return found


def _check_outcomes(unknown: Mapping[str, str], said: Mapping[str, str]) -> None:
    missing = [f"{id_}: {call}" for id_, call in unknown.items() if id_ not in said]
    if missing:
        raise InvalidRequest(
            f"effect_outcomes: say `happened` or `did_not_happen` of each: {'; '.join(missing)}"
        )
    if other := sorted(set(said) - set(unknown)):
        raise InvalidRequest(
            f"effect_outcomes: nothing is asked about {', '.join(other)} (any more); leave it out"
        )


def _call(call: ToolCall) -> str:
    return f"{call.name}({call.arguments[:500]})"


def _reopened(tip: History, reopening: Reopening) -> History:
    record: StepRecord = reopening.record
    at = reopening.at_ms
    state = TaskState(TaskStatus.QUEUED, at, at, tip.state.generation)
    return History(replace(tip.task, limits=reopening.limits), state, (record,))
