"""The bench's arithmetic."""

import pytest

from tests.bench.figures import Ratio, amount, interleaved, median, percentile, table


def test_percentiles_are_interpolated() -> None:
    values = [40.0, 10.0, 30.0, 20.0]
    assert percentile(values, 0) == 10
    assert percentile(values, 50) == 25
    assert percentile(values, 90) == pytest.approx(37)
    assert percentile(values, 100) == 40


def test_the_median_of_an_odd_number_is_the_middle_one() -> None:
    assert median([9.0, 1.0, 5.0]) == 5
    assert median([7.0]) == 7


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_an_impossible_percentile_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="no percentile"):
        percentile(values, percent)


def test_subjects_take_turns() -> None:
    order: list[str] = []

    def noted(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = interleaved({"a": lambda: noted("a"), "b": lambda: noted("b")}, rounds=2)
    assert order == ["a", "b", "a", "b"]
    assert found == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize(
    ("ours", "bar", "verdict"),
    [(35.0, 0.35, "met"), (36.0, 0.35, "MISSED"), (36.0, None, "")],
)
def test_a_bar_is_the_largest_ratio_that_will_do(
    ours: float, bar: float | None, verdict: str
) -> None:
    assert Ratio("cold start", ours, "eager", 100.0, "ms", bar).verdict == verdict


def test_a_ratio_to_nothing_is_no_crash() -> None:
    assert Ratio("reads", 0, "probe", 0, "").ratio == 1
    assert Ratio("reads", 2, "probe", 0, "").ratio == float("inf")


def test_amounts_are_as_precise_as_they_deserve() -> None:
    assert amount(1_234.5, "ms") == "1,234 ms"
    assert amount(3.14159, "ms") == "3.14 ms"
    assert amount(7, "") == "7"
    assert amount(0.00135, "$") == "$0.001350"


def test_numbers_stand_to_the_right() -> None:
    assert table(("what", "units"), [("a", "7"), ("bcdef", "105")]) == [
        "what   units",
        "-----  -----",
        "a          7",
        "bcdef    105",
    ]
