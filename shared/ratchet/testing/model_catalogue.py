"""What the scripted models are called, how much they read, and which parameters they refuse.

The refusals are those of the real API: a request that passes here must not fail there.
"""

import re
from dataclasses import dataclass

from ratchet.testing.model_errors import ApiError, bad_request

_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_REASONING = re.compile(r"(o\d|gpt-5)")

_CONTEXT_WINDOWS = {
    "gpt-3.5-turbo": 16_385,
    "gpt-4o": 128_000,
    "gpt-4o-mini": 128_000,
    "gpt-4-turbo": 128_000,
    "gpt-4.1": 1_047_576,
    "gpt-4.1-mini": 1_047_576,
    "gpt-4.1-nano": 1_047_576,
    "gpt-5": 400_000,
    "gpt-5-mini": 400_000,
    "gpt-5-nano": 400_000,
    "o1": 200_000,
    "o3": 200_000,
    "o3-mini": 200_000,
    "o4-mini": 200_000,
}
EMBEDDING_DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}

_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_LOGITS = ("logprobs", "top_logprobs", "logit_bias")
KNOWN_PARAMETERS = frozenset(
    (
        *("model", "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format"),
        *("stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "stop", "seed"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "user"),
        *("safety_identifier", "metadata", "store", "service_tier", "moderation", "modalities"),
        *("audio", "prediction", "verbosity", "reasoning_effort", "web_search_options"),
        *("functions", "function_call"),
        *_SAMPLING,
        *_LOGITS,
    )
)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One chat model as the request names it."""

    name: str
    context_window: int
    reasoning: bool

    @classmethod
    def named(cls, name: str) -> "ModelCard":
        """The model of this name, dated snapshots included.

        Raises:
            ApiError: 404 `model_not_found`.
        """
        family = _DATED.sub("", name)
        if family not in _CONTEXT_WINDOWS:
            raise model_not_found(name)
        return cls(name, _CONTEXT_WINDOWS[family], _REASONING.match(family) is not None)

    def refuse_unsupported(self, given: frozenset[str]) -> None:
        """Refuse the first parameter that this model does not take.

        Raises:
            ApiError: 400, `unsupported_parameter` when the model knows but refuses it.
        """
        for name in sorted(given - KNOWN_PARAMETERS):
            raise bad_request(f"Unrecognized request argument supplied: {name}")
        if not self.reasoning:
            if "reasoning_effort" in given:
                raise bad_request("Unrecognized request argument supplied: reasoning_effort")
            return
        refused = ["max_tokens", *_SAMPLING, *_LOGITS]
        if self.name.startswith("o"):
            refused.append("parallel_tool_calls")
        for name in refused:
            if name in given:
                raise _unsupported(name)


def model_not_found(name: str) -> ApiError:
    """The answer to a model nobody knows."""
    return ApiError(
        404,
        f"The model `{name}` does not exist or you do not have access to it.",
        code="model_not_found",
    )


def model_names() -> list[str]:
    """Every model that `GET /v1/models` lists."""
    return [*_CONTEXT_WINDOWS, *EMBEDDING_DIMENSIONS]


def _unsupported(name: str) -> ApiError:
    hint = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
    return bad_request(
        f"Unsupported parameter: '{name}' is not supported with this model.{hint}",
        param=name,
        code="unsupported_parameter",
    )
