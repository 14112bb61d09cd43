"""Vectors of goals: how alike two are, in two bytes a number."""

import math
import struct

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ratchet.domain.semantic_cache import GoalVector, numbers_in

numbers = st.floats(-10, 10, allow_subnormal=False)
lists = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*[st.lists(numbers, min_size=n, max_size=n)] * 2)
)


@given(lists)
def test_two_bytes_a_number_are_enough_for_a_cosine(pair: tuple[list[float], list[float]]) -> None:
    lengths = [math.hypot(*one) for one in pair]
    assume(all(length > 1e-3 for length in lengths))
    cosine = (
        math.sumprod(*pair)
        if hasattr(math, "sumprod")
        else sum(a * b for a, b in zip(*pair, strict=True))
    )
    a, b = (GoalVector.of(one) for one in pair)
    assert a.similarity(b) == pytest.approx(cosine / math.prod(lengths), abs=0.0015)
    assert a.similarity(b) == b.similarity(a) <= 1.0
    assert a.similarity(a) == 1.0
    assert len(a.packed) == 2 * len(pair[0])


def test_the_length_of_a_vector_does_not_matter() -> None:
    assert GoalVector.of([3.0, 4.0]) == GoalVector.of([300.0, 400.0])
    assert struct.unpack("<2e", GoalVector.of([3.0, 4.0]).packed) == pytest.approx(
        (0.6, 0.8), abs=1e-3
    )


def test_vectors_of_two_models_are_not_alike() -> None:
    assert GoalVector.of([1.0, 0.0]).similarity(GoalVector.of([1.0, 0.0, 0.0])) == 0.0


@pytest.mark.parametrize("wrong", [[], [0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_what_has_no_direction_is_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="finite, and not zero"):
        GoalVector.of(wrong)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A 12 V circuit of 20 A", "20 amps at 12 volts", True),
        ("order A-1001", "order A-1010", False),
        ("12 and 12", "12", False),
        ("no number", "none here", True),
        ("two weeks", "14 days", False),
    ],
)
def test_goals_are_told_apart_by_their_numbers(one: str, other: str, same: bool) -> None:
    assert (numbers_in(one) == numbers_in(other)) == same
