"""Run one step: load, check limits, ask a model, run its tools, commit. The heart of Ratchet.

However often and however late an attempt runs, the step is recorded once: an attempt that finds the step committed
returns the recorded outcome, and one that loses the race to commit adopts the winner's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ratchet.app.agents import AgentRegistry
from ratchet.app.answer_check import Accepted
from ratchet.app.model_turn import ModelTurn, Spending, is_worth_waiting
from ratchet.app.tool_runner import ToolResults, ToolRunner
from ratchet.app.warm_histories import WarmHistories
from ratchet.contracts import limits
from ratchet.contracts.errors import (
    DataMissing,
    ExecutionFailed,
    LimitReached,
    ModelError,
    ModelThrottled,
    TaskError,
    TimeTooShort,
)
from ratchet.contracts.messages import Route, StepInput, StepOutput, StepRef
from ratchet.contracts.names import Action, Json, TaskStatus
from ratchet.domain.agent import Agent
from ratchet.domain.backoff import outage_wait_seconds, wait_seconds
from ratchet.domain.budget import check_limits
from ratchet.domain.messages import Message
from ratchet.domain.policy import Done
from ratchet.domain.prompt import build_prompt
from ratchet.domain.steps import End, Failure, Step, StepRecord, StepResult
from ratchet.domain.task import History, announce_by, end_record
from ratchet.observability import logger
from ratchet.ports import ChatModel, CheckpointStore, Clock, Ids, Metrics


@dataclass(frozen=True, slots=True)
class ExecuteStep:
    """The use case of step_executor: one step, or the end of a task whose step cannot be run."""

    store: CheckpointStore
    chat: ChatModel
    agents: AgentRegistry
    clock: Clock
    ids: Ids
    metrics: Metrics
    warm: WarmHistories
    patience_seconds: int
    steps_per_execution: int = limits.STEPS_PER_EXECUTION

    def __call__(self, event: StepInput, *, remaining_seconds: Callable[[], float]) -> StepOutput:
        """Run the step unless it is committed already; what the state machine does next.

        Raises:
            RetryableError: nothing was recorded; the state machine runs the step again.
        """
        if remaining_seconds() < limits.MIN_START_SECONDS:
            raise TimeTooShort("too little of this invocation is left to begin a step")
        try:
            history = self._history(event)
        except DataMissing as exc:
            return self._end_unreadable(event, exc)
        if history is None:
            logger.error("step of an unknown task", extra={"task_id": event.task.task_id})
            return StepOutput(
                event.task, Action.FINISH, event.step, event.execution, status="unknown"
            )
        if len(history.records) >= event.step.number or isinstance(history.next, End):
            position = min(event.step.number, len(history.records))
            return self._after(history.records[position - 1], event)
        if len(history.records) != event.step.number - 1:
            raise DataMissing(f"step {event.step.number} was asked for before its predecessors")
        attempt = _Attempt(self, event, history, remaining_seconds)
        outcome = attempt.run()
        if isinstance(outcome, StepOutput):
            return outcome
        return self._commit(history, outcome, event)

    def _history(self, event: StepInput) -> History | None:
        known = self.warm.get(event.task)
        if known is None:
            return self.store.load(event.task)
        if len(known.records) == event.step.number - 1 and event.attempt == 0 and not event.failure:
            return known
        fresh = self.store.load(event.task, after=len(known.records))
        return fresh and replace(fresh, records=known.records + fresh.records)

    def _end_unreadable(self, event: StepInput, error: DataMissing) -> StepOutput:
        """A task whose history cannot be read cannot go on, and must not be guessed at."""
        tip = self.store.load_tip(event.task)
        if tip is None or isinstance(tip.next, End):
            raise error
        failure = Failure(error.code, str(error))
        end = End(error.status, failure=failure)
        return self._commit(tip, end_record(tip, end, now_ms=self.clock.now_ms()), event)

    def _commit(self, history: History, record: StepRecord, event: StepInput) -> StepOutput:
        stored = self.store.commit(history.task, record, due_at_ms=announce_by(record))
        if len(history.records) == record.number - 1:
            self.warm.put(history.with_record(stored))
        if stored == record:
            self.metrics.step_finished(record, task=history.task)
        else:
            logger.info("step was committed by another attempt", extra={"step": record.number})
        return self._after(stored, event)

    def _after(self, record: StepRecord, event: StepInput) -> StepOutput:
        """Where the state machine goes from a committed step."""
        execution = event.execution
        if isinstance(record.next, End):
            status = record.next.status.value
            return StepOutput(event.task, Action.FINISH, event.step, execution, status=status)
        step = StepRef(record.number + 1, record.next.type, record.next.complexity)
        is_full = step.number - execution.first_step >= self.steps_per_execution
        action = Action.ROLL_OVER if is_full else Action.STEP
        return StepOutput(event.task, action, step, execution)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt at one step; knows everything that the step depends on."""

    use: ExecuteStep
    event: StepInput
    history: History
    remaining_seconds: Callable[[], float]

    def run(self) -> StepRecord | StepOutput:
        started = self.use.clock.now_ms()
        spending = Spending(self.history.totals)
        result = StepResult(self.event.step.type, self.event.step.complexity)
        following: Step | End
        try:
            result, following = self._work(spending)
        except TaskError as exc:
            following = self._end(exc)
        except ModelError as exc:
            wait = self._wait(exc)
            if wait is not None:
                return wait
            following = self._end(exc)
        result = spending.on(result)
        return StepRecord(
            number=self.event.step.number,
            result=result,
            next=following,
            # An end that refused to begin a step is no step.
            totals=self.history.totals.plus(result) if result.model else self.history.totals,
            attempt=self.event.attempt,
            started_at_ms=started,
            finished_at_ms=self.use.clock.now_ms(),
        )

    def _work(self, spending: Spending) -> tuple[StepResult, Step | End]:
        if self.event.failure is not None:
            raise ExecutionFailed(f"the step could not be run: {self.event.failure}")
        check_limits(self.history, now_ms=self.use.clock.now_ms())
        agent = self.use.agents.get(self.history.task.agent)
        directive = agent.decides.directive(self._step, self.history.work)
        accepted = self._ask(agent, directive, spending)
        tools = self._run_tools(accepted)
        opening = (Message("user", directive),) if directive else ()
        result = StepResult(
            type=self.event.step.type,
            complexity=self.event.step.complexity,
            messages=(*opening, accepted.message, *tools.messages),
            tool_runs=tools.runs,
            rating=accepted.rating,
            route=self._route.name,
        )
        if tools.unknown is not None:
            return result, self._end(tools.unknown)
        return result, self._next(agent, result, accepted.output)

    @property
    def _step(self) -> Step:
        return Step(self.event.step.type, self.event.step.complexity)

    @property
    def _route(self) -> Route:
        if self.event.route is None:
            raise ExecutionFailed("the state machine named no route for this step")
        return self.event.route

    def _ask(self, agent: Agent, directive: str | None, spending: Spending) -> Accepted:
        prompt = build_prompt(agent, self.history, self.event.step.type, directive)
        turn = ModelTurn(
            chat=self.use.chat,
            agent=agent,
            task=self.history.task,
            route=self._route,
            spending=spending,
            remaining_seconds=self.remaining_seconds,
        )
        return turn.run(prompt, self.event.step.type)

    def _run_tools(self, accepted: Accepted) -> ToolResults:
        runner = ToolRunner(
            store=self.use.store,
            clock=self.use.clock,
            task=self.history.task,
            step=self.event.step.number,
            attempt_id=self.use.ids.attempt_id(),
        )
        return runner.run(accepted.calls)

    def _next(self, agent: Agent, result: StepResult, output: Json) -> Step | End:
        following = agent.decides.next_step([*self.history.work, result], agent.traits)
        if isinstance(following, Done):
            return End(TaskStatus.SUCCEEDED, output=output)
        return following

    def _wait(self, error: ModelError) -> StepOutput | None:
        """What to wait for, or None when waiting cannot help any more."""
        if not is_worth_waiting(error):
            return None
        step = self.event.step
        waited = step.waited_seconds
        # A throttle passes by itself, so only the task's deadline bounds it; an outage may be a wrong address.
        if isinstance(error, ModelThrottled):
            seconds = wait_seconds(step.waits, retry_after=error.retry_after_seconds)
        else:
            seconds = outage_wait_seconds(waited)
            waited += seconds
            if waited > self.use.patience_seconds:
                return None
        logger.info("step waits for a model", extra={"seconds": seconds, "error": error.code})
        again = replace(step, waits=step.waits + 1, waited_seconds=waited)
        return StepOutput(
            self.event.task, Action.WAIT, again, self.event.execution, wait_seconds=seconds
        )

    def _end(self, error: TaskError | ModelError) -> End:
        status = error.status if isinstance(error, TaskError) else TaskStatus.FAILED
        code = error.limit if isinstance(error, LimitReached) else error.code
        partial = next(
            (r.result.answer for r in reversed(self.history.records) if r.result.answer), None
        )
        output: Json = {"partial": partial} if partial and status is not TaskStatus.FAILED else None
        return End(status, output=output, failure=Failure(code, str(error)))
