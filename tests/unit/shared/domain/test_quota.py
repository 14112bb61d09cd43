"""The line: what it gives away is what the provider allows, whoever looks at it how late."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.domain import quota as lines
from ratchet.domain.quota import (
    REQUESTS,
    SECOND,
    TOKENS,
    Line,
    Move,
    Place,
    Quota,
    Seen,
    hold,
    move,
)

START = 1_767_225_600 * SECOND
MINUTE = 60 * SECOND
SANDBOXES = 5

quotas = st.builds(
    Quota,
    st.none() | st.integers(1, 10_000),
    st.none() | st.integers(1_000, 10_000_000),
).filter(lambda quota: quota.rpm or quota.tpm)
# Who asks (one of five sandboxes, each with its own old view), how long after the last, and for how many tokens.
calls = st.lists(
    st.tuples(st.integers(0, SANDBOXES - 1), st.integers(0, 20 * SECOND), st.integers(0, 3_000)),
    min_size=1,
    max_size=60,
)


def take(
    line: Line, views: dict[int, Seen], who: int, now: int, by: dict[str, int]
) -> tuple[Line, int | None, int]:
    """As the use case does it: the line, the place given, and the writes it took."""
    for tries in (1, 2, 3):
        wanted = move(now, by, seen=views.get(who), longest=lines.LONGEST_LINE)
        moved = wanted.applied_to(line)
        views[who] = Seen(now, line if moved is None else moved)
        if moved is not None:
            return moved, wanted.place_in(moved), tries
        if wanted.is_beyond(line):
            return line, None, tries
    raise AssertionError("a view that was just refreshed must do")


@given(quotas, calls)
def test_no_minute_holds_more_places_than_the_quota(
    quota: Quota, asked: list[tuple[int, int, int]]
) -> None:
    line: Line = {}
    views: dict[int, Seen] = {}
    now, given_ = START, []
    for who, later, tokens in asked:
        now += later
        line, place, _ = take(line, views, who, now, quota.cost(tokens))
        if place is not None:
            given_.append((place, tokens))
    for start, _ in given_:
        span = [(at, n) for at, n in given_ if start <= at < start + MINUTE]
        # A second's credit and two that one kind may lag; each sandbox may err once by its old view; and a call
        # that begins within the minute belongs to it however much it costs.
        slack = (MINUTE + lines.CREDIT + lines.LAG) / MINUTE
        if quota.rpm:
            assert len(span) <= quota.rpm / quota.shards * slack + SANDBOXES + 1
        if quota.tpm:
            largest = max(n for _, n in span) * (SANDBOXES + 1)
            assert sum(n for _, n in span) <= quota.tpm / quota.shards * slack + largest + 1


def test_small_calls_behind_a_large_one_are_not_all_made_at_once() -> None:
    quota = Quota(rpm=1, tpm=1_000)
    line: Line = {}
    views: dict[int, Seen] = {}
    places = []
    for tokens in (2_000, 0, 0):
        line, place, _ = take(line, views, 0, START, quota.cost(tokens))
        places.append(place)
    assert None not in places
    gaps = [b - a for a, b in itertools.pairwise(filter(None, places))]
    assert min(gaps) >= MINUTE


@given(quotas, calls)
def test_a_place_takes_at_most_two_writes_whatever_a_sandbox_believes(
    quota: Quota, asked: list[tuple[int, int, int]]
) -> None:
    line: Line = {}
    views: dict[int, Seen] = {}
    now = START
    for who, later, tokens in asked:
        now += later
        line, _, writes = take(line, views, who, now, quota.cost(tokens))
        assert writes <= 2


def test_a_busy_line_takes_one_write_from_everybody() -> None:
    quota, views = Quota(rpm=60, tpm=60_000), dict[int, Seen]()
    line: Line = {}
    for number in range(40):
        line, _, writes = take(line, views, number % 5, START + number * 100_000, quota.cost(1_200))
        assert writes == 1 or number < 5


def test_places_of_a_full_line_are_spread_evenly() -> None:
    quota, views = Quota(rpm=60), dict[int, Seen]()
    line: Line = {}
    places = []
    for _ in range(30):
        line, place, _ = take(line, views, 0, START, quota.cost(1))
        assert place is not None
        places.append(place)
    assert {b - a for a, b in itertools.pairwise(places)} == {round(SECOND / lines.USED_SHARE)}


def test_a_line_that_is_too_long_gives_no_place() -> None:
    quota, views = Quota(rpm=1), dict[int, Seen]()
    line: Line = {}
    places = []
    for _ in range(10):
        line, place, _ = take(line, views, 0, START, quota.cost(1))
        places.append(place)
    assert [place is not None for place in places] == [True] * 4 + [False] * 6


def test_idle_quota_is_kept_for_a_second_and_no_longer() -> None:
    line = {REQUESTS: START}
    by = {REQUESTS: SECOND}
    late = START + 3_600 * SECOND
    assert Move(late, by, late).applied_to(line) is None
    assert Move(late, by, late, frozenset({REQUESTS})).applied_to(line) == {REQUESTS: late + SECOND}
    soon = START + SECOND
    assert Move(soon, by, soon).applied_to(line) == {REQUESTS: START + SECOND}


def test_a_line_that_is_held_gives_places_from_then_on() -> None:
    until = START + 20 * SECOND
    line = hold(until, REQUESTS).applied_to({REQUESTS: START})
    assert line == {REQUESTS: until}
    assert hold(START, REQUESTS).applied_to(line) is None, "nobody shortens it"
    after, place, _ = take(line, {}, 0, START, Quota(rpm=60).cost(1))
    assert place == until
    assert after[REQUESTS] > until


def test_a_limit_that_is_not_set_costs_nothing() -> None:
    assert set(Quota(rpm=1).cost(5)) == {REQUESTS}
    assert set(Quota(tpm=1).cost(5)) == {TOKENS}


@given(quotas)
def test_no_shard_is_written_more_than_500_times_a_second(quota: Quota) -> None:
    bounds = [quota.rpm or 10**12, (quota.tpm or 10**12) / lines.SMALL_CALL]
    assert min(bounds) / quota.shards / 60 <= 500


@pytest.mark.parametrize(("rpm", "shards"), [(1, 1), (30_000, 1), (30_001, 2), (600_000, 20)])
def test_quota_is_cut_into_shards_when_one_item_would_be_too_hot(rpm: int, shards: int) -> None:
    assert Quota(rpm).shards == shards


@pytest.mark.parametrize("rpm", [60, 30_000, 600_000])
def test_the_shards_together_give_away_what_one_line_would(rpm: int) -> None:
    quota = Quota(rpm)
    calls_a_minute = quota.shards * MINUTE / quota.cost(1)[REQUESTS]
    assert calls_a_minute == pytest.approx(rpm * lines.USED_SHARE, rel=0.001)


@given(st.text("abc-1", min_size=1, max_size=9), st.integers(0, 10**17))
def test_a_place_survives_its_way_through_the_state_machine(name: str, at: int) -> None:
    assert Place.parse(str(Place(name, at))) == Place(name, at)


@pytest.mark.parametrize("text", ["", "a", "@1", "a@", "a@-1", "a@1.5", "a@²"])
def test_what_is_no_place_is_none(text: str) -> None:
    assert Place.parse(text) is None


def test_a_place_is_good_from_its_time_on_for_five_minutes() -> None:
    place = Place("a", START)
    times = (-SECOND, -SECOND // 4, 0, 299 * SECOND, 301 * SECOND)
    assert [place.is_good(START + t) for t in times] == [False, True, True, True, False]
