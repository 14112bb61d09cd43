"""Model prices of the library `genai-prices`: for the price list of a release, and for entries of models.yaml."""

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING

from ratchet.cli.errors import CliError
from ratchet.contracts.priced_models import PricedModel

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

Dollars = tuple[Decimal, Decimal, Decimal, Decimal]
"""Per million tokens: input, cached input, cache write, output."""

_FIELDS = ("input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok")


class LibraryPrice:
    """What the library knows of one model on one day.

    Raises:
        CliError: the library does not know it, has no token prices for it, or has one for each call as well.
    """

    def __init__(self, name: str, day: date, *, provider: str | None = None) -> None:
        self.provider, self._model = _find(name, provider)
        self.name = name
        self.source = f"genai-prices {version('genai-prices')}"
        self.context_tokens = self._model.context_window
        self._day = day
        self.short = self._dollars(0)
        if not (self.short[0] or self.short[3]):
            raise CliError(f"genai-prices has no price per token for {name!r}", _BY_HAND)
        if per_thousand := self._prices(0).requests_kcount:
            raise CliError(
                f"{self.provider} charges ${per_thousand} for 1,000 calls of {name!r} beside its tokens, which no "
                "entry can say",
                "Write it into cdk/models.yaml by hand, with tokens dear enough to make up for that.",
            )
        starts = [start for start in self._starts() if self._dollars(start + 1) != self.short]
        # A second threshold is rare: the dearest price then holds from the first one on.
        self.long = (min(starts), self._dollars(max(starts) + 1)) if starts else None

    def _dollars(self, input_tokens: int) -> Dollars:
        """Its price for that much input. Of prices that change with the hour, the dearest."""
        hours = [self._prices(hour) for hour in range(24)]
        rows = [[_at(getattr(p, field, None), input_tokens) for field in _FIELDS] for p in hours]
        fresh, cached, written, output = (
            max((usd for usd in column if usd is not None), default=None)
            for column in zip(*rows, strict=True)
        )
        fresh = fresh or Decimal(0)
        return (
            fresh,
            fresh if cached is None else cached,
            fresh if written is None else written,
            output or Decimal(0),
        )

    def _prices(self, hour: int) -> "ModelPrice":
        return self._model.get_prices(datetime.combine(self._day, time(hour), UTC))

    def _starts(self) -> set[int]:
        from genai_prices.types import TieredPrices  # noqa: PLC0415

        prices = self._prices(0)
        tiered = [getattr(prices, field, None) for field in _FIELDS]
        return {
            tier.start
            for price in tiered
            if isinstance(price, TieredPrices)
            for tier in price.tiers
        }


_BY_HAND = "Write its prices into cdk/models.yaml by hand; the file says how."


def _find(name: str, provider: str | None) -> tuple[str, "ModelInfo"]:
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - 150 ms

    try:
        found: tuple[Provider, ModelInfo] = get_snapshot().find_provider_model(
            name, None, provider, None
        )
    except LookupError:
        where = f" of provider {provider!r}" if provider else ""
        raise CliError(f"genai-prices knows no model {name!r}{where}", _BY_HAND) from None
    return found[0].id, found[1]


def _at(price: object, input_tokens: int) -> Decimal | None:
    """One class's price for that much input; the library keeps a number, or tiers."""
    from genai_prices.types import TieredPrices  # noqa: PLC0415

    if isinstance(price, TieredPrices):
        reached = [tier for tier in price.tiers if input_tokens > tier.start]
        return max(reached, key=lambda tier: tier.start).price if reached else price.base
    return price if isinstance(price, Decimal) else None


def written_list(source: str, day: date) -> str:
    """The source of the price list with the library's prices of that day; its models and their abilities stay."""
    from ratchet.contracts.price_list import PRICE_LIST  # noqa: PLC0415

    prices = [LibraryPrice(model.name, day, provider="openai") for model in PRICE_LIST]
    lines = [_line(model, price) for model, price in zip(PRICE_LIST, prices, strict=True)]
    head, _, rest = source.partition('_TABLE = """')
    title, _, rest = rest.removeprefix("\\\n").partition("\n")
    head = re.sub(r'^SOURCE = ".*"$', f'SOURCE = "{prices[0].source}"', head, flags=re.MULTILINE)
    head = re.sub(r'^AS_OF = ".*"$', f'AS_OF = "{day.isoformat()}"', head, flags=re.MULTILINE)
    _, _, tail = rest.partition('"""')
    table = "\n".join([title, *lines])
    return f'{head}_TABLE = """\\\n{table}\n"""{tail}'


def _line(model: PricedModel, price: LibraryPrice) -> str:
    kind = "reasoning" if model.is_reasoning else "embedding" if model.is_embedding else "plain"
    sizes = f"{model.context_tokens:>9}{model.max_output_tokens:>7}"
    line = f"{model.name:<22}{_columns(price.short)}{sizes} {kind}"
    if price.long is None:
        return line
    above, dollars = price.long
    return f"{line:<78}{above:>6}{_columns(dollars)}"


def _columns(dollars: Dollars) -> str:
    return "".join(f"{usd.normalize():>7f}" for usd in dollars)
