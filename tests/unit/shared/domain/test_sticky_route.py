"""The arithmetic of staying with a warm model, at list prices."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.contracts.messages import Route
from ratchet.domain.models import Usage, built_in
from ratchet.domain.sticky_route import Stay, Work, expected_microusd, stay

SMALL, LARGE = "gpt-5-mini", "gpt-5"
ROUTE = Route("final_synthesis simple", (SMALL,), (LARGE,))
PROMPT = 40_064
MODELS = built_in()


def chosen(route: Route, work: Work, warm: dict[str, int]) -> Stay | None:
    return stay(route, work, warm=lambda model: warm.get(model, 0), models=MODELS)


def test_a_long_warm_prompt_with_a_short_answer_is_worth_staying_for() -> None:
    found = chosen(ROUTE, Work(PROMPT, 200, 1), {LARGE: 40_000})
    # 40,000 x 0.125 + 64 x 1.25 + 200 x 10 against 40,064 x 0.25 + 200 x 2, per million
    assert found == Stay(LARGE, "stays: 40000 warm tokens make $0.007080, gpt-5-mini $0.010416")


@pytest.mark.parametrize(
    ("work", "warm"),
    [
        (Work(PROMPT, 200, 1), {}),
        (Work(PROMPT, 200, 1), {SMALL: 40_000, LARGE: 40_000}),
        (Work(PROMPT, 800, 1), {LARGE: 40_000}),
        (Work(PROMPT, 200, 3), {LARGE: 40_000}),
        (Work(2_048, 200, 1), {LARGE: 2_048}),
    ],
    ids=["nothing is warm", "both are", "the answer is long", "more calls follow", "it is short"],
)
def test_otherwise_the_route_is_followed(work: Work, warm: dict[str, int]) -> None:
    assert chosen(ROUTE, work, warm) is None


def test_no_model_is_stayed_with_but_the_complex_routes() -> None:
    # o3 is warm and would be cheaper, but is not what the complex route calls better.
    assert chosen(ROUTE, Work(PROMPT, 1, 1), {"gpt-4.1-nano": 40_000}) is None
    assert chosen(replace(ROUTE, escalation=()), Work(PROMPT, 200, 1), {LARGE: 40_000}) is None


def test_it_can_be_switched_off() -> None:
    assert chosen(replace(ROUTE, sticky=False), Work(PROMPT, 200, 1), {LARGE: 40_000}) is None


def test_the_shipped_table_never_stays_because_reading_afresh_is_cheaper() -> None:
    route = Route("tool_dispatch simple", ("gpt-4o-mini",), ("gpt-4o",))
    for prompt in (2_048, 20_480, 102_400):
        assert chosen(route, Work(prompt, 1, 1), {"gpt-4o": prompt}) is None


@given(st.integers(0, 200_000), st.integers(0, 8_000), st.integers(0, 1_562), st.integers(0, 1_562))
def test_one_call_on_the_model_stayed_with_costs_less_than_on_the_routes_own(
    prompt: int, answer: int, large: int, small: int
) -> None:
    warm = {LARGE: min(large * 128, prompt), SMALL: min(small * 128, prompt)}
    found = chosen(ROUTE, Work(prompt, answer, 1), warm)
    bills = {
        model: MODELS.spec(model).cost_microusd(Usage(prompt, warm[model], answer))
        for model in (SMALL, LARGE)
    }
    if found is not None:
        assert bills[LARGE] <= bills[SMALL]
        assert warm[LARGE] > warm[SMALL]
    elif warm[LARGE] > warm[SMALL]:
        assert bills[LARGE] + 1 >= bills[SMALL]


def test_the_cost_of_one_call_is_the_price_lists() -> None:
    spec = MODELS.spec(LARGE)
    expected = expected_microusd(spec, Work(10_000, 500, 1), warm=8_064)
    assert expected == spec.cost_microusd(Usage(10_000, 8_064, 500))
