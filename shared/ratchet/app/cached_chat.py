"""A `ChatModel` that knows some answers already: exactly the same question of the same tenant, not too long ago.

Only usable answers are kept, and only those that ask for nothing but `read` tools: an effect belongs to the step that
decided on it. A found answer is judged as a fresh one would be, by the agent that is deployed now; one that does not
pass is a miss. Trouble with the cache is a miss too: it never fails a step, nor takes the time that the commit needs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ratchet.app.answer_check import Accepted, check_answer
from ratchet.app.model_turn import MIN_CALL_SECONDS
from ratchet.contracts.errors import (
    DataMissing,
    ModelRefused,
    ServiceRefused,
    StoreUnavailable,
)
from ratchet.contracts.limits import CACHE_REQUEST_SECONDS
from ratchet.contracts.names import Effect, StepType
from ratchet.domain.agent import Agent
from ratchet.domain.cached_answers import CachedAnswer
from ratchet.domain.chat_request import question_digest
from ratchet.domain.messages import Message
from ratchet.domain.models import ModelCatalogue, Usage
from ratchet.domain.steps import Runs
from ratchet.model_ports import ChatModel, ModelAnswer, ModelCall, ResponseCache
from ratchet.observability import logger
from ratchet.ports import Clock

TROUBLE = (StoreUnavailable, ServiceRefused, DataMissing)


@dataclass(frozen=True, slots=True)
class CachedChat:
    """The models, behind the answers that they have given to this tenant."""

    chat: ChatModel
    cache: ResponseCache
    models: ModelCatalogue
    clock: Clock
    tenant: str
    agent: Agent
    type: StepType
    ttl_seconds: int
    note: Callable[[Runs], None]

    def complete(self, call: ModelCall) -> ModelAnswer:
        """The cached answer, at no tokens; else the model's, which is then kept.

        Raises:
            ModelThrottled, ModelUnavailable, ModelRejected, ContextOverflow: as the model.
        """
        if call.timeout_seconds < CACHE_REQUEST_SECONDS + MIN_CALL_SECONDS:
            return self.chat.complete(call)
        ends_at = self.clock.monotonic() + call.timeout_seconds
        digest = question_digest(self.tenant, call.prompt, self.models.spec(call.model))
        found = self._find(digest)
        if found is not None:
            logger.info("model answer came from the cache", extra={"model": call.model})
            return found
        seconds = max(ends_at - self.clock.monotonic(), MIN_CALL_SECONDS)
        answer = self.chat.complete(replace(call, timeout_seconds=seconds))
        has_time = ends_at - self.clock.monotonic() >= CACHE_REQUEST_SECONDS
        if has_time and self._is_reusable(answer):
            self._keep(digest, answer)
        return answer

    def _find(self, digest: str) -> ModelAnswer | None:
        self.note(Runs(cache_reads=1))
        try:
            found = self.cache.get(self.tenant, digest)
        except TROUBLE as exc:
            logger.warning("response cache was not read", extra={"error": exc.code})
            return None
        # The agent may allow less than the one that kept it did.
        if found is None or self.clock.now_ms() >= found.stored_at_ms + self.ttl_seconds * 1000:
            return None
        message = found.message
        answer = ModelAnswer(
            message.content, message.tool_calls, found.finish_reason, Usage(), is_cached=True
        )
        return answer if self._is_reusable(answer) else None

    def _keep(self, digest: str, answer: ModelAnswer) -> None:
        now_ms = self.clock.now_ms()
        kept = CachedAnswer(
            message=Message("assistant", answer.content, answer.tool_calls),
            finish_reason=answer.finish_reason,
            stored_at_ms=now_ms,
            expires_at=now_ms // 1000 + self.ttl_seconds,
        )
        self.note(Runs(cache_writes=1))
        try:
            self.cache.put(self.tenant, digest, kept)
        except TROUBLE as exc:
            logger.warning("response cache was not written", extra={"error": exc.code})

    def _is_reusable(self, answer: ModelAnswer) -> bool:
        try:
            verdict = check_answer(answer, self.agent, self.type)
        except ModelRefused:
            return False
        return isinstance(verdict, Accepted) and all(
            call.tool.effect is Effect.READ for call in verdict.calls
        )
