from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.contracts.charge import Charge
from ratchet.contracts.errors import DeadlineExceeded, LimitReached, UnpricedModel
from ratchet.contracts.names import StepType
from ratchet.domain.budget import MIN_OUTPUT_TOKENS, affordable_output, check_limits, is_affordable
from ratchet.domain.models import Usage, built_in
from ratchet.domain.steps import Totals
from ratchet.domain.task import TaskLimits
from tests.unit.shared.builders import START_MS, a_history, a_result, a_task


@pytest.mark.parametrize(
    ("model", "usage", "microusd"),
    [
        ("gpt-4o-mini", Usage(1_000_000, 0, 0), 150_000),
        ("gpt-4o-mini", Usage(1_000_000, 1_000_000, 0), 75_000),
        ("gpt-4o", Usage(1000, 400, 100), 1500 + 500 + 1000),
        ("o3-mini", Usage(1, 0, 1, 1), 6),
        ("gpt-4o-mini", Usage(1, 0, 0), 1),
    ],
)
def test_cost_counts_each_token_class_and_rounds_up(
    model: str, usage: Usage, microusd: int
) -> None:
    assert built_in().spec(model).cost_microusd(usage) == microusd


def test_an_unpriced_model_is_refused_with_the_fix() -> None:
    with pytest.raises(UnpricedModel, match=r"llama-9.*has no price; add .*models\.yaml"):
        built_in().spec("llama-9")


def test_tokens_of_calls_without_an_answer_end_a_task_and_are_named() -> None:
    result = replace(a_result(StepType.PLANNING), lost=Charge(0, 90))
    history = a_history(result, limits=TaskLimits(max_tokens=90))
    with pytest.raises(LimitReached, match=r"90 tokens is reached, of which .* used 90$"):
        check_limits(history, now_ms=START_MS)


def test_steps_tokens_and_time_end_a_task() -> None:
    used = a_history(a_result(StepType.PLANNING), limits=TaskLimits(max_steps=1))
    with pytest.raises(LimitReached, match="limit of 1 steps") as caught:
        check_limits(used, now_ms=START_MS)
    assert caught.value.limit == "max_steps"
    late = a_history(limits=TaskLimits(deadline_seconds=60))
    check_limits(late, now_ms=START_MS + 59_999)
    with pytest.raises(DeadlineExceeded, match=r"raise limits.deadline_seconds"):
        check_limits(late, now_ms=START_MS + 60_000)


@given(
    model=st.sampled_from(sorted(spec.name for spec in built_in() if not spec.is_embedding)),
    cap=st.floats(0.0001, 2.0),
    spent=st.builds(Charge, st.integers(0, 2_000_000), st.integers(0, 100_000)),
    prompt=st.integers(0, 400_000),
    written=st.integers(0, 400_000),
    max_tokens=st.integers(1, 500_000),
)
def test_no_affordable_call_can_pass_a_cap(
    model: str, cap: float, spent: Charge, prompt: int, written: int, max_tokens: int
) -> None:
    task = a_task(limits=TaskLimits(max_cost_usd=cap, max_tokens=max_tokens))
    before = Totals(cost_microusd=spent.microusd, lost_tokens=spent.tokens)
    spec = built_in().spec(model)
    try:
        output = affordable_output(spec, task, before, input_tokens=prompt)
    except LimitReached:
        return
    assert output >= MIN_OUTPUT_TOKENS
    usage = Usage(prompt, 0, output, cache_write_tokens=min(written, prompt))
    assert spent.microusd + spec.cost_microusd(usage) <= cap * 1_000_000 + 1
    assert spec.cost_microusd(usage) <= spec.worst_microusd(prompt, output)
    assert spent.tokens + prompt + output <= max_tokens


@pytest.mark.parametrize(
    ("prompt", "output"), [(100, 8_092), (5_000, 3_192), (8_000, 1_024), (9_000, 1_024)]
)
def test_an_answer_is_asked_for_that_fits_into_the_window_beside_the_prompt(
    prompt: int, output: int
) -> None:
    spec = replace(built_in().spec("gpt-4o"), context_tokens=8_192, max_output_tokens=8_192)
    task = a_task(limits=TaskLimits(max_cost_usd=2.0))
    assert affordable_output(spec, task, Totals(), input_tokens=prompt) == output


@given(
    cap=st.floats(0.000_001, 0.01),
    spent=st.integers(0, 9_000),
    prompt=st.integers(0, 400_000),
    max_tokens=st.integers(1, 500_000),
)
def test_an_embedding_is_affordable_just_when_it_passes_no_cap(
    cap: float, spent: int, prompt: int, max_tokens: int
) -> None:
    task = a_task(limits=TaskLimits(max_cost_usd=cap, max_tokens=max_tokens))
    before = Totals(usage=Usage(2), cost_microusd=spent, lost_tokens=3)
    spec = built_in().spec("text-embedding-3-small")
    cost = spent + spec.cost_microusd(Usage(prompt))
    fits = cost <= int(cap * 1_000_000) and 5 + prompt <= max_tokens
    assert is_affordable(spec, task, before, input_tokens=prompt) == fits
