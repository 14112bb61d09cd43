"""The safety net: every minute, look at whatever is due. All of it can be done twice, or late.

A lost doorbell is rung again, an unannounced end or question is announced, a running task whose execution has died goes
on in the next one, one that cannot be run ends at its deadline, one that waits for an answer ends when the question
closes, and a finished one is erased when its retention is over.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ratchet.admission_ports import Gauge
from ratchet.app.admission import Admission
from ratchet.app.decision_log import write_decision
from ratchet.app.dispatch_task import start_execution
from ratchet.app.remains import end_unreadable
from ratchet.app.suspensions import nobody
from ratchet.contracts import limits
from ratchet.contracts.errors import (
    DataMissing,
    DeadlineExceeded,
    EffectOutcomeUnknown,
    ExecutionFailed,
    NewerRelease,
    RatchetError,
    RetryableError,
)
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import EXPIRED, NOBODY, InterruptKind, TaskStatus
from ratchet.domain.budget_question import finish
from ratchet.domain.keys import due_key, due_shards
from ratchet.domain.steps import Decision, End, Failure, Paused
from ratchet.domain.task import History, announce_by, end_record
from ratchet.domain.verdicts import decision_record, may_expire
from ratchet.observability import logger
from ratchet.ports import (
    ANY_ATTEMPT,
    CheckpointStore,
    Clock,
    DueTask,
    ExecutionState,
    Inbox,
    Start,
    Workflow,
)

PAGE = 100
_LOOKS = 10
"""Pages of a shard that one run looks at while of each some task cannot be helped."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one run did: tasks looked at, tasks that could not be, and the longest that one was overdue."""

    tasks: int = 0
    failed: int = 0
    lag_ms: int = 0
    waiting: int = 0
    """Tasks seen waiting for a slot, and messages nobody has received: a few of each tenant's are counted, not all."""


