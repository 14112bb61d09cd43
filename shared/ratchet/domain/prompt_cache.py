"""What a provider's prompt cache should hold of a task: the figure that what it did serve is compared with.

As OpenAI documents it: prefixes of 1,024 tokens and more, in steps of 128, kept for at least five minutes after they
were last read, by one model. An output schema comes before the messages, so steps with different schemas share none.
https://platform.openai.com/docs/guides/prompt-caching
"""

from dataclasses import dataclass

from ratchet.contracts.names import Purpose
from ratchet.domain.agent import Agent
from ratchet.domain.prompt import schema_name
from ratchet.domain.steps import Step, StepRecord
from ratchet.domain.task import History

LIFETIME_SECONDS = 300
FIRST_TOKENS = 1_024
GRANULE_TOKENS = 128


def cacheable(tokens: int) -> int:
    """How many tokens of a prompt of this length a later one can find."""
    return tokens // GRANULE_TOKENS * GRANULE_TOKENS if tokens >= FIRST_TOKENS else 0


@dataclass(frozen=True, slots=True)
class WarmPrefixes:
    """What the models have lately read of the prompt that a step of this history begins with.

    A lower bound: a prompt after a summary shares its head with those before it, and a fork with its parent, which
    nobody has counted.
    """

    history: History
    agent: Agent
    step: Step

    def tokens(self, model: str, *, at_ms: int) -> int:
        """The longest prefix that this model has read within the lifetime of a cache."""
        if self.step.purpose is not Purpose.WORK:
            return 0
        for record in reversed(self.history.records):
            if record.result.is_summary:
                return 0
            if record.result.model == model and self._shares(record, at_ms):
                return cacheable(record.result.first_prompt_tokens)
        return 0

    def observed_percent(self) -> int:
        """How much of what was expected of the caches they have served so far in this task; 100 before anything was."""
        results = [r.result for r in self.history.records if r.result.expected_cached_tokens]
        expected = sum(r.expected_cached_tokens for r in results)
        served = sum(min(r.usage.cached_tokens, r.expected_cached_tokens) for r in results)
        return served * 100 // expected if expected else 100

    def _shares(self, record: StepRecord, at_ms: int) -> bool:
        task, result = self.history.task, record.result
        return (
            result.purpose is Purpose.WORK
            and result.first_prompt_tokens > 0  # a cached answer was read by no model
            and schema_name(self.agent, result.type) == schema_name(self.agent, self.step.type)
            and (result.agent_version or task.agent_version) == self.agent.version
            and at_ms - record.started_at_ms <= LIFETIME_SECONDS * 1000
        )
