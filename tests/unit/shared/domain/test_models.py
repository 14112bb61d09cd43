from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.contracts.errors import UnpricedModel
from ratchet.contracts.priced_models import LongPrompt, Price, PricedModel
from ratchet.domain.models import ModelCatalogue, ModelSpec, Usage, built_in

NANO = st.integers(0, 200_000)
TOKENS = st.integers(0, 2_000_000)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """Any prices; above the threshold no class is cheaper, as models.yaml demands."""
    base = [draw(NANO) for _ in range(4)]
    long = LongPrompt(draw(TOKENS), Price(*(nano + draw(NANO) for nano in base)))
    return ModelSpec(
        "m", Price(*base), 10**7, 10**6, long_prompt=draw(st.sampled_from([None, long]))
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    prompt = draw(TOKENS)
    written = draw(st.integers(0, prompt))
    cached = draw(st.integers(0, prompt - written))
    return Usage(prompt, cached, draw(TOKENS), cache_write_tokens=written)


@given(specs(), usages())
def test_the_cost_is_the_exact_sum_of_the_classes_rounded_up(spec: ModelSpec, usage: Usage) -> None:
    long = spec.long_prompt
    price = long.price if long and usage.input_tokens > long.above_tokens else spec.price
    fresh = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
    dollars = (
        Fraction(fresh * price.input, 10**9)
        + Fraction(usage.cached_tokens * price.cached_input, 10**9)
        + Fraction(usage.cache_write_tokens * price.cache_write, 10**9)
        + Fraction(usage.output_tokens * price.output, 10**9)
    )
    cost = Fraction(spec.cost_microusd(usage), 10**6)
    assert dollars <= cost < dollars + Fraction(1, 10**6)


@given(specs(), usages(), usages())
def test_more_tokens_never_cost_less(spec: ModelSpec, usage: Usage, more: Usage) -> None:
    assert spec.cost_microusd(usage) <= spec.cost_microusd(usage + more)


@given(specs(), usages())
def test_no_caching_makes_a_call_dearer_than_its_worst_case(spec: ModelSpec, usage: Usage) -> None:
    worst = spec.worst_microusd(usage.input_tokens, usage.output_tokens)
    assert spec.cost_microusd(usage) <= worst


@pytest.mark.parametrize(
    ("usage", "microusd"),
    [
        (Usage(1_000_000 // 4), 1_000_000),
        (Usage(250_000, cached_tokens=250_000), 100_000),
        (Usage(250_000, cache_write_tokens=250_000), 1_250_000),
        (Usage(0, 0, 100_000, 90_000), 2_000_000),
        (Usage(272_000), 1_088_000),
        (Usage(272_001, 0, 100_000), 2_176_008 + 3_000_000),
    ],
)
def test_each_class_has_its_list_price_also_above_the_threshold(
    usage: Usage, microusd: int
) -> None:
    assert built_in().spec("gpt-5.6-sol").cost_microusd(usage) == microusd


def test_usages_add_up_class_by_class() -> None:
    assert Usage(1, 2, 3, 4, 5) + Usage(10, 20, 30, 40, 50) == Usage(11, 22, 33, 44, 55)


def test_a_catalogue_survives_its_json() -> None:
    again = ModelCatalogue.from_json([spec.to_json() for spec in built_in()])
    assert list(again) == list(built_in())
    assert any(spec.long_prompt for spec in again)


def test_only_what_is_in_the_catalogue_may_be_called() -> None:
    own = ModelCatalogue([PricedModel("house", Price(0, 0, 0, 0), 1000, 100)])
    assert "house" in own
    assert own.spec("house").cost_microusd(Usage(10**6, 0, 10**6)) == 0
    with pytest.raises(UnpricedModel, match=r"'gpt-4o'.*`ratchet prices gpt-4o` prints an entry"):
        own.spec("gpt-4o")