@dataclass(frozen=True, slots=True)
class SweepTasks:
    """The use case of the sweeper."""

    store: CheckpointStore
    inbox: Inbox
    outbox: Inbox
    workflow: Workflow
    clock: Clock
    admission: Admission | None = None
    gauge: Gauge | None = None  # of the inbox
    is_suspended: Callable[[str], bool] = nobody

    def __call__(self) -> Swept:
        """Look at what is due, some of each shard, and at who waits; what is left over is due again in a minute."""
        found, failed = self._swept()
        lag = max((self.clock.now_ms() - due.due_at_ms for due in found), default=0)
        waiting = self._waiting()
        return Swept(len(found), len(failed) + (waiting is None), lag, waiting or 0)

    def _swept(self) -> tuple[set[DueTask], set[DueTask]]:
        """What was looked at, and what of it could not be: that stays due, so behind it is looked further.

        Not in an outage: that passes, and more requests do not help it.
        """
        found, failed = set[DueTask](), set[DueTask]()
        shards = due_shards()
        for _ in range(_LOOKS):
            new = [due for shard in shards for due in self._due(shard, failed) if due not in found]
            met = {due: error for due in new if (error := self._looked_at(due)) is not None}
            found.update(new)
            failed.update(met)
            lasting = [due for due, error in met.items() if not isinstance(error, RetryableError)]
            shards = sorted({due_key(due.ref) for due in lasting})
        return found, failed

    def _due(self, shard: str, failed: Collection[DueTask]) -> Sequence[DueTask]:
        stuck = sum(due_key(due.ref) == shard for due in failed)
        return self.store.due_tasks(shard, now_ms=self.clock.now_ms(), limit=PAGE + stuck)

    def reconcile(self, ref: TaskRef) -> None:
        """An execution of this task has ended: if the task has not, go on in the next execution."""
        tip = self._tip(ref)
        if tip is None or isinstance(tip.next, End | Paused):
            return
        if self.is_suspended(ref.tenant):
            return  # it stays due
        if tip.state.status in (TaskStatus.RUNNING, TaskStatus.WAITING):
            self._watch(tip)

    def _waiting(self) -> int | None:
        """Ring for waiting tasks that may start; None when that failed."""
        if self.admission is None:
            return 0
        try:
            depth = 0 if self.gauge is None else self.gauge.depth()
            return self.admission.sweep(self.inbox, queue_depth=depth)
        except RatchetError as exc:
            logger.warning("waiting tasks were not looked at", extra={"error": exc.code})
            return None

    def _looked_at(self, due: DueTask) -> Exception | None:
        """What went wrong, if anything did."""
        try:
            self._look_at(due)
        except RatchetError as exc:
            # It stays due; one task that cannot be helped now must not keep the others waiting.
            details = {"task_id": due.ref.task_id, "error": exc.code}
            logger.warning("due task failed", extra=details)
            return exc
        except Exception as bug:  # noqa: BLE001 - nor must one that meets a bug
            logger.exception("due task failed", extra={"task_id": due.ref.task_id})
            return bug
        return None

    def _look_at(self, due: DueTask) -> None:
        tip = self._tip(due.ref)  # the index may lag: decide on a consistent read
        if tip is None:
            self.store.erase(due.ref)  # its retention has passed, so readers no longer see it
            return
        again = limits.RING_AGAIN_SECONDS
        if self._is_late(tip):
            self._end(tip, TaskStatus.TIMED_OUT, _LATE)
            return
        if self._is_unanswered(tip):
            self._close(tip)
            return
        if self.is_suspended(due.ref.tenant):
            again = limits.SUSPENDED_LOOK_SECONDS
            if isinstance(tip.next, End | Paused):
                self.outbox.send(Doorbell(due.ref))  # it may hold a slot, or a session
        elif tip.state.status is TaskStatus.QUEUED:
            self.inbox.send(Doorbell(due.ref, tip.state.generation + 1))
        elif isinstance(tip.next, End | Paused):
            self.outbox.send(Doorbell(due.ref))
        elif self._watch(tip):
            again = limits.WATCH_SECONDS
        else:
            return  # what replaced the execution has set its own time
        self.store.postpone(due, until_ms=self.clock.now_ms() + again * 1000)

    def _tip(self, ref: TaskRef) -> History | None:
        """The task with its last step. One of which that cannot be read, and so cannot go on, has ended by then."""
        try:
            return self.store.load_tip(ref)
        except NewerRelease:
            raise  # nothing is lost: whoever put an older release back will not have meant to end its tasks
        except DataMissing as exc:
            return end_unreadable(self.store, ref, exc, now_ms=self.clock.now_ms())

    def _watch(self, tip: History) -> bool:
        """Whether the execution is alive; a dead one is replaced, or the task ended when that does not help."""
        generation = tip.state.generation
        execution = self.workflow.describe(tip.task.ref, generation=generation)
        if execution.is_running:
            return True
        is_stuck = tip.state.restarted_at_step == tip.next_number
        restarts = tip.state.restarts + 1 if is_stuck else 1
        details = {"task_id": tip.task.ref.task_id, "generation": generation}
        logger.warning("execution died", extra={**details, "restarts": restarts})
        if restarts > limits.MAX_RESTARTS:
            self._end(tip, TaskStatus.FAILED, _given_up(tip, execution))
            return False
        now = self.clock.now_ms()
        due = now + limits.WATCH_SECONDS * 1000
        opened, step = tip.state.opened_at_ms, tip.next_number
        start = Start(generation + 1, now, due, opened, restarts=restarts, at_step=step)
        # One that ended by itself, such as to roll over, and was not heard has left nothing open at this step.
        follows_lost = is_stuck or bool(execution.cause)
        start_execution(self.store, self.workflow, tip, start, follows_lost=follows_lost)
        return False

    def _is_late(self, tip: History) -> bool:
        """Whether the deadline has passed so long ago that no step can be about to notice it; pauses have none."""
        if isinstance(tip.next, End | Paused):
            return False
        seconds = tip.task.limits.deadline_seconds + limits.WATCH_SECONDS
        return self.clock.now_ms() >= tip.state.opened_at_ms + seconds * 1000

    def _is_unanswered(self, tip: History) -> bool:
        return isinstance(tip.next, Paused) and self.clock.now_ms() >= tip.next.expires_at_ms

    def _close(self, tip: History) -> None:
        """Nobody answered in time: the task goes on, or ends, as it would without an answer."""
        paused = tip.next
        if not isinstance(paused, Paused):
            return
        asked = paused.interrupts[0]
        if asked.kind is InterruptKind.BUDGET:
            history = self.store.load(tip.task.ref) or tip
            self._commit(tip, finish(history, asked, f"nobody answered in time: {asked.question}"))
        elif may_expire(paused):
            self._expire(tip, paused)
        else:
            self._end(tip, TaskStatus.FAILED, _unanswered(tip))

    def _expire(self, tip: History, paused: Paused) -> None:
        """The calls count as rejected, and the agent's own questions as unanswered."""
        for interrupt in paused.interrupts:
            decision = Decision(interrupt.id, EXPIRED, by=NOBODY)
            record = decision_record(tip, interrupt, decision, now_ms=self.clock.now_ms())
            if not write_decision(self.store, tip, record, inbox=self.inbox, outbox=self.outbox):
                return  # somebody was faster: it is looked at again
            tip = self._tip(tip.task.ref) or tip.with_record(record)

    def _end(self, tip: History, status: TaskStatus, failure: Failure) -> None:
        self._commit(tip, End(status, failure=failure))

    def _commit(self, tip: History, end: End) -> None:
        record = end_record(tip, end, now_ms=self.clock.now_ms())
        self.store.commit(tip.task, record, due_at_ms=announce_by(record), effects_of=ANY_ATTEMPT)
        self.outbox.send(Doorbell(tip.task.ref))


_LATE = Failure(
    DeadlineExceeded.code,
    "no step could be run before the task's deadline; raise limits.deadline_seconds and resume it",
)


def _unanswered(tip: History) -> Failure:
    """Nobody said whether an unsafe call happened: the task ends, and can be resumed by who finds out."""
    asked = tip.next.interrupts if isinstance(tip.next, Paused) else ()
    questions = " ".join(interrupt.question for interrupt in asked)
    return Failure(EffectOutcomeUnknown.code, f"nobody answered in time: {questions}")


def _given_up(tip: History, execution: ExecutionState) -> Failure:
    return Failure(
        ExecutionFailed.code,
        f"step {tip.next_number} could not be run in {limits.MAX_RESTARTS} executions; "
        f"the last one died of: {execution.cause or 'unknown'}",
    )
