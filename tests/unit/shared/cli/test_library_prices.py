"""The price library, and the price list that was written from it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data import providers
from genai_prices.types import TimeOfDateConstraint

from ratchet.cli.errors import CliError
from ratchet.cli.library_prices import LibraryPrice, written_list
from ratchet.contracts import price_list
from ratchet.domain import models

DAY = date.fromisoformat(price_list.AS_OF)


def test_our_price_list_is_what_the_library_says_on_its_day() -> None:
    source = Path(price_list.__file__).read_text(encoding="utf-8")
    assert written_list(source, DAY) == source, "run `ratchet prices --update` and look at the diff"


@pytest.mark.parametrize("spec", list(models.built_in()), ids=lambda spec: spec.name)
@pytest.mark.parametrize("prompt", [100_000, 300_000])
def test_a_call_costs_what_the_library_itself_computes(spec: models.ModelSpec, prompt: int) -> None:
    ours = spec.cost_microusd(models.Usage(prompt, 5_000, 2_000, 500, cache_write_tokens=3_000))
    can_write = spec.price.cache_write != spec.price.input
    theirs = calc_price(
        Usage(
            input_tokens=prompt,
            cache_read_tokens=5_000,
            cache_write_tokens=3_000 if can_write else 0,
            output_tokens=2_000,
        ),
        spec.name,
        provider_id="openai",
        genai_request_timestamp=datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC),
    )
    assert Decimal(ours) == (theirs.total_price * 10**6).to_integral_value("ROUND_CEILING")


def test_of_prices_that_change_with_the_hour_the_dearest_counts() -> None:
    by_hour = [
        (provider.id, model)
        for provider in providers
        for model in provider.models
        if isinstance(model.prices, list)
        and any(isinstance(price.constraint, TimeOfDateConstraint) for price in model.prices)
    ]
    assert by_hour
    for provider, model in by_hour:
        found = LibraryPrice(model.id, DAY, provider=provider)
        hours = [datetime(DAY.year, DAY.month, DAY.day, hour, tzinfo=UTC) for hour in range(24)]
        outputs = [model.get_prices(hour).output_mtok for hour in hours]
        assert found.short[3] == max(usd for usd in outputs if isinstance(usd, Decimal))


def test_a_model_that_the_library_does_not_know_is_an_error_with_the_next_step() -> None:
    with pytest.raises(CliError, match="knows no model 'dream-7'") as caught:
        LibraryPrice("dream-7", DAY)
    assert "cdk/models.yaml" in caught.value.hint
    with pytest.raises(CliError, match="of provider 'groq'"):
        LibraryPrice("gpt-5.6-sol", DAY, provider="groq")


def test_a_model_that_is_not_priced_per_token_is_refused() -> None:
    with pytest.raises(CliError, match="no price per token for 'whisper-1'"):
        LibraryPrice("whisper-1", DAY)
