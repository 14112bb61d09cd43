"""One attempt at one step: check limits, ask a model, run its tools. What it did is committed by `execute_step`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ratchet.admission_ports import Throttles
from ratchet.app.agents import AgentRegistry
from ratchet.app.answer_check import Accepted, check_again
from ratchet.app.approved_calls import ApprovedCalls
from ratchet.app.cached_chat import CachedChat
from ratchet.app.compact_history import instead_of, summarizer
from ratchet.app.held_calls import is_tainted, sort_calls
from ratchet.app.lost_attempts import Reservation, carried, is_wary
from ratchet.app.memories import Memories
from ratchet.app.model_turn import ModelTurn
from ratchet.app.prefix_watch import StickyRoute, watch
from ratchet.app.similar_goal import Found, GoalPorts, SimilarGoal
from ratchet.app.spending import Spending
from ratchet.app.step_course import StepCourse
from ratchet.app.step_ends import closed, runs_beside, runs_of
from ratchet.app.step_trace import StepTrace
from ratchet.app.step_waits import StepWaits
from ratchet.app.task_memory import TaskMemory
from ratchet.app.tenant_allowance import TenantGovernor
from ratchet.app.tool_runner import EffectPending, PlannedCall, ToolResults, ToolRunner
from ratchet.contracts.errors import (
    AttemptLost,
    AttemptSuperseded,
    ContextOverflow,
    ExecutionFailed,
    LimitReached,
    ModelError,
    RatchetError,
    RetryableError,
    TaskError,
)
from ratchet.contracts.messages import Allowance, StepInput, StepOutput
from ratchet.contracts.names import (
    Effect,
    Purpose,
)
from ratchet.domain import compaction, escalation
from ratchet.domain.agent import Agent
from ratchet.domain.budget import MAX_COST, check_limits, warning
from ratchet.domain.messages import Message
from ratchet.domain.models import ModelCatalogue
from ratchet.domain.prompt import Prompt, build_prompt
from ratchet.domain.steps import (
    End,
    Paused,
    Step,
    StepPlan,
    StepRecord,
    StepResult,
)
from ratchet.domain.task import History
from ratchet.domain.tools import Tool
from ratchet.model_ports import ChatModel, ResponseCache
from ratchet.ports import ANY_ATTEMPT, Begun, CheckpointStore, Clock, Ids


@dataclass(frozen=True, slots=True)
class Attempted:
    """A step's record, and whose effects it tells of."""

    record: StepRecord
    effects_of: str | None
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True)
class StepAttempt:
    """One attempt at one step; knows everything that the step depends on."""

    store: CheckpointStore
    chat: ChatModel
    models: ModelCatalogue
    agents: AgentRegistry
    clock: Clock
    ids: Ids
    patience_seconds: int
    clock_margin_seconds: int
    tenants: TenantGovernor
    event: StepInput
    history: History
    remaining_seconds: Callable[[], float]
    throttles: Throttles | None = None
    cache: ResponseCache | None = None
    goals: GoalPorts | None = None
    trace: StepTrace | None = None
    memories: Memories | None = None

    def run(self) -> Attempted | StepOutput:
        """The step's record, to be committed; or what to wait for before the next attempt.

        Raises:
            AttemptLost: as below, and money may have been spent.
            RetryableError: nothing is to be recorded; the state machine runs the step again.
        """
        started = self.clock.now_ms()
        owner = self.ids.attempt_id()
        reservation = Reservation.open(self.store, self.event, self.history, owner=owner)
        before = carried(self.store, self.event, self.history)
        allowance = self.tenants.open(self.event, self.history, owner=owner, clock=self.clock)
        spending = Spending(self.history.totals, reservation, allowance, before)
        try:
            done = self._outcome(spending, started)
            if isinstance(done, Attempted):
                return replace(done, allowance=allowance.stands)
            return replace(done, step=replace(done.step, allowance=allowance.stands))
        except RetryableError as exc:
            if spending.own:
                raise AttemptLost(f"{type(exc).__name__}: {exc}") from exc
            raise

    def _outcome(self, spending: Spending, started: int) -> Attempted | StepOutput:
        step = self._course.step
        result = StepResult(step.type, step.complexity, purpose=step.purpose)
        following: Step | Paused | End
        has_effects = is_spent = False
        try:
            result, following, has_effects = self._work(spending)
        except EffectPending as exc:
            return self._waits.for_attempt(exc.seconds)
        except TaskError as exc:
            following = self._course.question(exc) or self._course.end(exc)
            is_spent = isinstance(exc, LimitReached) and exc.limit == MAX_COST
        except ContextOverflow as exc:
            following = instead_of(step, self.history) or self._course.end(
                ContextOverflow(f"{exc}; {compaction.ADVICE}")
            )
        except ModelError as exc:
            wait = self._waits.for_model(exc)
            if wait is not None:
                spending.reservation.settle(spending.own)
                return wait
            following = self._course.end(exc)
        is_bare_end = isinstance(following, End) and not result.messages
        result = replace(spending.on(result), agent_version=self._other_version())
        finished = self.clock.now_ms()
        # An end that refused to begin a step is no step.
        before = self.history.totals
        totals = before.plus(result) if result.model else before.after_end(result)
        ran = runs_of(self.event, result, self._toolbox, finished - started)
        ran += runs_beside(self.event, self.history, spending.cached)
        record = StepRecord(
            number=self.event.step.number,
            result=closed(result, self.history) if is_bare_end else result,
            next=following,
            totals=totals.after(ran),
            attempt=self.event.attempt,
            started_at_ms=started,
            finished_at_ms=finished,
            warning=warning(self.history, totals.cost_microusd, is_spent=is_spent),
        )
        mine = spending.reservation.owner if has_effects else None
        return Attempted(record, ANY_ATTEMPT if is_bare_end else mine)

    def _work(self, spending: Spending) -> tuple[StepResult, Step | Paused | End, bool]:
        """What was done, what follows, and whether it had effects that may happen only once."""
        owner = spending.reservation.owner
        course, step = self._course, self._course.step
        begun = self._adopted(owner)
        before = None if begun is None else begun.plan
        agent = self.agents.get(self.history.task.agent)
        if step.purpose is Purpose.CALLS:
            return self._make_approved(agent, before, owner)
        directive = agent.decides.directive(step, self.history.work)
        if before is not None and self.event.failure is None:
            spending.carry_on(before)
            accepted = check_again(before, agent, self.event.step)
        else:
            self._count_lost(agent, directive, spending)
            self._check_limits()
            if step.purpose is Purpose.COMPACTION:
                result = course.length(agent).run(self._turn(agent, spending), step)
                return result, course.after(agent, result, self.history.last_answer), False
            found = self._similar(agent, spending)
            if found is not None:
                return found.result(step), found.end, False
            accepted = self._ask(agent, directive, spending)
        tainted = is_tainted(self.history, agent)
        begun_ids = begun.call_ids if begun else ()
        calls = sort_calls(accepted.calls, is_tainted=tainted, begun=begun_ids)
        tools = self._run_tools(calls.free, spending.plan(owner, accepted.message))
        opening = (Message("user", directive),) if directive else ()
        result = StepResult(
            type=self.event.step.type,
            complexity=self.event.step.complexity,
            messages=(*opening, accepted.message, *tools.messages),
            tool_runs=tools.runs,
            rating=accepted.rating,
            route=course.route.name,
            untrusted=tainted or any(planned.tool.untrusted for planned in calls.free),
        )
        # What follows when every held call is refused; what is approved comes before it, and decides anew.
        runs = (*result.tool_runs, *calls.as_refused)
        following = course.after(agent, replace(result, tool_runs=runs), accepted.output)
        has_effects = any(planned.tool.effect is Effect.UNSAFE for planned in calls.free)
        if tools.unknown or calls.held:
            return result, course.paused(following, tools, calls.held), has_effects
        return result, following, has_effects

    def _make_approved(
        self, agent: Agent, before: StepPlan | None, owner: str
    ) -> tuple[StepResult, Step | Paused | End, bool]:
        """Make the calls that people have approved. It asks no model, so no limit of the task stands in its way."""
        if self.event.failure is not None:
            raise ExecutionFailed(f"the step could not be run: {self.event.failure}")
        approved = ApprovedCalls.of(self.history, agent, self._course.step.calls)
        approved.check(before)
        tools = self._run_tools(approved.planned, StepPlan(owner, approved.message))
        result = approved.result(tools, self._course.step.complexity)
        following = self._course.after(agent, result, None)
        has_effects = any(call.tool.effect is Effect.UNSAFE for call in approved.planned)
        if tools.unknown:
            return result, self._course.paused(following, tools), has_effects
        return result, following, has_effects

    def _similar(self, agent: Agent, spending: Spending) -> Found | None:
        # A step that comes back from a wait has looked before it.
        if self.goals is None or self.event.step.waits:
            return None
        return SimilarGoal(
            ports=self.goals,
            store=self.store,
            models=self.models,
            clock=self.clock,
            agent=agent,
            history=self.history,
            spending=spending,
            remaining_seconds=self.remaining_seconds,
        ).find()

    def _check_limits(self) -> None:
        if self.event.failure is not None:
            raise ExecutionFailed(f"the step could not be run: {self.event.failure}")
        check_limits(self.history, now_ms=self.clock.now_ms())

    def _count_lost(self, agent: Agent, directive: str | None, spending: Spending) -> None:
        """Count the call that a lost attempt may have made: it was for the prompt that this one would send."""
        if not spending.reservation.follows_lost:
            return
        if self.event.route is None and self.history.task.routes is None:
            return  # an execution from before attempts were counted has nothing to say of them
        is_summary = self._course.step.purpose is Purpose.COMPACTION
        words = compaction.DIRECTIVE if is_summary else directive
        prompt = build_prompt(agent, self.history, self.event.step.type, words)
        turn = self._turn(agent, spending)
        (turn if is_summary else self._decided(turn, prompt)).count_lost(prompt)

    def _other_version(self) -> str | None:
        """The version of the agent that runs here, unless it is the one that the task was submitted with."""
        version = self.agents.version_of(self.history.task.agent)
        return None if version == self.history.task.agent_version else version

    def _adopted(self, owner: str) -> Begun | None:
        """What an earlier attempt at this step was about to do, when it had begun effects."""
        ref, step = self.event.task, self.event.step
        if not is_wary(self.event) or self.event.failure is not None:
            return None
        begun = self.store.begun_effects(ref, step=step.number)
        if begun is None:
            return None
        if not self.store.adopt_plan(ref, begun.plan, step=step.number, owner=owner):
            raise AttemptSuperseded(f"another attempt has taken over step {step.number}")
        return begun

    @property
    def _toolbox(self) -> dict[str, Tool]:
        """The agent's tools; none when it is not deployed any more."""
        name = self.history.task.agent
        return {} if self.agents.version_of(name) is None else self.agents.get(name).toolbox

    def _ask(self, agent: Agent, directive: str | None, spending: Spending) -> Accepted:
        prompt = build_prompt(agent, self.history, self.event.step.type, directive)
        if self._course.length(agent).is_due_before(prompt):
            raise ContextOverflow("the prompt is too long for this step's route")
        spending.prefix = watch(self.history, agent, self._course.step, at_ms=self.clock.now_ms())
        turn = self._decided(self._turn(agent, spending), prompt)
        return turn.run(prompt, self.event.step.type)

    def _decided(self, turn: ModelTurn, prompt: Prompt) -> ModelTurn:
        """The turn with what the history says about its models: the same on every attempt."""
        escalate = escalation.before_step(self.history.work)
        sticky = StickyRoute(self.history, turn.agent, self._course.step, self.models)
        stay = None if escalate else sticky.choose(self._course.route, prompt)
        return replace(turn, escalate=escalate, stay=stay)

    def _turn(self, agent: Agent, spending: Spending) -> ModelTurn:
        return ModelTurn(
            chat=self._chat(agent, spending),
            models=self.models,
            agent=agent,
            task=self.history.task,
            route=self._course.route,
            spending=spending,
            remaining_seconds=self.remaining_seconds,
            place=self.event.step.place,
            is_wanted=self._is_wanted,
        )

    def _is_wanted(self) -> bool:
        """Whether the step is still to be done: not once a cancel, or another attempt, has taken its number."""
        try:
            tip = self.store.load_tip(self.history.task.ref)
        except RatchetError:
            return True
        return tip is not None and tip.next_number == self.event.step.number

    def _chat(self, agent: Agent, spending: Spending) -> ChatModel:
        if self.cache is None or agent.cache_ttl_seconds is None:
            return self.chat
        step = self._course.step
        return CachedChat(
            chat=self.chat,
            cache=self.cache,
            models=self.models,
            clock=self.clock,
            tenant=self.event.task.tenant,
            agent=summarizer(agent) if step.purpose is Purpose.COMPACTION else agent,
            type=step.type,
            ttl_seconds=agent.cache_ttl_seconds,
            note=spending.note,
        )

    @property
    def _course(self) -> StepCourse:
        return StepCourse(self.event, self.history, self.agents, self.models, self.clock)

    def _run_tools(self, calls: Sequence[PlannedCall], plan: StepPlan) -> ToolResults:
        agent = self.agents.get(self.history.task.agent)
        runner = ToolRunner(
            store=self.store,
            clock=self.clock,
            task=self.history.task,
            step=self.event.step.number,
            plan=plan,
            alive_seconds=lambda: self.remaining_seconds() + self.clock_margin_seconds,
            trace=self.trace,
            memory=TaskMemory.of(self.memories, self.history, agent, step=self.event.step.number),
        )
        return runner.run(calls)

    @property
    def _waits(self) -> StepWaits:
        return StepWaits(self.event, self.history, self.patience_seconds, self.throttles)
