"""A task's first look around: has the same tenant's agent answered nearly the same goal before?

Kept are only goals, each with the id of its task. Whether a task's result may be given again is decided by its own
records when it is found, so nothing has to be stored when a task ends, and an erased task answers nobody. What was
found is part of the step's record: whoever runs the step again after that repeats the decision. Trouble on the way is
a miss; it fails no step.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ratchet.app.cached_chat import TROUBLE
from ratchet.app.model_turn import MIN_CALL_SECONDS
from ratchet.app.spending import Spending
from ratchet.contracts.errors import LimitReached, ModelError
from ratchet.contracts.limits import (
    CACHE_REQUEST_SECONDS,
    EMBEDDING_SECONDS,
    MAX_SIMILAR_TASKS,
    TIME_RESERVE_SECONDS,
)
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain.agent import Agent
from ratchet.domain.budget import is_affordable, worst_charge
from ratchet.domain.messages import BYTES_PER_TOKEN, Message, message_bytes
from ratchet.domain.models import ModelCatalogue
from ratchet.domain.reusable_task import is_reusable, may_be_answered, scope
from ratchet.domain.semantic_cache import GoalVector, KnownGoal, SemanticCache
from ratchet.domain.steps import End, Similar, Step, StepResult
from ratchet.domain.task import History
from ratchet.model_ports import Embedder, EmbeddingCall, KnownGoals
from ratchet.observability import logger
from ratchet.ports import CheckpointStore, Clock


@dataclass(frozen=True, slots=True)
class GoalPorts:
    """What semantic caches need of the outside."""

    embedder: Embedder
    goals: KnownGoals


@dataclass(frozen=True, slots=True)
class Found:
    """A task that has answered the goal already."""

    history: History
    similar: Similar

    def result(self, step: Step) -> StepResult:
        """What the step did that this task's answer ends."""
        answers = [result.answer for result in self.history.results if result.answer]
        return StepResult(
            type=step.type,
            complexity=step.complexity,
            messages=tuple(Message("assistant", text) for text in answers[-1:]),
            similar=self.similar,
        )

    @property
    def end(self) -> End:
        """The same outcome again."""
        end = self.history.next
        return End(TaskStatus.SUCCEEDED, output=end.output if isinstance(end, End) else None)


@dataclass(frozen=True, slots=True)
class SimilarGoal:
    """The look around of one task."""

    ports: GoalPorts
    store: CheckpointStore
    models: ModelCatalogue
    clock: Clock
    agent: Agent
    history: History
    spending: Spending
    remaining_seconds: Callable[[], float]

    def find(self) -> Found | None:
        """The task that has answered this one's goal; None if there is none, or nobody may or can look.

        Raises:
            UnpricedModel: the embedding model is not in the catalogue.
        """
        cache = self.agent.semantic_cache
        if cache is None or not may_be_answered(self.history):
            return None
        vector = self._embedded(cache)
        if vector is None:
            return None
        place = scope(self.history.task, self.agent, embedding_model=cache.model)
        try:
            found = self._nearest(cache, place, vector)
            if found is None:
                self._remember(cache, place, vector)
        except TROUBLE as exc:
            logger.warning("semantic cache could not be used", extra={"error": exc.code})
            return None
        if found is not None:
            similar = found.similar
            self.spending.reason = f"semantic cache: {similar.similarity} like {similar.task_id}"
        return found

    def _embedded(self, cache: SemanticCache) -> GoalVector | None:
        task, spec = self.history.task, self.models.spec(cache.model)
        size = message_bytes(Message("user", task.goal)) // BYTES_PER_TOKEN
        is_possible = size <= spec.context_tokens and is_affordable(
            spec, task, self.spending.totals, input_tokens=size
        )
        if not is_possible or not self._has_time(EMBEDDING_SECONDS):
            return None
        worst = worst_charge(spec, size, 0)
        call = EmbeddingCall(cache.model, task.goal, EMBEDDING_SECONDS, sticky_key=task.ref.task_id)
        try:
            self.spending.cover(worst)
            answer = self.ports.embedder.embed(call)
            self.spending.charge(spec, answer.usage, reason="semantic cache: no goal like this one")
            return GoalVector.of(answer.numbers)
        except (ModelError, LimitReached, ValueError) as exc:
            if isinstance(exc, ModelError) and exc.may_have_spent:
                self.spending.lose(worst)
            logger.warning("goal was not embedded", extra={"error": type(exc).__name__})
            return None

    def _nearest(self, cache: SemanticCache, place: str, vector: GoalVector) -> Found | None:
        ref = self.history.task.ref
        for similarity, goal in self._alike(cache, place, vector):
            if not self._has_time(CACHE_REQUEST_SECONDS):
                return None
            history = self.store.load(TaskRef(ref.tenant, goal.task_id))
            if history is not None and is_reusable(history, self.agent):
                return Found(history, Similar(goal.task_id, round(similarity, 4)))
        return None

    def _alike(
        self, cache: SemanticCache, place: str, vector: GoalVector
    ) -> list[tuple[float, KnownGoal]]:
        ref = self.history.task.ref
        if not self._has_time(CACHE_REQUEST_SECONDS):
            return []
        oldest = self.clock.now_ms() - cache.ttl_seconds * 1000
        known = self.ports.goals.newest(ref.tenant, place)
        compared = [
            (vector.similarity(goal.vector), goal)
            for goal in known
            # An earlier attempt may have left this very task there; the agent may allow less than it did.
            if goal.task_id != ref.task_id and goal.asked_at_ms > oldest
        ]
        alike = [pair for pair in compared if pair[0] >= cache.threshold]
        alike.sort(key=lambda pair: pair[0], reverse=True)
        return alike[:MAX_SIMILAR_TASKS]

    def _remember(self, cache: SemanticCache, place: str, vector: GoalVector) -> None:
        ref, now_ms = self.history.task.ref, self.clock.now_ms()
        if self._has_time(CACHE_REQUEST_SECONDS):
            goal = KnownGoal(ref.task_id, vector, now_ms, now_ms // 1000 + cache.ttl_seconds)
            self.ports.goals.add(ref.tenant, place, goal)

    def _has_time(self, seconds: float) -> bool:
        """Whether a request that takes so long leaves enough for a model call after it."""
        return self.remaining_seconds() >= seconds + MIN_CALL_SECONDS + TIME_RESERVE_SECONDS
