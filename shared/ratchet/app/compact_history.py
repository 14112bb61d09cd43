"""Keep a task's history within its models' context windows: a step before it grows too long, or when it has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ratchet.app.model_turn import ModelTurn
from ratchet.contracts.errors import ContextOverflow
from ratchet.contracts.messages import Route
from ratchet.contracts.names import Purpose
from ratchet.domain import compaction
from ratchet.domain.agent import Agent
from ratchet.domain.messages import Message
from ratchet.domain.models import ModelCatalogue
from ratchet.domain.prompt import Prompt, build_prompt
from ratchet.domain.steps import Step, StepResult
from ratchet.domain.task import History


@dataclass(frozen=True, slots=True)
class CompactHistory:
    """The length of a history, as the models of one route see it."""

    agent: Agent
    models: ModelCatalogue
    history: History
    route: Route

    def is_due_before(self, prompt: Prompt) -> bool:
        """Whether the step that this prompt is for must wait for a compaction."""
        return self._is_due(prompt, self.history.fresh)

    def is_due_after(self, result: StepResult, following: Step) -> bool:
        """Whether a compaction comes before the step that follows this result.

        Nothing is known here of that step's route but its name, so this step's stands for it; that step looks again.
        """
        prompt = build_prompt(self.agent, self.history, following.type, None)
        longer = prompt.with_messages(result.messages)
        return self._is_due(longer, [*self.history.fresh, *result.messages])

    def run(self, turn: ModelTurn, step: Step) -> StepResult:
        """Get the summary, of shortened tool results when not even this call takes them whole.

        Raises:
            ContextOverflow: no model of the route takes the history.
        """
        turn = replace(turn, agent=summarizer(self.agent))
        prompt = build_prompt(self.agent, self.history, step.type, compaction.DIRECTIVE)
        try:
            accepted = turn.run(prompt, step.type)
        except ContextOverflow:
            shortened = compaction.shortened(prompt, threshold=self._threshold)
            if shortened == prompt:
                raise
            accepted = turn.run(shortened, step.type)
        return StepResult(
            type=step.type,
            complexity=step.complexity,
            messages=compaction.messages_of(accepted.message),
            route=self.route.name,
            purpose=Purpose.COMPACTION,
        )

    @property
    def _threshold(self) -> int | None:
        own = self.history.task.model
        names = (*self.route.models, *self.route.escalation) if own is None else (own,)
        windows = [self.models.spec(name).context_tokens for name in names if name in self.models]
        return compaction.threshold(self.agent, windows)

    def _is_due(self, prompt: Prompt, fresh: Sequence[Message]) -> bool:
        return compaction.is_due(prompt, fresh, threshold=self._threshold)


def summarizer(agent: Agent) -> Agent:
    """The agent as the answer to a compaction is judged: text is all that is asked for."""
    return replace(agent, tools=(), output=None, check=None)


def instead_of(step: Step, history: History) -> Step | None:
    """What to do before a step whose prompt was too long; None when this is it, or there is nothing new to shorten."""
    if step.purpose is Purpose.COMPACTION or not history.fresh:
        return None
    return compaction.step_before(step)
