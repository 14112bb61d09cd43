"""What calls use, what models cost, and the catalogue that says so: one table, no branches elsewhere.

Money is whole nano-dollars per token and whole micro-dollars per call, rounded up.
"""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ratchet.contracts.errors import UnpricedModel
from ratchet.contracts.priced_models import Price, PricedModel, how_to_price


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more model calls.

    `cached_tokens` and `cache_write_tokens` are disjoint parts of `input_tokens`, reasoning is part of output.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cached_tokens + other.cached_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens - other.input_tokens,
            self.cached_tokens - other.cached_tokens,
            self.output_tokens - other.output_tokens,
            self.reasoning_tokens - other.reasoning_tokens,
            self.cache_write_tokens - other.cache_write_tokens,
        )

    def at_least(self, other: "Usage") -> "Usage":
        """The larger of both, in each kind of tokens."""
        return Usage(
            max(self.input_tokens, other.input_tokens),
            max(self.cached_tokens, other.cached_tokens),
            max(self.output_tokens, other.output_tokens),
            max(self.reasoning_tokens, other.reasoning_tokens),
            max(self.cache_write_tokens, other.cache_write_tokens),
        )


@dataclass(frozen=True, slots=True)
class ModelSpec(PricedModel):
    """A model that can say what a call costs."""

    def price_for(self, input_tokens: int) -> Price:
        """The price of a call with so much input."""
        long = self.long_prompt
        return long.price if long and input_tokens > long.above_tokens else self.price

    def cost_microusd(self, usage: Usage) -> int:
        """What one call costs, in micro-dollars, rounded up."""
        price = self.price_for(usage.input_tokens)
        fresh = max(usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens, 0)
        nano = (
            fresh * price.input
            + usage.cached_tokens * price.cached_input
            + usage.cache_write_tokens * price.cache_write
            + usage.output_tokens * price.output
        )
        return -(-nano // 1000)

    def worst_microusd(self, input_tokens: int, output_tokens: int) -> int:
        """What a call of this size costs at most, whatever the provider caches."""
        price = self.price_for(input_tokens)
        return -(-(input_tokens * price.dearest_input + output_tokens * price.output) // 1000)


class ModelCatalogue:
    """The models that may be called. One that is not in it spends money that no budget sees."""

    def __init__(self, models: Iterable[PricedModel]) -> None:
        self._specs = {model.name: ModelSpec.of(model) for model in models}

    @classmethod
    def from_json(cls, data: Iterable[Any]) -> "ModelCatalogue":
        """The catalogue that the deployment's build wrote."""
        return cls(ModelSpec.from_json(entry) for entry in data)

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self._specs.values())

    def spec(self, name: str) -> ModelSpec:
        """The abilities and price of a model.

        Raises:
            UnpricedModel: it is not in the catalogue.
        """
        try:
            return self._specs[name]
        except KeyError:
            raise UnpricedModel(f"model {name!r} has no price; {how_to_price(name)}") from None


@functools.cache
def built_in() -> ModelCatalogue:
    """The catalogue of this release, without a deployment's own models."""
    from ratchet.contracts.price_list import PRICE_LIST  # noqa: PLC0415 - functions carry their own

    return ModelCatalogue(PRICE_LIST)
