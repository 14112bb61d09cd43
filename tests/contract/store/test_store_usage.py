"""The usage ledger, on the twin and on DynamoDB."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS, USAGE_RETENTION_SECONDS
from ratchet.domain import keys
from ratchet.domain.models import Usage
from ratchet.domain.usage import NOTHING, Account, Amounts, Counted, Counter, Part, parts
from tests.contract.store.benches import Bench, DynamoDbBench
from tests.contract.store.samples import DONE, START_MS, record_of, ref_of, task_of
from tests.contract.store.wire import faults, watched

REF = ref_of()
DAY = "2026-01-01"
AGENT, USER = Counter(Account.AGENT, DAY, "support", "o3"), Counter(Account.USER, DAY, "user-1")
NEVER = Counted()
USED = Amounts(2, Usage(100, 50, 20, 5, 7), 31)


def part_of(before: Counted = NEVER, *, used: Amounts = USED, counter: Counter = AGENT) -> Part:
    after = Counted(before.number + 3, before.amounts + used)
    return Part(before, after, {counter: used, replace(USER, day=counter.day): used})


def found(
    bench: Bench,
    account: Account = Account.AGENT,
    *,
    tenant: str = "acme",
    days: tuple[str, str] = (DAY, DAY),
) -> dict[Counter, Amounts]:
    sums: defaultdict[Counter, Amounts] = defaultdict(Amounts)
    for counter, amounts in bench.store.usage(tenant, account, first_day=days[0], last_day=days[1]):
        sums[counter] += amounts
    return dict(sums)


def test_what_was_counted_is_there_with_its_marker(bench: Bench) -> None:
    assert bench.store.counted(REF) == Counted()
    assert bench.store.count(REF, part_of())

    assert bench.store.counted(REF) == Counted(3, USED)
    assert found(bench) == {AGENT: USED}
    assert found(bench, Account.USER) == {USER: USED}


def test_a_part_counts_once_however_often_it_comes(bench: Bench) -> None:
    assert bench.store.count(REF, part_of())
    assert not bench.store.count(REF, part_of())
    assert not bench.store.count(REF, part_of(used=Amounts(1, Usage(), 1)))

    assert found(bench) == {AGENT: USED}


def test_the_next_part_begins_where_the_last_one_ended(bench: Bench) -> None:
    bench.store.count(REF, part_of())
    assert not bench.store.count(REF, part_of(Counted(2, USED)))
    assert bench.store.count(REF, part_of(bench.store.counted(REF)))
    assert not bench.store.count(REF, part_of(Counted(3, USED)))

    assert bench.store.counted(REF) == Counted(6, USED + USED)
    assert found(bench) == {AGENT: USED + USED}


def test_a_part_may_move_the_marker_alone(bench: Bench) -> None:
    """Steps whose bodies are lost may have nothing to count."""
    bench.store.count(REF, part_of())
    assert bench.store.count(REF, Part(Counted(3, USED), Counted(4, USED), {}))

    assert bench.store.counted(REF) == Counted(4, USED)
    assert found(bench) == {AGENT: USED}


def test_tasks_and_their_shards_add_up(bench: Bench) -> None:
    for number in range(1, 25):
        assert bench.store.count(ref_of(number), part_of())

    assert found(bench)[AGENT] == sum([USED] * 24, NOTHING)
    assert found(bench, Account.USER)[USER] == sum([USED] * 24, NOTHING)


# moto's transactions do not exclude each other between threads.
@pytest.mark.parametrize("bench", ["memory", "dynamodb_local_bench"], indirect=True)
def test_racing_deliveries_count_once(bench: Bench) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: bench.store.count(REF, part_of()), range(8)))

    assert done.count(True) == 1
    assert found(bench) == {AGENT: USED}


def test_only_the_days_that_are_asked_for_are_told(bench: Bench) -> None:
    days = ["2025-12-31", "2026-01-01", "2026-01-31", "2026-02-01", "2027-01-01"]
    for number, day in enumerate(days, 1):
        bench.store.count(ref_of(number), part_of(counter=replace(AGENT, day=day)))

    def told(first: str, last: str) -> list[str]:
        return sorted(counter.day for counter in found(bench, days=(first, last)))

    assert told("2025-12-31", "2026-02-01") == days[:4]
    assert told("2026-01-01", "2026-01-31") == days[1:3]
    assert told("2026-01-02", "2026-01-30") == []
    assert told("2026-12-01", "2027-01-01") == days[4:]


def test_a_tenant_is_told_of_its_own_alone(bench: Bench) -> None:
    bench.store.count(ref_of(1, "acme"), part_of())
    bench.store.count(ref_of(1, "acme2"), part_of())

    assert found(bench, tenant="acme") == {AGENT: USED}
    assert found(bench, tenant="acm") == {}


@pytest.mark.parametrize("name", ["ü#$ 😀", "a" * 128, "#", ""])
def test_users_and_models_of_any_name_are_kept_apart(bench: Bench, name: str) -> None:
    users = {replace(USER, name=other): USED for other in (name, f"{name}#", f"{name}b")}
    models = {replace(AGENT, model=other): USED for other in (name, f"{name}#")}
    assert bench.store.count(REF, Part(Counted(), Counted(1, USED), users | models))

    assert found(bench, Account.USER) == users
    assert found(bench) == models


def test_as_many_counters_as_a_part_may_have_are_one_transaction(bench: Bench) -> None:
    task = task_of()
    records = [
        replace(
            record_of(number),
            result=replace(record_of(number).result, model=f"model-{number % 60}"),
            finished_at_ms=START_MS + number * 3_600_000 * 5,
        )
        for number in range(1, 121)
    ]
    for part in parts(task, records, Counted()):
        assert bench.store.count(task.ref, part)

    total = Amounts.of(records[-1].totals)
    days = ("2026-01-01", "2026-03-01")
    assert bench.store.counted(task.ref) == Counted(120, total)
    assert sum(found(bench, days=days).values(), NOTHING) == total
    assert sum(found(bench, Account.USER, days=days).values(), NOTHING) == total


def test_a_counted_task_reads_as_it_did(bench: Bench) -> None:
    bench.store.create_task(task_of(), claim=None, due_at_ms=START_MS)
    bench.store.commit(task_of(), record_of(1), due_at_ms=START_MS)
    before = bench.store.load(REF), bench.store.load_tip(REF)
    bench.store.count(REF, part_of())

    assert (bench.store.load(REF), bench.store.load_tip(REF)) == before


def test_erasing_a_task_takes_its_marker_and_leaves_what_was_used(bench: Bench) -> None:
    bench.store.create_task(task_of(), claim=None, due_at_ms=START_MS)
    bench.store.commit(task_of(), record_of(1, DONE), due_at_ms=START_MS)
    bench.store.count(REF, part_of())
    bench.clock.advance(TERMINAL_RETENTION_SECONDS + 600)

    assert bench.store.erase(REF) == 3
    assert bench.store.counted(REF) == Counted()
    assert found(bench) == {AGENT: USED}


def test_counters_expire_after_400_days_and_markers_never(dynamodb: DynamoDbBench) -> None:
    dynamodb.store.count(REF, part_of())
    dynamodb.store.count(REF, part_of(dynamodb.store.counted(REF)))

    end_of_day = START_MS // 1000 + 24 * 3600
    expiries = {
        item["sk"]["S"]: int(item["expires_at"]["N"]) if "expires_at" in item else None
        for item in dynamodb.items()
    }
    assert expiries == {
        keys.COUNTED: None,
        keys.usage_sort_key(AGENT): end_of_day + USAGE_RETENTION_SECONDS,
        keys.usage_sort_key(USER): end_of_day + USAGE_RETENTION_SECONDS,
    }


@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_answer_counts_nothing_twice(dynamodb: DynamoDbBench, applied: bool) -> None:
    with faults(dynamodb.client, "TransactWriteItems", times=1, applied=applied):
        bench_counted = dynamodb.store.count(REF, part_of())

    # What moto answers to the same request again is up to it; the ledger holds one part in any case.
    assert bench_counted or applied
    assert dynamodb.store.counted(REF) == Counted(3, USED)
    assert found(dynamodb) == {AGENT: USED}


def test_counting_is_one_write_and_a_quarter_is_32_reads(dynamodb: DynamoDbBench) -> None:
    with watched(dynamodb.client) as traffic:
        dynamodb.store.counted(REF)
        dynamodb.store.count(REF, part_of())
    assert (traffic.writes, traffic.reads) == (1, 1)

    with watched(dynamodb.client) as traffic:
        found(dynamodb, days=("2026-01-15", "2026-04-16"))
    assert (traffic.writes, traffic.reads) == (0, 32)


def test_every_partition_key_begins_with_the_tenant(dynamodb: DynamoDbBench) -> None:
    dynamodb.store.count(ref_of(1, "globex"), part_of())

    assert {item["pk"]["S"].partition("#TASK")[0][:14] for item in dynamodb.items()} == {
        "TENANT#globex#",
        "TENANT#globex",
    }


def test_a_burst_of_tasks_spreads_evenly_over_the_shards() -> None:
    tasks = 20_000
    used: defaultdict[str, int] = defaultdict(int)
    for number in range(tasks):
        used[keys.usage_key(ref_of(number * 7_919), DAY)] += 1

    assert len(used) == keys.USAGE_SHARDS
    # An item takes 1,000 units a second and a task's end writes two: 8 shards take 3,600 ends a second.
    assert max(used.values()) * keys.USAGE_SHARDS / tasks < 1.1
