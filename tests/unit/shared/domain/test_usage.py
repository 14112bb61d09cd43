"""What a task adds to the usage ledger. The property tests draw histories; hypothesis prints the case and its seed."""

from collections import Counter as Tally
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ratchet.contracts.names import Complexity, StepType
from ratchet.domain import keys
from ratchet.domain.models import Usage
from ratchet.domain.steps import ModelUse, StepRecord, StepResult, Totals
from ratchet.domain.usage import (
    MAX_COUNTERS,
    NOTHING,
    Account,
    Amounts,
    Counted,
    Counter,
    Part,
    day_of,
    lump,
    parts,
    shares_of,
)
from tests.unit.shared.builders import ACTING, START_MS, a_history, a_task

DAY_MS = 24 * 3_600_000
COUNTS = st.integers(0, 10**7)
FEW = st.sampled_from([0, 0, 0, 1, 4])
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
USED = Amounts(1, Usage(30, 0, 25), 10)
NEXT_DAY = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@st.composite
def histories(draw: st.DrawFn, max_size: int = 40) -> list[StepRecord]:
    """Steps with and without a model, decisions and ends that cost nothing, over days that may go back a little."""
    records: list[StepRecord] = []
    totals, at_ms = Totals(), START_MS
    for number in range(1, draw(st.integers(0, max_size)) + 1):
        model = draw(st.sampled_from([None, "gpt-4o", "o3", *(f"own/{n}#" for n in range(30))]))
        result = StepResult(StepType.TOOL_DISPATCH, Complexity.SIMPLE, model=model)
        if model is not None:
            others = [ModelUse(f"asked-{n}", draw(USAGES), draw(COUNTS)) for n in range(draw(FEW))]
            used = sum((Amounts(0, o.usage, o.cost_microusd) for o in others), NOTHING)
            used += Amounts(0, draw(USAGES), draw(COUNTS))
            result = replace(
                result, usage=used.usage, cost_microusd=used.cost_microusd, others=tuple(others)
            )
            totals = totals.plus(result)
        at_ms = max(at_ms + draw(st.integers(-600_000, 3 * DAY_MS)), START_MS)
        records.append(StepRecord(number, result, ACTING, totals, 0, at_ms, at_ms))
    return records


def summed(counted: list[Part], account: Account) -> Amounts:
    return sum(
        (a for part in counted for c, a in part.counters.items() if c.account is account), NOTHING
    )


@given(histories(), st.sampled_from([None, "u-1"]))
def test_the_counters_of_a_task_add_up_to_its_totals(
    records: list[StepRecord], user: str | None
) -> None:
    task = replace(a_task(), user_id=user)
    counted = list(parts(task, records, Counted()))

    expected = Amounts.of(records[-1].totals) if records else NOTHING
    assert summed(counted, Account.AGENT) == summed(counted, Account.USER) == expected
    cost = sum(record.result.cost_microusd for record in records)
    assert expected.cost_microusd == cost


@given(histories(), st.data())
def test_counting_now_and_then_is_counting_once(
    records: list[StepRecord], data: st.DataObject
) -> None:
    whole, pieces = Tally[Counter](), Tally[Counter]()
    for part in parts(a_task(), records, Counted()):
        whole.update({c: a.cost_microusd for c, a in part.counters.items()})
    counted, done = Counted(), 0
    while done < len(records):
        done = data.draw(st.integers(done + 1, len(records)))
        for part in parts(a_task(), records[counted.number : done], counted):
            pieces.update({c: a.cost_microusd for c, a in part.counters.items()})
            counted = part.after

    assert pieces == whole


@given(histories(max_size=120))
def test_a_part_fits_a_transaction_and_begins_where_the_one_before_ended(
    records: list[StepRecord],
) -> None:
    counted = Counted()
    for part in parts(a_task(), records, Counted()):
        assert part.before == counted
        assert part.after.number > counted.number
        assert 0 < len(part.counters) <= MAX_COUNTERS
        counted = part.after

    assert counted.amounts == (Amounts.of(records[-1].totals) if records else NOTHING)


