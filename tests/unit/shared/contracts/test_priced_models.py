from decimal import Decimal

import pytest

from ratchet.contracts.price_list import PRICE_LIST
from ratchet.contracts.priced_models import Price


def usd(*prices: str) -> Price:
    return Price.usd_per_million(*map(Decimal, prices))


def test_a_dollar_per_million_tokens_is_a_thousand_nano_dollars_per_token() -> None:
    assert usd("2.50", "1.25", "3.125", "10") == Price(2500, 1250, 3125, 10_000)


@pytest.mark.parametrize("price", ["0.0371", "0.0379", "0.038"])
def test_what_is_finer_than_a_nano_dollar_is_rounded_up(price: str) -> None:
    assert usd(price, "0", "0", "0").input == 38


def test_the_dearest_input_is_that_of_any_class() -> None:
    assert {Price(*p, 0).dearest_input for p in ((9, 1, 2), (1, 9, 2), (1, 2, 9))} == {9}


def test_every_model_of_the_price_list_has_prices_and_sizes() -> None:
    assert len({model.name for model in PRICE_LIST}) == len(PRICE_LIST) > 20
    for model in PRICE_LIST:
        assert 0 < model.price.cached_input <= model.price.input <= model.price.cache_write
        assert (model.price.input < model.price.output) != model.is_embedding
        assert 0 < model.max_output_tokens < model.context_tokens
        if model.long_prompt is not None:
            assert not model.long_prompt.price.undercuts(model.price)
