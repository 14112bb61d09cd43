"""A `ChatModel` that says what the test wrote down; as an `Embedder` it finds texts alike that share words."""

import zlib
from collections.abc import Callable, Iterable

from ratchet.contracts.errors import ModelError
from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage
from ratchet.model_ports import Embedding, EmbeddingCall, ModelAnswer, ModelCall

Outcome = ModelAnswer | ModelError
USAGE = Usage(input_tokens=100, cached_tokens=0, output_tokens=20)


class ScriptedChat:
    """Plays outcomes in order, or asks a function for the outcome of each call. `calls` records what was asked."""

    def __init__(self, script: Iterable[Outcome] | Callable[[ModelCall], Outcome] = ()) -> None:
        self.calls: list[ModelCall] = []
        self.embedded: list[EmbeddingCall] = []
        self._decide = script if callable(script) else _in_order(script)

    def complete(self, call: ModelCall) -> ModelAnswer:
        """The next outcome.

        Raises:
            ModelThrottled, ModelUnavailable, ModelRejected, ContextOverflow: as scripted.
            AssertionError: the script is at its end.
        """
        self.calls.append(call)
        outcome = self._decide(call)
        if isinstance(outcome, ModelError):
            raise outcome
        return outcome

    def embed(self, call: EmbeddingCall) -> Embedding:
        """A vector of the text's words: 1 for the same words, 0 for none in common (but for collisions)."""
        self.embedded.append(call)
        words = call.text.lower().split()
        numbers = [0.0] * 256
        for word in words:
            numbers[zlib.crc32(word.encode()) % 256] += 1.0
        return Embedding(tuple(numbers), Usage(input_tokens=len(words)))


def says(content: str, *, usage: Usage = USAGE, finish_reason: str = "stop") -> ModelAnswer:
    """An answer in words."""
    return ModelAnswer(content, (), finish_reason, usage)


def asks(*calls: ToolCall, usage: Usage = USAGE) -> ModelAnswer:
    """An answer that asks for tools."""
    return ModelAnswer(None, calls, "tool_calls", usage)


def _in_order(script: Iterable[Outcome]) -> Callable[[ModelCall], Outcome]:
    outcomes = iter(script)

    def decide(call: ModelCall) -> Outcome:
        for outcome in outcomes:
            return outcome
        raise AssertionError(f"the script has no more outcomes, but {call.model} was called")

    return decide
