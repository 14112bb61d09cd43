"""The task: what was asked (`Task`), where it stands (`TaskState`), and its whole history (`History`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ratchet.contracts import limits as bounds
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Purpose, Standing, TaskStatus, WaitingFor
from ratchet.contracts.pinned_routes import PinnedRoutes
from ratchet.domain.complexity import Rating
from ratchet.domain.messages import Message
from ratchet.domain.steps import (
    End,
    Paused,
    Step,
    StepRecord,
    StepResult,
    ToolRun,
    Totals,
    summary_position,
)


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """What a task may use up; its agent's defaults, tightened by the request."""

    max_steps: int = bounds.DEFAULT_MAX_STEPS
    max_cost_usd: float = bounds.DEFAULT_MAX_COST_USD
    max_tokens: int = bounds.DEFAULT_MAX_TOKENS
    deadline_seconds: int = bounds.DEFAULT_DEADLINE_SECONDS


@dataclass(frozen=True, slots=True)
class Fork:
    """What a task inherited from another one when it was made. It needs nothing more of its parent, ever."""

    parent_task_id: str
    step: int  # the last step of the parent whose work is inherited; 0 for none
    inherited: tuple[StepResult, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionPlace:
    """The session that a task belongs to, and its number there, in the order in which tasks came."""

    session_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Task:
    """A submitted goal; never changes."""

    ref: TaskRef
    goal: str
    agent: str
    agent_version: str
    first_step: Step
    limits: TaskLimits
    created_at_ms: int
    user_id: str | None = None
    webhook_url: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None  # used for every step in place of the routes' models
    fork: Fork | None = None
    rating: Rating | None = None  # None: its planning step rates it
    routes: PinnedRoutes | None = None  # in force when it was made, in place of the deployed ones
    # 0 to 9; the larger goes first among its tenant's tasks
    priority: int = bounds.DEFAULT_PRIORITY
    session: SessionPlace | None = None
    earlier: tuple[Message, ...] | None = None  # what its session had said when it first started
    earlier_untrusted: bool = False  # whether that came of what strangers wrote
    schedule_id: str | None = None  # of the schedule that submitted it

    def rated(self, step: Step) -> Step:
        """The step as this task was rated."""
        return step if self.rating is None else replace(step, complexity=self.rating.complexity)


@dataclass(frozen=True, slots=True)
class TaskState:
    """The head of a task: written when the status changes, not at every step."""

    status: TaskStatus
    updated_at_ms: int
    opened_at_ms: int = 0  # when it was created, resumed or answered; its deadline counts from here
    generation: int = 0  # of the execution that was started last; 0 before the first
    restarts: int = 0  # dead executions replaced since then
    restarted_at_step: int = 0  # the step that the last replacement began with
    machine_version: str | None = None  # of the state machine: all its executions start on it
    slot: int | None = (
        None  # the shard in which it is counted as running, until its end or pause has been seen
    )
    waiting_for: WaitingFor | None = None  # a limit, while it stands in line
    standing: Standing | None = None  # in its session; None when that has let it go


@dataclass(frozen=True, slots=True)
class History:
    """A task with all its committed steps, in order, without gaps."""

    task: Task
    state: TaskState
    records: tuple[StepRecord, ...] = ()

    @property
    def totals(self) -> Totals:
        """Totals up to the last committed step."""
        return self.records[-1].totals if self.records else Totals()

    @property
    def next(self) -> Step | Paused | End:
        """What follows the last committed step."""
        return self.records[-1].next if self.records else self.task.first_step

    @property
    def results(self) -> list[StepResult]:
        """What the steps did: the inherited ones first, then the task's own."""
        inherited = self.task.fork.inherited if self.task.fork else ()
        return [*inherited, *(record.result for record in self.records)]

    @property
    def messages(self) -> list[Message]:
        """What the steps added to the conversation, in order; from the last summary on, if there is one."""
        results = self.results
        return _messages(results[summary_position(results) or 0 :])

    @property
    def fresh(self) -> list[Message]:
        """What was added since the last summary: what the next one would replace."""
        results = self.results
        position = summary_position(results)
        return _messages(results[0 if position is None else position + 1 :])

    @property
    def work(self) -> list[StepResult]:
        """What the steps did that did anything: ends, resumes and summaries leave no trace for the policy."""
        return work_of(self.results)

    @property
    def last_answer(self) -> str | None:
        """What the model said last; the partial result of a task that ends before its time."""
        return next((r.answer for r in reversed(self.work) if r.answer), None)

    @property
    def agent_version(self) -> str:
        """The version of the agent that ran last, which is the task's own unless it was upgraded."""
        last = self.records[-1].result.agent_version if self.records else None
        return last or self.task.agent_version

    @property
    def next_number(self) -> int:
        """The number of the step that follows the last committed one."""
        return self.records[-1].number + 1 if self.records else 1

    def with_record(self, record: StepRecord) -> "History":
        """The history after one more committed step."""
        return replace(self, records=(*self.records, record))


def work_of(results: Sequence[StepResult]) -> list[StepResult]:
    """The results that a policy knows; what calls gave that people had to decide on is part of who asked for them."""
    work: list[StepResult] = []
    for result in results:
        if result.purpose is Purpose.COMPACTION:
            continue
        roles = [m.role for m in result.messages]
        if "assistant" in roles:
            work.append(result)
        elif work and (result.tool_runs or "tool" in roles):
            work[-1] = _with_results(work[-1], result)
    return work


def _with_results(asked: StepResult, later: StepResult) -> StepResult:
    """The step with the results of its calls that came later, in the order of the calls."""
    ids = [call.id for message in asked.messages for call in message.tool_calls]
    order = {call_id: place for place, call_id in enumerate(ids)}
    runs = sorted((*asked.tool_runs, *later.tool_runs), key=lambda r: order.get(r.call_id, 0))
    results = tuple(m for m in later.messages if m.role == "tool")
    return replace(asked, messages=(*asked.messages, *results), tool_runs=tuple(runs))


def _messages(results: Sequence[StepResult]) -> list[Message]:
    return [message for result in results for message in result.messages]


def announce_by(record: StepRecord) -> int:
    """When an end or a question that nobody has announced is due again, in milliseconds since the epoch."""
    return record.finished_at_ms + bounds.RING_AGAIN_SECONDS * 1000


def erase_at(record: StepRecord) -> int:
    """When the retention of a task that ended with this step is over, in milliseconds since the epoch."""
    return record.finished_at_ms + bounds.TERMINAL_RETENTION_SECONDS * 1000


def is_over(state: TaskState, *, now_ms: int) -> bool:
    """Whether the retention of a task in this state is over: from then on nobody sees it."""
    kept_until = state.updated_at_ms + bounds.TERMINAL_RETENTION_SECONDS * 1000
    return state.status.is_terminal and now_ms >= kept_until


def is_let_in(task: Task, state: TaskState) -> bool:
    """Whether the task may run as far as its session goes: it has none, or holds its lock."""
    return task.session is None or state.standing is Standing.HOLDS


UNANSWERED = "error: whether this call happened is not known"
NOT_MADE = "error: not called: the task ended before it was"
UNHEARD = "error: the task ended before this approved call gave a result"


def end_record(tip: History, end: End, *, now_ms: int) -> StepRecord:
    """A step that did no work and ends the task: it takes the next number, so no other step can.

    Tool calls that have no result get a message that says so: a conversation must not dangle.
    """
    step = step_after(tip)
    last_version = tip.records[-1].result.agent_version if tip.records else None
    return StepRecord(
        number=tip.next_number,
        result=StepResult(
            step.type,
            step.complexity,
            purpose=step.purpose,
            messages=closing_messages(tip),
            tool_runs=closing_runs(tip),
            agent_version=last_version,
        ),
        next=end,
        totals=tip.totals,
        attempt=0,
        started_at_ms=now_ms,
        finished_at_ms=now_ms,
    )


def closing_messages(tip: History) -> tuple[Message, ...]:
    """The last words on calls that have no result when the task ends. An approval is used up by that."""
    texts: dict[str, str] = {}
    for interrupt in tip.next.interrupts if isinstance(tip.next, Paused) else ():
        if interrupt.call is not None:
            texts[interrupt.call_id] = NOT_MADE
        elif interrupt.unanswered_call is not None:
            texts[interrupt.call_id] = UNANSWERED
    if isinstance(tip.next, Paused):
        texts |= {call.call_id: NOT_MADE for call in tip.next.then.calls}
    if isinstance(tip.next, Step):
        texts |= {call.call_id: UNHEARD for call in tip.next.calls}
    return tuple(Message("tool", text, (), call_id) for call_id, text in texts.items())


def closing_runs(tip: History) -> tuple[ToolRun, ...]:
    """The calls among them that were never made: a policy that goes on later must see that they were asked for."""
    held = [i.call for i in tip.next.interrupts if i.call] if isinstance(tip.next, Paused) else []
    following = tip.next.then if isinstance(tip.next, Paused) else tip.next
    approved = following.calls if isinstance(following, Step) else ()
    return tuple(ToolRun(call.call_id, call.tool, False, 0) for call in (*held, *approved))


def step_after(tip: History) -> Step:
    """The step that follows the last one; of an ended task the one that it ended with."""
    match tip.next:
        case Step() as step:
            return step
        case Paused() as paused:
            return paused.then
        case End():
            last = tip.records[-1].result
            return Step(last.type, last.complexity, last.purpose)
