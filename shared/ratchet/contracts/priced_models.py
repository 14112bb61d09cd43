"""A model as the configuration knows it: prices, abilities, and where the prices come from.

Written into the bundle by the CDK app, read by the functions that price. Standard library only.
"""

from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Self

from ratchet.contracts.names import Json


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars per token, by token class: 2500 is $2.50 per million tokens. Output includes reasoning."""

    input: int
    cached_input: int
    cache_write: int
    output: int

    @classmethod
    def usd_per_million(
        cls, input: Decimal, cached_input: Decimal, cache_write: Decimal, output: Decimal
    ) -> Self:
        """From list prices. Rounded up: a price may be counted too high, never too low."""
        classes = (input, cached_input, cache_write, output)
        return cls(*(int((usd * 1000).to_integral_value(ROUND_CEILING)) for usd in classes))

    @property
    def dearest_input(self) -> int:
        """What an input token costs at its worst: nobody knows before a call what the provider will cache."""
        return max(self.input, self.cached_input, self.cache_write)

    def undercuts(self, other: "Price") -> bool:
        """Whether any class of token costs less than there."""
        mine = (self.input, self.cached_input, self.cache_write, self.output)
        theirs = (other.input, other.cached_input, other.cache_write, other.output)
        return any(a < b for a, b in zip(mine, theirs, strict=True))


@dataclass(frozen=True, slots=True)
class LongPrompt:
    """The price of a whole call whose input has more than so many tokens."""

    above_tokens: int
    price: Price


@dataclass(frozen=True, slots=True)
class PricedModel:
    """One model.

    `is_reasoning`: takes no temperature and bills reasoning as output tokens.
    `has_json_schema`: accepts `response_format` of type json_schema with `strict`.
    `is_embedding`: gives vectors instead of answers; for semantic caches.
    `source` and `as_of` (an ISO date, or empty) say where the price was read, and when.
    """

    name: str
    price: Price
    context_tokens: int
    max_output_tokens: int
    is_reasoning: bool = False
    has_json_schema: bool = True
    long_prompt: LongPrompt | None = None
    is_embedding: bool = False
    source: str = ""
    as_of: str = ""

    def to_json(self) -> dict[str, Json]:
        """As `from_json` reads it."""
        data: dict[str, Json] = asdict(self)
        return data

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """A model that `to_json` wrote."""
        long = data["long_prompt"]
        return cls(
            **data
            | {
                "price": Price(**data["price"]),
                "long_prompt": long and LongPrompt(long["above_tokens"], Price(**long["price"])),
            }
        )

    @classmethod
    def of(cls, other: "PricedModel") -> Self:
        """The same model as this class."""
        return cls(**{name: getattr(other, name) for name in PricedModel.__dataclass_fields__})


ONLY_EMBEDS = "which gives vectors, not answers; name a model that `ratchet models --all` does not list as embedding"
"""What is wrong with a model of embeddings in a route, as every error says it."""


def how_to_price(model: str) -> str:
    """What to do about a model without a price, as every error says it."""
    return (
        f"add {model!r} with its prices to cdk/models.yaml (`ratchet prices {model}` prints an entry) "
        "and deploy, or route to a model that `ratchet models --all` lists"
    )
