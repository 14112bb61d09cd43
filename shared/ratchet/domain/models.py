"""What models differ in, and what they cost: one table, no branches elsewhere.

Prices are US dollars per million tokens, from https://openai.com/api/pricing (read 2025-08). One dollar per million
tokens is one micro-dollar per token, so the table is kept in nano-dollars per token and stays integer.
"""

from dataclasses import dataclass
from decimal import Decimal

from ratchet.contracts.errors import UnpricedModel


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more model calls; `cached_tokens` are part of `input_tokens`, reasoning of output."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

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
        )


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars per token, by token class."""

    input: int
    cached_input: int
    output: int

    @classmethod
    def usd_per_million(cls, input: str, cached_input: str, output: str) -> "Price":
        """From list prices, exact decimals as text."""
        return cls(*(int(Decimal(usd) * 1000) for usd in (input, cached_input, output)))


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Capabilities of one model.

    `is_reasoning`: takes no temperature and bills reasoning as output tokens.
    `has_json_schema`: accepts `response_format` of type json_schema with `strict`.
    """

    name: str
    price: Price
    context_tokens: int
    max_output_tokens: int
    is_reasoning: bool = False
    has_json_schema: bool = True

    def cost_microusd(self, usage: Usage) -> int:
        """What the usage costs, in micro-dollars, rounded up."""
        fresh = max(usage.input_tokens - usage.cached_tokens, 0)
        nano = (
            fresh * self.price.input
            + usage.cached_tokens * self.price.cached_input
            + usage.output_tokens * self.price.output
        )
        return -(-nano // 1000)


def _model(name: str, usd: tuple[str, str, str], **traits: int | bool) -> ModelSpec:
    price = Price.usd_per_million(*usd)
    context = int(traits.pop("context", 128_000))
    output = int(traits.pop("output", 16_384))
    return ModelSpec(
        name, price, context, output, **{key: bool(value) for key, value in traits.items()}
    )


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        _model("gpt-4o", ("2.50", "1.25", "10.00")),
        _model("gpt-4o-mini", ("0.15", "0.075", "0.60")),
        _model("gpt-4.1", ("2.00", "0.50", "8.00"), context=1_047_576, output=32_768),
        _model("gpt-4.1-mini", ("0.40", "0.10", "1.60"), context=1_047_576, output=32_768),
        _model("gpt-4.1-nano", ("0.10", "0.025", "0.40"), context=1_047_576, output=32_768),
        _model(
            "gpt-5", ("1.25", "0.125", "10.00"), context=400_000, output=128_000, is_reasoning=True
        ),
        _model(
            "gpt-5-mini",
            ("0.25", "0.025", "2.00"),
            context=400_000,
            output=128_000,
            is_reasoning=True,
        ),
        _model(
            "gpt-5-nano",
            ("0.05", "0.005", "0.40"),
            context=400_000,
            output=128_000,
            is_reasoning=True,
        ),
        _model("o3", ("2.00", "0.50", "8.00"), context=200_000, output=100_000, is_reasoning=True),
        _model(
            "o3-mini", ("1.10", "0.55", "4.40"), context=200_000, output=100_000, is_reasoning=True
        ),
        _model(
            "o4-mini", ("1.10", "0.275", "4.40"), context=200_000, output=100_000, is_reasoning=True
        ),
    )
}


def model_spec(name: str) -> ModelSpec:
    """The capabilities and price of a model.

    Raises:
        UnpricedModel: the model is not in the table; it would spend money that no budget sees.
    """
    try:
        return MODELS[name]
    except KeyError:
        raise UnpricedModel(
            f"model {name!r} has no price; add it to MODELS in shared/ratchet/domain/models.py, "
            f"or route to one of {', '.join(sorted(MODELS))}"
        ) from None
