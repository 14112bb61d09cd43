"""Memory, on the twin and on DynamoDB: a fact, its shelf and the mark of a call change together or not at all."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from ratchet.adapters.dynamodb_memories import DynamoDbMemories
from ratchet.adapters.dynamodb_table import Table
from ratchet.app.memories import Call, DoneBefore, Memories
from ratchet.contracts import limits
from ratchet.contracts.errors import AttemptSuperseded, StoreUnavailable
from ratchet.contracts.names import MemoryScope
from ratchet.contracts.request_errors import (
    InvalidRequest,
    MemoryChanged,
    MemoryFull,
    MemoryNotFound,
    MemoryTooLarge,
)
from ratchet.domain.keys import UnsafeKey
from ratchet.domain.memory import (
    Done,
    Expected,
    Fact,
    MemoryCall,
    Namespace,
    Note,
    Place,
    Shelf,
    Source,
    removed,
    written,
)
from ratchet.memory_ports import MemoryStore
from ratchet.ports import Clock
from ratchet.testing.memories import InMemoryMemories
from tests.contract.store.benches import Bench, DynamoDbBench, MemoryBench
from tests.contract.store.samples import DONE, LARGE, START_MS, record_of, ref_of, task_of
from tests.contract.store.wire import faults, watched

ANN = Place("acme", Namespace(MemoryScope.USER, "ann"))
BOB = Place("acme", Namespace(MemoryScope.USER, "bob"))
SHARED = Place("acme", Namespace(MemoryScope.TENANT))
SOURCE = Source(task_id="task_1", agent="support", is_untrusted=True)
STEP = MemoryCall(ref_of(), 1, "idempotency")
CALL = Call(STEP, Done("user:ann", "diet", "digest"))
HOUR = 3600


def memories(bench: Bench) -> Memories:
    clock: Clock = bench.clock
    if isinstance(bench, MemoryBench):
        twin = getattr(bench, "memories", None) or InMemoryMemories(bench.memory, clock)
        bench.memories = twin  # type: ignore[attr-defined]
        return Memories(twin, clock)
    assert isinstance(bench, DynamoDbBench)
    return Memories(DynamoDbMemories(Table(bench.client, bench.table, clock), clock), clock)


_writes = count()


def note(value: Any = "vegan", *, ttl: int | None = None, at: Bench | None = None) -> Note:
    until = None if ttl is None or at is None else at.clock.now_ms() // 1000 + ttl
    return Note(value, SOURCE, f"write-{next(_writes)}", until)


def shelf(bench: Bench, place: Place = ANN) -> Shelf:
    return memories(bench).store.look(place, "diet").shelf


def is_empty(bench: Bench) -> bool:
    """Whether no trace is left of any memory."""
    if isinstance(bench, MemoryBench):
        return not bench.memories.drawers  # type: ignore[attr-defined]
    assert isinstance(bench, DynamoDbBench)
    return not [item for item in bench.items() if "#MEMORY#" in item["pk"]["S"]]


def keys_of(facts: Any) -> list[str]:
    return [fact.key for fact in facts]


@pytest.mark.parametrize(
    "value",
    ["vegan", "", {"likes": ["tea", None, 1.5, True]}, 10**30, "žluťoučký 漢字 🍵", [], None],
)
def test_what_is_remembered_is_read_as_it_was(bench: Bench, value: Any) -> None:
    said = memories(bench).write(ANN, "diet", note(value))
    read = memories(bench).read(ANN, "diet")
    assert read == said
    assert (read.value, read.version, read.source) == (value, 1, SOURCE)
    assert read.created_at_ms == read.updated_at_ms == bench.clock.now_ms()


def test_writing_again_replaces_the_value_and_counts_the_versions(bench: Bench) -> None:
    first = memories(bench).write(ANN, "diet", note())
    bench.clock.advance(5)
    second = memories(bench).write(ANN, "diet", note("omnivore"))
    assert memories(bench).read(ANN, "diet") == second
    assert (second.version, second.created_at_ms) == (2, first.created_at_ms)
    assert second.updated_at_ms == first.updated_at_ms + 5_000
    assert second.etag != first.etag
    assert shelf(bench).facts == 1


def test_nothing_is_remembered_until_it_is_and_after_it_is_deleted(bench: Bench) -> None:
    with pytest.raises(MemoryNotFound, match="'diet' in user:ann"):
        memories(bench).read(ANN, "diet")
    assert memories(bench).delete(ANN, "diet") is None
    said = memories(bench).write(ANN, "diet", note())
    assert memories(bench).delete(ANN, "diet") == said
    assert memories(bench).delete(ANN, "diet") is None
    with pytest.raises(MemoryNotFound):
        memories(bench).read(ANN, "diet")
    assert is_empty(bench), "not even a counter tells that there was something"


def test_neither_another_tenant_nor_another_namespace_sees_it(bench: Bench) -> None:
    memories(bench).write(ANN, "diet", note())
    others = [
        Place("acme-2", ANN.namespace),
        Place("globex", ANN.namespace),
        BOB,
        SHARED,
        Place("acme", Namespace(MemoryScope.AGENT, "ann")),
        Place("acme", Namespace(MemoryScope.USER, "ann#x")),
        Place("acme", Namespace(MemoryScope.USER, "an")),
    ]
    for place in others:
        assert memories(bench).all(place) == []
        assert memories(bench).delete(place, "diet") is None
        assert memories(bench).clear(place) == 0
        with pytest.raises(MemoryNotFound):
            memories(bench).read(place, "diet")
    assert keys_of(memories(bench).all(ANN)) == ["diet"]


def test_any_user_id_has_a_namespace_of_its_own(bench: Bench) -> None:
    names = ["ann", "Ann", "a/b", "a#b", "user:ann", "ž", " ", "KEY#diet", "x" * 128]
    places = [Place("acme", Namespace(MemoryScope.USER, name)) for name in names]
    for name, place in zip(names, places, strict=True):
        memories(bench).write(place, "me", note(name))
    assert [memories(bench).read(place, "me").value for place in places] == names


@pytest.mark.parametrize("tenant", ["acme#MEMORY", "", "a b", "acme/../globex"])
def test_a_tenant_that_could_leave_its_place_in_the_key_is_refused(
    bench: Bench, tenant: str
) -> None:
    with pytest.raises(UnsafeKey):
        memories(bench).read(Place(tenant, ANN.namespace), "diet")


@pytest.mark.parametrize("key", ["", " ", "-a", "a b", "a#b", "a/b", "KEY#x", "x" * 129, "ž"])
def test_a_key_that_could_leave_its_place_is_refused_everywhere(bench: Bench, key: str) -> None:
    used = memories(bench)
    asks: list[Callable[[], object]] = [
        lambda: used.read(ANN, key),
        lambda: used.write(ANN, key, note()),
        lambda: used.delete(ANN, key),
    ]
    if key:
        asks.append(lambda: used.page(ANN, prefix=key, limit=5))
        asks.append(lambda: used.search(ANN, "x", prefix=key, limit=5))
    for ask in asks:
        with pytest.raises(InvalidRequest, match="is no key"):
            ask()
    assert is_empty(bench) if isinstance(bench, DynamoDbBench) else not used.all(ANN)


def test_what_has_expired_is_gone_though_nobody_has_deleted_it(bench: Bench) -> None:
    memories(bench).write(ANN, "code", note("1234", ttl=HOUR, at=bench))
    memories(bench).write(ANN, "diet", note())
    bench.clock.advance(HOUR - 1)
    assert keys_of(memories(bench).all(ANN)) == ["code", "diet"]
    bench.clock.advance(1)
    with pytest.raises(MemoryNotFound):
        memories(bench).read(ANN, "code")
    assert keys_of(memories(bench).all(ANN)) == ["diet"]
    assert memories(bench).search(ANN, "1234", prefix="", limit=5) == []
    assert memories(bench).delete(ANN, "code") is None
    with pytest.raises(MemoryChanged):
        memories(bench).write(ANN, "code", note(), expected=Expected(etag="*"))
    again = memories(bench).write(ANN, "code", note("5678"))
    assert (again.version, again.created_at_ms) == (1, bench.clock.now_ms())
    assert again.expires_at is None


def test_writing_without_a_ttl_keeps_what_had_one(bench: Bench) -> None:
    memories(bench).write(ANN, "diet", note(ttl=HOUR, at=bench))
    memories(bench).write(ANN, "diet", note("omnivore"))
    bench.clock.advance(2 * HOUR)
    assert memories(bench).read(ANN, "diet").value == "omnivore"
    assert shelf(bench).expires_at is None, "TTL must not take the shelf below a fact"


def test_the_shelf_outlives_every_fact_on_it(bench: Bench) -> None:
    now = bench.clock.now_ms() // 1000
    memories(bench).write(ANN, "a", note(ttl=HOUR, at=bench))
    assert shelf(bench).expires_at == now + HOUR
    memories(bench).write(ANN, "b", note(ttl=3 * HOUR, at=bench))
    memories(bench).write(ANN, "c", note(ttl=2 * HOUR, at=bench))
    assert shelf(bench).expires_at == now + 3 * HOUR
    memories(bench).write(ANN, "a", note(ttl=4 * HOUR, at=bench))
    assert (shelf(bench).expires_at, shelf(bench).facts) == (now + 4 * HOUR, 3)


def test_a_write_that_expects_what_is_there_no_more_is_refused(bench: Bench) -> None:
    used = memories(bench)
    first = used.write(ANN, "diet", note(), expected=Expected(is_absent=True))
    with pytest.raises(MemoryChanged, match=first.etag):
        used.write(ANN, "diet", note("x"), expected=Expected(is_absent=True))
    second = used.write(ANN, "diet", note("omnivore"), expected=Expected(etag=first.etag))
    for stale in (first.etag, "nonsense", ""):
        with pytest.raises(MemoryChanged, match=second.etag):
            used.write(ANN, "diet", note("x"), expected=Expected(etag=stale))
        with pytest.raises(MemoryChanged):
            used.delete(ANN, "diet", expected=Expected(etag=stale))
    assert used.read(ANN, "diet") == second
    assert used.delete(ANN, "diet", expected=Expected(etag=second.etag)) == second
    with pytest.raises(MemoryChanged, match="there is none"):
        used.delete(ANN, "diet", expected=Expected(etag=second.etag))
    third = used.write(ANN, "diet", note("vegan"))
    assert third.etag not in (first.etag, second.etag), "what came again is another one"


def test_of_two_changes_of_the_same_state_one_is_made(bench: Bench) -> None:
    store = memories(bench).store
    look, now = store.look(ANN, "diet"), bench.clock.now_ms()
    assert store.change(written(look, note("one"), now_ms=now))
    assert not store.change(written(look, note("two"), now_ms=now))
    other = store.look(ANN, "other")
    seen = store.look(ANN, "diet")
    assert store.change(written(other, note(), now_ms=now))
    assert not store.change(removed(seen)), "the shelf has moved"
    seen = store.look(ANN, "diet")
    assert store.change(written(seen, note("three"), now_ms=now))
    assert not store.change(removed(seen)), "the fact has moved"
    assert not store.change(written(seen, note("four"), now_ms=now))
    assert (shelf(bench).facts, memories(bench).read(ANN, "diet").value) == (2, "three")


def test_a_namespace_takes_so_many_and_then_refuses_and_forgets_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_MEMORIES", 3)
    used = memories(bench)
    for key in "abc":
        used.write(ANN, key, note(key))
    with pytest.raises(MemoryFull, match="user:ann holds 3 memories"):
        used.write(ANN, "d", note())
    used.write(ANN, "a", note("again"))
    used.write(BOB, "d", note())
    assert keys_of(used.all(ANN)) == ["a", "b", "c"]
    used.delete(ANN, "b")
    used.write(ANN, "d", note())
    assert keys_of(used.all(ANN)) == ["a", "c", "d"]


def test_what_has_expired_makes_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_MEMORIES", 3)
    used = memories(bench)
    for key in "abc":
        used.write(ANN, key, note(key, ttl=HOUR, at=bench))
    used.write(ANN, "c", note("c"))
    bench.clock.advance(HOUR)
    assert shelf(bench).facts == 3, "nobody has counted anew"
    used.write(ANN, "d", note())
    used.write(ANN, "a", note())
    assert keys_of(used.all(ANN)) == ["a", "c", "d"]
    with pytest.raises(MemoryFull):
        used.write(ANN, "e", note())


def test_a_value_that_is_too_large_is_refused_by_its_bytes(bench: Bench) -> None:
    most = limits.MAX_MEMORY_BYTES
    memories(bench).write(ANN, "a", note("x" * (most - 2)))
    for value in ("x" * (most - 1), "ž" * (most // 2), [LARGE]):
        with pytest.raises(MemoryTooLarge, match=f"the limit is {most}"):
            memories(bench).write(ANN, "b", note(value))
    assert keys_of(memories(bench).all(ANN)) == ["a"]


def test_a_full_namespace_of_the_largest_is_listed_whole(dynamodb: DynamoDbBench) -> None:
    used = memories(dynamodb)
    for number in range(300):
        used.write(ANN, f"k{number:03}", note(LARGE[number : number + 8_000]))
    with watched(dynamodb.client) as traffic:
        assert len(used.all(ANN)) == 300
    assert traffic.reads > 1, "more than a Query answers at once"


def test_a_list_is_in_pages_and_the_order_of_the_keys(bench: Bench) -> None:
    used = memories(bench)
    for key in ("b", "a.2", "a.10", "a.1", "c"):
        used.write(ANN, key, note(key))
    used.write(ANN, "a.3", note(ttl=1, at=bench))
    bench.clock.advance(2)
    found: list[str] = []
    cursor = None
    for _ in range(3):
        page = used.page(ANN, prefix="", limit=2, after=cursor)
        found += keys_of(page.facts)
        cursor = page.after
    assert (found, cursor) == (["a.1", "a.10", "a.2", "b", "c"], None)
    page = used.page(ANN, prefix="a.1", limit=2)
    assert (keys_of(page.facts), page.after) == (["a.1", "a.10"], None)


def test_a_search_finds_words_whatever_their_case_best_first(bench: Bench) -> None:
    used = memories(bench)
    for key, value in {
        "diet": "Ann is VEGAN and hates coriander.",
        "allergy.nuts": {"severity": "Bad"},
        "team": "Ann works with Bob.",
        "ort": "東京に住んでいる",
    }.items():
        used.write(ANN, key, note(value))
        bench.clock.advance(1)
    search = {
        "vegan ann": ["diet", "team"],
        "NUTS": ["allergy.nuts"],
        "severity": ["allergy.nuts"],
        "東京": ["ort"],
        "nowhere": [],
        "": ["ort", "team", "allergy.nuts", "diet"],
    }
    for query, keys in search.items():
        assert keys_of(used.search(ANN, query, prefix="", limit=9)) == keys
    assert keys_of(used.search(ANN, "", prefix="", limit=1)) == ["ort"]
    assert keys_of(used.search(ANN, "", prefix="a", limit=9)) == ["allergy.nuts"]


def test_clearing_leaves_nothing_and_says_how_much_there_was(bench: Bench) -> None:
    used = memories(bench)
    for number in range(30):
        used.write(ANN, f"k{number}", note())
    used.write(ANN, "over", note(ttl=1, at=bench))
    bench.clock.advance(2)
    assert used.clear(ANN) == 31
    assert is_empty(bench)
    assert used.clear(ANN) == 0
    used.write(ANN, "a", note())
    assert shelf(bench).facts == 1


@pytest.fixture
def tasked(bench: Bench) -> Bench:
    """With a task whose first step is under way."""
    bench.store.create_task(task_of(), claim=None, due_at_ms=0)
    return bench


def test_a_call_is_carried_out_once_whatever_became_of_the_memory_since(tasked: Bench) -> None:
    used = memories(tasked)
    used.write(ANN, "diet", note(), call=CALL)
    with pytest.raises(DoneBefore) as again:
        used.write(ANN, "diet", note("x"), call=CALL)
    assert again.value.done == CALL.done
    used.delete(ANN, "diet")
    with pytest.raises(DoneBefore):
        used.write(ANN, "diet", note(), call=CALL)
    with pytest.raises(DoneBefore):
        used.delete(ANN, "other", call=replace(CALL, done=Done("user:ann", "other", "x")))
    assert used.all(ANN) == [], "what a person has deleted stays deleted"
    other = Call(replace(STEP, key="another"), CALL.done)
    assert used.write(ANN, "diet", note("tea"), call=other).value == "tea"


def test_a_call_that_deletes_is_carried_out_once_too(tasked: Bench) -> None:
    used = memories(tasked)
    used.write(ANN, "diet", note())
    used.delete(ANN, "diet", call=CALL)
    used.write(ANN, "diet", note("new"))
    with pytest.raises(DoneBefore):
        used.delete(ANN, "diet", call=CALL)
    assert used.read(ANN, "diet").value == "new"


def test_of_two_attempts_that_make_the_same_call_at_once_one_changes_something(
    tasked: Bench,
) -> None:
    store, now = memories(tasked).store, tasked.clock.now_ms()
    look = store.look(ANN, "diet", call=STEP)
    other = store.look(ANN, "other", call=STEP)
    assert look.done is None
    first = replace(written(look, note("one"), now_ms=now), call=STEP, done=CALL.done)
    second = replace(written(other, note("two"), now_ms=now), call=STEP, done=CALL.done)
    assert store.change(first)
    assert not store.change(second)
    assert store.look(ANN, "other", call=STEP).done == CALL.done
    assert keys_of(memories(tasked).all(ANN)) == ["diet"]


def test_nothing_is_remembered_for_a_step_that_is_over_or_a_task_that_is_gone(
    tasked: Bench,
) -> None:
    used, task = memories(tasked), task_of()
    tasked.store.commit(task, record_of(1), due_at_ms=0)
    for call in (CALL, Call(replace(STEP, ref=ref_of(2)), CALL.done)):
        with pytest.raises(AttemptSuperseded):
            used.write(ANN, "diet", note(), call=call)
    second = Call(replace(STEP, step=2), CALL.done)
    used.write(ANN, "diet", note(), call=second)
    tasked.store.commit(task, record_of(2, DONE), due_at_ms=0)
    with pytest.raises(AttemptSuperseded):
        used.delete(ANN, "diet", call=Call(replace(STEP, step=2, key="k"), CALL.done))
    assert keys_of(used.all(ANN)) == ["diet"]


def test_the_mark_of_a_call_goes_with_its_task_and_the_memory_stays(tasked: Bench) -> None:
    used, task = memories(tasked), task_of()
    used.write(ANN, "diet", note(), call=CALL)
    history = tasked.store.load(task.ref)
    assert history is not None
    assert history.records == (), "a mark is no step"
    tasked.store.commit(task, record_of(1, DONE), due_at_ms=0)
    over_ms = START_MS + 1_500 + limits.TERMINAL_RETENTION_SECONDS * 1_000
    tasked.clock.advance((over_ms - tasked.clock.now_ms()) / 1_000)
    assert tasked.store.erase(task.ref) == 3, "head, step and mark"
    assert used.store.look(ANN, "diet", call=STEP).done is None
    assert keys_of(used.all(ANN)) == ["diet"]


def test_a_write_whose_answer_is_lost_is_made_once(dynamodb: DynamoDbBench) -> None:
    used = memories(dynamodb)
    with faults(dynamodb.client, "TransactWriteItems", times=1, applied=True) as lost:
        first = used.write(ANN, "diet", note())
    with faults(dynamodb.client, "PutItem", times=1, applied=True) as lost_too:
        second = used.write(ANN, "diet", note("x"), expected=Expected(etag=first.etag))
    assert (len(lost), len(lost_too)) == (1, 1)
    assert (second.version, shelf(dynamodb).facts) == (2, 1)
    with faults(dynamodb.client, "TransactWriteItems", times=1, applied=True):
        assert used.delete(ANN, "diet") == second
    assert is_empty(dynamodb)


@pytest.mark.parametrize("operation", ["BatchGetItem", "TransactWriteItems"])
def test_a_store_that_does_not_answer_says_so(dynamodb: DynamoDbBench, operation: str) -> None:
    with (
        faults(dynamodb.client, operation, times=9, applied=False),
        pytest.raises(StoreUnavailable),
    ):
        memories(dynamodb).write(ANN, "diet", note())


def test_clearing_goes_on_where_a_crash_has_left_it(dynamodb: DynamoDbBench) -> None:
    used = memories(dynamodb)
    for number in range(40):
        used.write(ANN, f"k{number}", note())
    broken = faults(dynamodb.client, "BatchWriteItem", after=1, times=9, applied=False)
    with broken, pytest.raises(StoreUnavailable):
        used.clear(ANN)
    assert 0 < len(used.all(ANN)) < 40
    used.clear(ANN)
    assert is_empty(dynamodb)


def test_what_a_write_costs(dynamodb: DynamoDbBench) -> None:
    used = memories(dynamodb)
    dynamodb.store.create_task(task_of(), claim=None, due_at_ms=0)
    expected = {"new": ["TransactWriteItems"], "over": ["PutItem"]}
    for name, writes in expected.items():
        with watched(dynamodb.client) as traffic:
            used.write(ANN, "diet", note(name))
        assert [operation for operation, _ in traffic.requests] == ["BatchGetItem", *writes]
    with watched(dynamodb.client) as traffic:
        used.write(ANN, "diet", note("call"), call=CALL)
    (_, (_, sent)) = traffic.requests
    kinds = [next(iter(write)) for write in sent["TransactItems"]]
    assert kinds == ["Put", "Put", "ConditionCheck", "ConditionCheck"]


class Meddling:
    """A store where somebody else is always faster."""

    def __init__(self, store: MemoryStore, meddle: Any) -> None:
        self.store = store
        self.meddle = meddle

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def change(self, change: Any) -> bool:
        self.meddle()
        return self.store.change(change)


def test_who_never_wins_the_race_is_told_to_come_again(bench: Bench) -> None:
    used = memories(bench)
    others = count()

    def meddle() -> None:
        used.write(ANN, "diet", note(next(others)))

    store: Any = Meddling(used.store, meddle)
    with pytest.raises(StoreUnavailable, match="others kept changing"):
        Memories(store, bench.clock).write(ANN, "diet", note("mine"))
    fact: Fact = used.read(ANN, "diet")
    assert fact.value == 9


def test_an_item_is_in_its_tenants_partition_and_in_no_index(dynamodb: DynamoDbBench) -> None:
    memories(dynamodb).write(ANN, "diet", note(ttl=HOUR, at=dynamodb))
    fact, shelf_ = dynamodb.items()
    until = str(dynamodb.clock.now_ms() // 1000 + HOUR)
    for item, sort_key in ((fact, "KEY#diet"), (shelf_, "MEMORY")):
        assert item["pk"]["S"] == "TENANT#acme#MEMORY#user:ann"
        assert (item["sk"]["S"], item["expires_at"]["N"]) == (sort_key, until)
        assert not {"due", "due_at", "tenant_key", "task_id", "waiting"} & item.keys()
