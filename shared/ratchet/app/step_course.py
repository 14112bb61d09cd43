"""The course of a task at one step: which step and route it is on, and where it goes from there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ratchet.app.agents import AgentRegistry
from ratchet.app.compact_history import CompactHistory
from ratchet.app.held_calls import asked_about
from ratchet.app.questions import questions
from ratchet.app.tool_runner import PlannedCall, ToolResults
from ratchet.contracts.errors import (
    ExecutionFailed,
    LimitReached,
    LoopDetected,
    ModelError,
    TaskError,
)
from ratchet.contracts.messages import Route, StepInput
from ratchet.contracts.names import Json, TaskStatus
from ratchet.domain import budget_question, compaction, escalation
from ratchet.domain.agent import Agent
from ratchet.domain.models import ModelCatalogue
from ratchet.domain.policy import Done
from ratchet.domain.steps import End, Failure, Paused, Step, StepResult
from ratchet.domain.task import History, work_of
from ratchet.ports import Clock


@dataclass(frozen=True, slots=True)
class StepCourse:
    """What the history and the event say of one step, and what follows it: a step, a question, or the task's end."""

    event: StepInput
    history: History
    agents: AgentRegistry
    models: ModelCatalogue
    clock: Clock

    @property
    def step(self) -> Step:
        """The step that the history says is next, of the type and complexity that the state machine routed."""
        following = self.history.next
        if not isinstance(following, Step):
            return Step(self.event.step.type, self.event.step.complexity)
        return replace(following, type=self.event.step.type, complexity=self.event.step.complexity)

    @property
    def route(self) -> Route:
        """The models of the step: of the task's own routing table, or of the state machine's branch.

        Raises:
            ExecutionFailed: neither names one.
        """
        pinned, step = self.history.task.routes, self.event.step
        if pinned is not None:
            return pinned.route(step.type, step.complexity)
        if self.event.route is None:
            raise ExecutionFailed("the state machine named no route for this step")
        return self.event.route

    def length(self, agent: Agent) -> CompactHistory:
        """The history's length, as the models of this route see it."""
        return CompactHistory(agent, self.models, self.history, self.route)

    def after(self, agent: Agent, result: StepResult, output: Json) -> Step | End:
        """What the policy lets follow, unless the task runs in circles or its history must be summarized first."""
        worked = work_of([*self.history.results, result])
        following = agent.decides.next_step(worked, agent.traits)
        if isinstance(following, Done):
            return End(TaskStatus.SUCCEEDED, output=output)
        if agent.loop_guard and not result.is_summary and (why := escalation.stuck(worked)):
            return self.end(LoopDetected(why))
        following = self.history.task.rated(following)
        if not result.is_summary and self.length(agent).is_due_after(result, following):
            return compaction.step_before(following)
        return following

    def paused(
        self, following: Step | End, tools: ToolResults, held: Sequence[PlannedCall] = ()
    ) -> Paused:
        """The questions about calls of unknown outcome and those to be approved; then, what follows."""
        now_ms = self.clock.now_ms()
        version = self.agents.version_of(self.history.task.agent) or ""
        about = asked_about(self.event, held, version=version, now_ms=now_ms)
        # Calls that have been made, or may have been, are not made again.
        then = following if isinstance(following, Step) else replace(self.step, calls=())
        return Paused((*questions(self.event, tools.unknown, now_ms=now_ms), *about), then)

    def question(self, error: TaskError) -> Paused | None:
        """Ask whether the limit may be raised, if it is one and the agent allows it."""
        name = self.history.task.agent
        if not isinstance(error, LimitReached) or not self.agents.get(name).ask_over_budget:
            return None
        now_ms = self.clock.now_ms()
        asked = budget_question.question(self.history, error.limit, str(error), now_ms=now_ms)
        return None if asked is None else Paused((asked,), self.step)

    def end(self, error: TaskError | ModelError) -> End:
        """The end that an error makes of the task, with what it has so far when a limit ended it."""
        status = error.status if isinstance(error, TaskError) else TaskStatus.FAILED
        code = error.limit if isinstance(error, LimitReached) else error.code
        partial = self.history.last_answer
        tells = status is not TaskStatus.FAILED or isinstance(error, LoopDetected)
        output: Json = {"partial": partial} if partial and tells else None
        return End(status, output=output, failure=Failure(code, str(error)))
