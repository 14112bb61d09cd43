"""What the use cases need of models and their providers. Each port has an adapter and a twin in `ratchet.testing`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ratchet.domain.cached_answers import CachedAnswer
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.quota import Line, Move
from ratchet.domain.semantic_cache import KnownGoal

if TYPE_CHECKING:  # a prompt knows pydantic; of the functions only step_executor carries it
    from ratchet.domain.prompt import Prompt


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call to one model.

    `sticky_key`: calls with the same key go to the same deployment of the model while it is healthy.
    `place`: what the last ModelThrottled gave to come back with.
    `is_last`: there is no other model to turn to, so a deployment that has been failing is asked all the same.
    `again`: to be asked before the call is sent once more, elsewhere, after a sending that may have been charged: it
    counts that one, and says how many output tokens the next may produce. Raises LimitReached when none may be made.
    `is_wanted`: asked now and then while the answer is waited for; once it says no, the call is given up.
    """

    model: str
    prompt: "Prompt"
    max_output_tokens: int
    timeout_seconds: float
    sticky_key: str = ""
    place: str = ""
    is_last: bool = True
    again: Callable[[], int] | None = field(default=None, compare=False, repr=False)
    is_wanted: Callable[[], bool] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model answered. `finish_reason` in OpenAI's words; anything unknown is kept as it came.

    `deployment`: which deployment answered, "" when the model has none; `passed_over`: those that should have.
    """

    content: str | None
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    usage: Usage
    refusal: str | None = None
    deployment: str = ""
    passed_over: tuple[str, ...] = ()
    is_cached: bool = False  # it was given before, and nobody was asked


class ChatModel(Protocol):
    """Chat completions of any OpenAI-compatible provider."""

    def complete(self, call: ModelCall) -> ModelAnswer:
        """One call, no retries.

        Raises:
            ModelThrottled, ModelUnavailable, ModelRejected, ContextOverflow: `may_have_spent` speaks of the sending
                that `ModelCall.again` has not counted.
            AttemptSuperseded: nobody wants the answer any more; it may be charged all the same.
        """
        ...


@dataclass(frozen=True, slots=True)
class EmbeddingCall:
    """A text for an embedding model; `sticky_key` as in ModelCall."""

    model: str
    text: str
    timeout_seconds: float
    sticky_key: str = ""


@dataclass(frozen=True, slots=True)
class Embedding:
    """The vector of a text, as the model gave it."""

    numbers: tuple[float, ...]
    usage: Usage


class Embedder(Protocol):
    """Embeddings of any OpenAI-compatible provider."""

    def embed(self, call: EmbeddingCall) -> Embedding:
        """One call, no retries.

        Raises:
            ModelThrottled, ModelUnavailable, ModelRejected, ContextOverflow
        """
        ...


class ModelProvider(ChatModel, Embedder, Protocol):
    """Whatever answers both kinds of call."""


class KnownGoals(Protocol):
    """The goals that were asked lately, by tenant and scope (domain/reusable_task.py). A convenience, as the cache is.

    Every method may raise StoreUnavailable, ServiceRefused.
    """

    def newest(self, tenant: str, scope: str) -> Sequence[KnownGoal]:
        """The newest goals that have not expired, at most MAX_KNOWN_GOALS: one read request.

        Raises:
            DataMissing: one of them cannot be read.
        """
        ...

    def add(self, tenant: str, scope: str, goal: KnownGoal) -> None:
        """Keep a goal until it expires; that of the same task is replaced: one write request."""
        ...


class ResponseCache(Protocol):
    """Answers of models by tenant and the digest of the question; a convenience, so whoever asks can do without."""

    def get(self, tenant: str, digest: str) -> CachedAnswer | None:
        """What was answered, None if nothing or too long ago: one read request.

        Raises:
            StoreUnavailable, ServiceRefused, DataMissing: a miss for whoever asks.
        """
        ...

    def put(self, tenant: str, digest: str, answer: CachedAnswer) -> None:
        """Keep an answer until it expires, in place of an earlier one: one write request.

        Raises:
            StoreUnavailable, ServiceRefused: it is not kept.
        """
        ...


class ProviderState(Protocol):
    """What all executors share about a deployment of a model. Every method may raise StoreUnavailable."""

    def move(self, deployment: str, shard: int, move: Move) -> tuple[bool, Line]:
        """Move a line of its quota on, in one write; whether it was moved, and the line as it now stands."""
        ...

    def probe_at(self, deployment: str) -> int:
        """When a deployment that fails may be tried again, in ms since the epoch; 0 while it works."""
        ...

    def set_probe_at(self, deployment: str, at_ms: int, *, seen: int) -> int:
        """Change that time if it still is `seen`; the time that stands now."""
        ...
