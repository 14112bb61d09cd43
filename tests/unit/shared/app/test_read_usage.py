"""Reports from the usage ledger."""

import pytest

from ratchet.app import read_usage, usage_views
from ratchet.app.read_usage import ReadUsage, UsageReport
from ratchet.app.usage_views import report_view
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import UsageBy
from ratchet.contracts.request_errors import InvalidRequest
from ratchet.domain.models import Usage
from ratchet.domain.usage import Account, Amounts, Counted, Counter, Part, day_of
from ratchet.testing.clock import FakeClock
from ratchet.testing.store import InMemoryCheckpoints

DAYS = ("2026-03-30", "2026-03-31", "2026-04-01")
MODELS = ("gpt-4o", "o3")


class Books:
    """A ledger to which tasks of two agents and two users were added, by three days and two models."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = InMemoryCheckpoints(self.clock)
        self.read = ReadUsage(self.store, self.clock)
        self._tasks = 0

    def add(
        self, day: str, *, agent: str = "a", model: str = "o3", user: str = "", cost: int = 1
    ) -> None:
        self._tasks += 1
        used = Amounts(1, Usage(10 * cost, cost, cost), cost)
        counters = {
            Counter(Account.AGENT, day, agent, model): used,
            Counter(Account.USER, day, user): used,
        }
        ref = TaskRef("acme", f"task_{self._tasks:026d}")
        assert self.store.count(ref, Part(Counted(), Counted(1, used), counters))

    def report(self, by: UsageBy, first: str = DAYS[0], last: str = DAYS[-1]) -> UsageReport:
        return self.read("acme", first_day=first, last_day=last, by=by)

    def costs(self, by: UsageBy, first: str = DAYS[0], last: str = DAYS[-1]) -> dict[str, int]:
        groups = self.report(by, first, last).groups
        return {name: amounts.cost_microusd for name, amounts in groups}


@pytest.fixture
def books() -> Books:
    books = Books()
    for number, (day, agent, model, user) in enumerate(
        (day, agent, model, user)
        for day in DAYS
        for agent in ("a", "b")
        for model in MODELS
        for user in ("u-1", "")
    ):
        books.add(day, agent=agent, model=model, user=user, cost=1 + number)
    return books


def test_every_way_to_sum_up_comes_to_the_same(books: Books) -> None:
    totals = {books.report(by).total for by in UsageBy}

    assert totals == {Amounts(24, Usage(3000, 300, 300), 300)}


def test_days_are_in_order_and_everything_else_dearest_first(books: Books) -> None:
    assert list(books.costs(UsageBy.DAY).items()) == [
        ("2026-03-30", 36),
        ("2026-03-31", 100),
        ("2026-04-01", 164),
    ]
    assert list(books.costs(UsageBy.AGENT)) == ["b", "a"]
    assert list(books.costs(UsageBy.MODEL)) == ["o3", "gpt-4o"]
    assert list(books.costs(UsageBy.USER).items()) == [("", 156), ("u-1", 144)]


def test_both_days_are_included_and_no_other(books: Books) -> None:
    assert books.costs(UsageBy.DAY, DAYS[1], DAYS[1]) == {DAYS[1]: 100}
    assert books.costs(UsageBy.DAY, "2026-04-02", "2026-04-30") == {}


def test_without_days_it_is_the_thirty_up_to_today() -> None:
    books = Books()
    books.clock.advance(400 * 24 * 3600)
    today = day_of(books.clock.now_ms())
    report = books.read("acme", first_day=None, last_day=None, by=UsageBy.DAY)

    assert report.last_day == today
    assert day_of(books.clock.now_ms() - 29 * 24 * 3_600_000) == report.first_day
    early = books.read("acme", first_day=None, last_day="0001-01-03", by=UsageBy.DAY)
    assert early.first_day == "0001-01-01"


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        ("2026-02-30", "2026-03-01", "from: '2026-02-30' is no day; write it as 2026-11-22"),
        ("2026-01-01", "tomorrow", "to: 'tomorrow' is no day"),
        ("20260101", "2026-01-02", "from: '20260101' is no day"),
        ("2026-W01-1", "2026-01-02", "is no day"),
        ("2026-01-02", "2026-01-01", "from: 2026-01-02 is after to=2026-01-01"),
        ("2026-01-01", "2026-04-03", "at most 92 days"),
        ("2026-01-01" * 99, "2026-01-02", "is no day"),
    ],
)
def test_days_that_cannot_be_meant_are_refused(first: str, last: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        Books().report(UsageBy.DAY, first, last)


def test_a_quarter_may_be_asked_for() -> None:
    assert Books().report(UsageBy.DAY, "2026-01-01", "2026-04-02").groups == ()


def test_more_than_can_be_added_up_in_time_is_refused_with_a_way_out(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_usage, "MAX_USAGE_ROWS", 11)
    with pytest.raises(InvalidRequest, match="ask for fewer days, or by agent or model"):
        books.report(UsageBy.AGENT)
    assert books.costs(UsageBy.USER, DAYS[0], DAYS[0])


def test_of_many_groups_the_dearest_are_shown_and_the_rest_is_one_sum(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_views, "MAX_USAGE_GROUPS", 2)
    view = report_view(books.report(UsageBy.DAY))

    assert [group.key for group in view.groups] == list(DAYS[:2])
    assert view.rest is not None
    assert view.rest.cost_usd == 0.000164
    assert (view.total.cost_usd, view.total.steps) == (0.0003, 24)


def test_tasks_without_a_user_have_no_key(books: Books) -> None:
    view = report_view(books.report(UsageBy.USER))

    assert [group.key for group in view.groups] == [None, "u-1"]
    assert view.rest is None


def test_calls_that_were_lost_before_a_first_step_are_in_every_report() -> None:
    books = Books()
    lost = Amounts(0, Usage(), 24_640)
    counters = {
        Counter(Account.AGENT, DAYS[0], "a"): lost,
        Counter(Account.USER, DAYS[0], ""): lost,
    }
    ref = TaskRef("acme", f"task_{0:026d}")
    assert books.store.count(ref, Part(Counted(), Counted(1, lost), counters))
    assert {by: books.report(by).total for by in UsageBy} == dict.fromkeys(UsageBy, lost)
