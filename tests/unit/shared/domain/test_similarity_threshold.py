"""Which threshold gives no wrong answer, and how much it finds."""

from hypothesis import given
from hypothesis import strategies as st

from ratchet.domain.similarity_threshold import Pair, Row, lowest_without_false_hit, row, tried

PAIRS = [Pair(0.95, True), Pair(0.9, False), Pair(0.8, True), Pair(0.2, False)]
pairs = st.lists(st.builds(Pair, st.floats(0, 1), st.booleans()), min_size=1, max_size=20)


def test_a_threshold_finds_what_is_at_least_so_alike() -> None:
    assert row(PAIRS, 0.8) == Row(0.8, hits=3, false_hits=1, recall=1.0)
    assert row(PAIRS, 0.8).precision == 2 / 3
    assert row(PAIRS, 0.95) == Row(0.95, hits=1, false_hits=0, recall=0.5)
    assert row(PAIRS, 0.99).precision is None


def test_the_lowest_threshold_is_just_above_the_most_alike_of_the_different() -> None:
    assert lowest_without_false_hit(PAIRS) == 0.901
    assert lowest_without_false_hit([Pair(0.9004, False)]) == 0.901
    assert lowest_without_false_hit([Pair(1.0, False)]) is None


@given(pairs)
def test_it_has_no_false_hit_and_a_step_lower_has_one(found: list[Pair]) -> None:
    found = [*found, Pair(1.0, True), Pair(0.1, False)]
    lowest = lowest_without_false_hit(found)
    if lowest is None:
        assert row(found, 1.0).false_hits
    else:
        assert row(found, lowest).false_hits == 0
        assert row(found, lowest - 0.001 - 1e-9).false_hits > 0


def test_rows_that_say_nothing_new_are_left_out() -> None:
    rows = tried(PAIRS, [0.9, 0.1, 0.15, 0.5])
    assert [(one.threshold, one.hits) for one in rows] == [(0.1, 4), (0.5, 3), (0.9, 2)]
