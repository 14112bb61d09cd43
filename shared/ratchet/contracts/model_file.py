"""models.yaml: prices and abilities of a deployment's own models, and other prices for those that Ratchet knows."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from ratchet.contracts.price_list import PRICE_LIST
from ratchet.contracts.priced_models import LongPrompt, Price, PricedModel

UsdPerMillion = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Tokens = Annotated[int, Field(gt=0, le=1_000_000_000, strict=True)]


class BadModelFile(ValueError):
    """The file is not a table of models; the message names the file, the key and what is wrong."""


_PLAIN = ("context_tokens", "max_output_tokens", "is_reasoning", "has_json_schema", "is_embedding")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceEntry(_Part):
    """US dollars per million tokens; a class of input that is not named costs as much as `input`."""

    input: UsdPerMillion
    output: UsdPerMillion
    cached_input: UsdPerMillion | None = None
    cache_write: UsdPerMillion | None = None

    def price(self) -> Price:
        """In nano-dollars per token."""
        cached = self.input if self.cached_input is None else self.cached_input
        written = self.input if self.cache_write is None else self.cache_write
        return Price.usd_per_million(self.input, cached, written, self.output)


class LongPromptEntry(_Part):
    """What a call costs whose input is longer than that."""

    above_tokens: Tokens
    price: PriceEntry


class ModelEntry(_Part):
    """One model. Of a model that Ratchet knows, only what differs; of any other, price and sizes are needed."""

    price: PriceEntry | None = None
    context_tokens: Tokens | None = None
    max_output_tokens: Tokens | None = None
    is_reasoning: StrictBool | None = None
    has_json_schema: StrictBool | None = None
    long_prompt: LongPromptEntry | None = None
    is_embedding: StrictBool | None = None
    source: str | None = None
    as_of: date | None = None

    def over(self, name: str, known: PricedModel | None) -> PricedModel:
        """The model, with what this entry says in place of what is known.

        Raises:
            ValueError: what is needed is left out, or the prices cannot be; names the keys.
        """
        if known is None:
            needed = ["price", "context_tokens"]
            needed += [] if self.is_embedding else ["max_output_tokens"]
            missing = [key for key in needed if getattr(self, key) is None]
            if missing:
                raise ValueError(f"{', '.join(missing)}: needed for a model of your own")
            known = PricedModel(name, Price(0, 0, 0, 0), 0, 0)
        model = replace(known, **self._changes())
        if model.long_prompt is not None and model.long_prompt.price.undercuts(model.price):
            raise ValueError(
                f"long_prompt.price: above {model.long_prompt.above_tokens} tokens of input no class of "
                "token may cost less than below"
            )
        return model

    def _changes(self) -> dict[str, Any]:
        given: dict[str, Any] = {
            key: getattr(self, key) for key in _PLAIN if getattr(self, key) is not None
        }
        if self.price is not None:
            given["price"] = self.price.price()
            given["source"] = self.source or "models.yaml"
            given["as_of"] = "" if self.as_of is None else self.as_of.isoformat()
        if self.long_prompt is not None:
            long = self.long_prompt
            given["long_prompt"] = LongPrompt(long.above_tokens, long.price.price())
        return given


class ModelFile(_Part):
    """The whole file."""

    models: dict[str, ModelEntry] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and validate a YAML file.

        Raises:
            BadModelFile: it is absent, no YAML, or says something that no model can have.
        """
        import yaml  # noqa: PLC0415 - only where the deployment is built

        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except OSError as exc:
            raise BadModelFile(f"{path}: cannot be read: {exc.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as exc:
            raise BadModelFile(f"{path}: is not YAML: {exc}") from None
        except ValidationError as exc:
            lines = [f"{path}: {_key(e['loc'])}: {e['msg']}" for e in exc.errors()]
            raise BadModelFile("\n".join(lines)) from None


def known_models(path: Path) -> dict[str, PricedModel]:
    """Every model of a deployment by name: the price list of this release, and over it the file.

    Raises:
        BadModelFile: the file is wrong, or leaves out what its own models need.
    """
    models = {model.name: model for model in PRICE_LIST}
    for name, entry in ModelFile.load(path).models.items():
        try:
            models[name] = entry.over(name, models.get(name))
        except ValueError as exc:
            raise BadModelFile(f"{path}: models.{name}: {exc}") from None
    return models


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "the file"