def test_a_long_task_over_many_days_takes_several_parts() -> None:
    results = [
        StepResult(StepType.REASONING, Complexity.SIMPLE, model="o3", cost_microusd=1)
        for _ in range(60)
    ]
    history = a_history(*results)
    spread = [
        replace(r, finished_at_ms=START_MS + n * DAY_MS) for n, r in enumerate(history.records)
    ]

    found = list(parts(history.task, spread, Counted()))
    assert [len(part.counters) for part in found] == [8] * 15
    assert found[-1].after.number == 60


def test_a_step_counts_on_the_utc_day_on_which_it_finished() -> None:
    result = StepResult(StepType.REASONING, Complexity.SIMPLE, model="o3")
    (record,) = a_history(result).records
    late, early = (
        replace(record, started_at_ms=NEXT_DAY - 9, finished_at_ms=NEXT_DAY + ms) for ms in (-1, 0)
    )

    task = a_task()
    assert set(shares_of(task, late, USED)) == {
        Counter(Account.AGENT, "2025-12-31", task.agent, "o3"),
        Counter(Account.USER, "2025-12-31", ""),
    }
    assert {counter.day for counter in shares_of(task, early, USED)} == {"2026-01-01"}


def test_a_step_that_asked_several_models_counts_under_each_what_it_took() -> None:
    asked = ModelUse("gpt-4o-mini", Usage(10, 0, 5), 3), ModelUse("free", Usage(), 0)
    result = StepResult(StepType.REASONING, Complexity.SIMPLE, model="o3", others=asked)
    (record,) = a_history(result).records

    shares = shares_of(a_task(), record, USED)
    of_agents = {c.model: a for c, a in shares.items() if c.account is Account.AGENT}
    assert of_agents == {
        "gpt-4o-mini": Amounts(0, Usage(10, 0, 5), 3),
        "o3": Amounts(1, Usage(20, 0, 20), 7),
    }


def test_what_cannot_be_read_any_more_counts_under_no_model() -> None:
    result = StepResult(StepType.REASONING, Complexity.SIMPLE, model="o3", cost_microusd=70)
    tip = a_history(result, result)
    part = lump(tip, Counted(1, Amounts(1, Usage(), 70)))

    assert part.after == Counted(2, Amounts.of(tip.totals))
    assert {c.model for c in part.counters} == {""}
    assert {a.cost_microusd for a in part.counters.values()} == {70}


def test_totals_that_went_back_with_a_lost_step_take_nothing_back() -> None:
    result = StepResult(StepType.REASONING, Complexity.SIMPLE, model="o3", cost_microusd=70)
    tip = a_history(result)  # one step of 70
    counted = Counted(0, Amounts(3, Usage(10), 90))

    assert list(parts(tip.task, tip.records, counted)) == []
    assert lump(tip, counted) == Part(counted, Counted(1, counted.amounts), {})
    more = Counted(0, Amounts(3, Usage(10), 60))
    (part,) = parts(tip.task, tip.records, more)
    assert set(part.counters.values()) == {Amounts(0, Usage(), 10)}


@given(
    st.sampled_from(["support", "a-b_c"]),
    st.text(max_size=60).filter(lambda text: text < "\ud800" or text.isprintable()),
    st.integers(0, 3_000),
)
def test_a_sort_key_tells_its_counter_whatever_users_and_models_are_called(
    agent: str, name: str, days: int
) -> None:
    day = day_of(START_MS + days * DAY_MS)
    for counter in (
        Counter(Account.AGENT, day, agent, name),
        Counter(Account.USER, day, name),
    ):
        sort_key = keys.usage_sort_key(counter)
        first, last = keys.usage_range(counter.account, first_day=day, last_day=day)
        assert keys.counter_of(sort_key) == counter
        assert first <= sort_key < last
        before, after = (day_of(START_MS + (days + n) * DAY_MS) for n in (-1, 1))
        assert not any(
            low <= sort_key <= high
            for other in (before, after)
            for low, high in [keys.usage_range(counter.account, first_day=other, last_day=other)]
        )
