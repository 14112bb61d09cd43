"""One step's dealings with prompt caches: what they should hold for its calls, and whether to stay for their sake."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ratchet.contracts.messages import Route
from ratchet.domain.agent import Agent
from ratchet.domain.models import ModelCatalogue, Usage
from ratchet.domain.prompt import Prompt
from ratchet.domain.prompt_cache import WarmPrefixes, cacheable
from ratchet.domain.steps import Step
from ratchet.domain.sticky_route import CALLS_IN_A_ROW, Stay, Work, stay
from ratchet.domain.task import History

USUAL_ANSWER_TOKENS = 256
"""Of a task that has not answered yet."""


def _cold(_model: str) -> int:
    return 0


@dataclass(slots=True)
class PrefixWatch:
    """Adds up, call by call, what the caches should have served. `warm` knows the calls of earlier steps."""

    warm: Callable[[str], int] = _cold
    expected_tokens: int = 0
    first_prompt_tokens: int = 0
    _read: dict[str, int] = field(default_factory=dict)

    def count(self, model: str, usage: Usage) -> None:
        """One answered call."""
        before = self._read[model] if model in self._read else self.warm(model)
        self.expected_tokens += min(before, cacheable(usage.input_tokens))
        self.first_prompt_tokens = self.first_prompt_tokens or usage.input_tokens
        self._read[model] = cacheable(usage.input_tokens)


def watch(history: History, agent: Agent, step: Step, *, at_ms: int) -> PrefixWatch:
    """The watch of a step that begins now."""
    prefixes = WarmPrefixes(history, agent, step)
    return PrefixWatch(lambda model: prefixes.tokens(model, at_ms=at_ms))


@dataclass(frozen=True, slots=True)
class StickyRoute:
    """The choice between a step's route and a model that has read its prompt: the same on every attempt.

    So the age of a prefix counts up to the last commit, not up to now.
    """

    history: History
    agent: Agent
    step: Step
    models: ModelCatalogue

    def choose(self, route: Route, prompt: Prompt) -> Stay | None:
        """The model to stay with, None for the route's own."""
        if self.history.task.model is not None or not self.history.records:
            return None
        prefixes = WarmPrefixes(self.history, self.agent, self.step)
        at_ms = self.history.records[-1].finished_at_ms
        if not any(prefixes.tokens(model, at_ms=at_ms) for model in route.escalation):
            return None  # as nearly always, and before the prompt is measured
        percent = prefixes.observed_percent()
        return stay(
            route,
            self._work(prompt),
            warm=lambda model: prefixes.tokens(model, at_ms=at_ms) * percent // 100,
            models=self.models,
        )

    def _work(self, prompt: Prompt) -> Work:
        totals = self.history.totals
        answer = totals.usage.output_tokens // totals.steps if totals.steps else USUAL_ANSWER_TOKENS
        # The estimate is an upper one, at 3 bytes a token; text has about 4.
        return Work(prompt.estimated_tokens() * 3 // 4, answer, CALLS_IN_A_ROW[self.step.type])
