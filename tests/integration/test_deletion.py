"""Deleting, on the real store adapters: nothing of it is left in table and bucket, and the rest is as before."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from ratchet import Agent, Memory, tool
from ratchet.adapters.dynamodb import DynamoDbCheckpoints
from ratchet.adapters.dynamodb_memories import DynamoDbMemories
from ratchet.adapters.dynamodb_table import Table
from ratchet.adapters.payloads import S3Payloads
from ratchet.app.memories import Memories
from ratchet.app.read_task import ReadTask
from ratchet.app.user_erasure import Erased
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import RING_AGAIN_SECONDS, TOMBSTONE_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.request_errors import SessionNotFound, TaskNotFound
from ratchet.domain import keys
from ratchet.domain.memory import Namespace, Place
from ratchet.domain.messages import ToolCall
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import asks, says
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench
from tests.contract.store.samples import LARGE
from tests.contract.store.wire import faults
from tests.unit.shared.app.world import World

CANARY = "canary"
KEPT = ("#IDEMPOTENCY#", "#USAGE#")
"""What deleting leaves: digests of callers' keys for a week, and counters."""


@tool(effect="unsafe")
def pay(note: str) -> str:
    """Pay; the result is too large for an item."""
    return f"{note} {LARGE}"


AGENT = Agent("clerk", "Serve.", tools=[pay], policy="react", memory=Memory())


def _answer(call: ModelCall) -> ModelAnswer:
    """Pays and remembers at once, then says much."""
    goal = next(i for i, m in reversed(list(enumerate(call.prompt.messages))) if m.role == "user")
    if any(m.role == "assistant" for m in call.prompt.messages[goal:]):
        return says(f"Done, {CANARY}. {LARGE}")
    text = json.dumps({"key": "diet", "text": CANARY})
    return asks(
        ToolCall("c1", "pay", json.dumps({"note": CANARY})), ToolCall("c2", "remember", text)
    )


def is_tombstone(item: dict[str, Any]) -> bool:
    """Whether it is what deleting leaves of a task for twenty minutes: not a word, but numbers and marks."""
    what: str = item["sk"]["S"]
    if what == keys.HEAD:
        return set(item) <= {*STONE, "erasing", "tombstone"} and "tombstone" in item
    if what.startswith(keys.STEP_PREFIX):
        return bool(item == {"pk": item["pk"], "sk": item["sk"], "effects_of": {"S": "erased"}})
    return what == keys.COUNTED


STONE = ("pk", "sk", "status", "updated_at", "expires_at", "due", "due_at")


class Shop:
    """A deployment on moto."""

    def __init__(self, bench: DynamoDbBench) -> None:
        self.bench = bench
        payloads = S3Payloads(lambda: bench.s3, bench.bucket)
        store = DynamoDbCheckpoints(
            bench.client, table=bench.table, payloads=payloads, clock=bench.clock
        )
        self.world = World(AGENT, chat=_answer, kept=(store, bench.clock))
        table = Table(bench.client, bench.table, bench.clock)
        self.world.memories = Memories(DynamoDbMemories(table, bench.clock), bench.clock)

    def done(self, user: str = "ann", session: str | None = None) -> TaskRef:
        """A task of this user that has ended and was announced, with one of everything."""
        goal = f"{CANARY} of {user} {LARGE}"
        ref = self.world.submitted(goal, user_id=user, session_id=session)
        assert self.world.run(ref).state.status is TaskStatus.SUCCEEDED
        self.world.announce_all(ref)
        return ref

    def partitions(self) -> list[str]:
        """Of all that is stored, but for what deleting leaves."""
        found = {item["pk"]["S"] for item in self.bench.items() if not is_tombstone(item)}
        return sorted(pk for pk in found if not any(word in pk for word in KEPT))

    def bury(self) -> None:
        """Time passes until nobody can be at work any more for what was deleted."""
        self.bench.clock.advance(TOMBSTONE_SECONDS)
        assert self.world.sweep().failed == 0

    def tells(self) -> bool:
        """Whether a word of anybody can still be read in what is kept of keys and counters."""
        return CANARY in repr(self.bench.items())

    def facts(self, user: str = "ann") -> list[str]:
        place = Place("acme", Namespace.parse(f"user:{user}"))
        return [fact.key for fact in self.world.memories.all(place)]


@pytest.fixture
def place() -> Iterator[Shop]:
    with mocked_aws():
        bench = DynamoDbBench()
        yield Shop(bench)
        bench.close()


def test_deleting_a_session_leaves_nothing_of_it_in_table_and_bucket(place: Shop) -> None:
    first, second = place.done(session="talk"), place.done(session="talk")
    other = place.done(session="other", user="bob")
    kept = {"table": place.partitions(), "bucket": place.bench.payload_keys()}
    assert len([key for key in kept["bucket"] if first.task_id in key]) >= 3
    deleted = place.world.sessions.delete("acme", "talk")
    assert set(deleted.task_ids) == {first.task_id, second.task_id}
    gone = (first.task_id, second.task_id, "#SESSION#talk")
    for name, now in (("table", place.partitions()), ("bucket", place.bench.payload_keys())):
        assert now == [k for k in kept[name] if not any(word in k for word in gone)], name
    assert any(other.task_id in key for key in place.bench.payload_keys())
    assert place.facts() == ["diet"], "what was remembered is no history: it is deleted by itself"


def test_deleting_a_session_says_how_many_items_that_were(place: Shop) -> None:
    place.done(session="talk")
    place.world.memories.clear(Place("acme", Namespace.parse("user:ann")))
    before = len(place.bench.items())
    deleted = place.world.sessions.delete("acme", "talk")
    assert place.partitions() == []
    assert not place.tells()
    place.bury()
    assert before - len(place.bench.items()) == deleted.items
    assert place.bench.payload_keys() == []
    assert not place.tells()


def test_deleting_a_user_leaves_nothing_of_it_in_table_and_bucket(place: Shop) -> None:
    mine = [place.done(session="talk"), place.done(), place.done(session="talk")]
    bob = place.done(user="bob")
    before = len(place.bench.items())
    erased = place.world.erase_user("acme", "ann")
    assert set(erased.task_ids) == {ref.task_id for ref in mine}
    assert (erased.memories, erased.open_task_ids, erased.is_complete) == (1, (), True)
    shelf = 1
    place.bury()
    assert before - len(place.bench.items()) == erased.items + erased.memories + shelf
    of_bob = ("TENANT#acme#MEMORY#user:bob", f"TENANT#acme#TASK#{bob.task_id}")
    assert place.partitions() == sorted(of_bob)
    assert {key.split("/")[1] for key in place.bench.payload_keys()} == {bob.task_id}
    assert (place.facts(), place.facts("bob")) == ([], ["diet"])
    with pytest.raises(SessionNotFound):
        place.world.sessions.read("acme", "talk", limit=5, cursor=None)
    again = place.world.erase_user("acme", "ann")
    assert (again.task_ids, again.items, again.memories) == ((), 0, 0)
    place.world.erase_user("acme", "bob")
    assert (place.partitions(), place.bench.payload_keys(), place.tells()) == ([], [], False)


def test_a_task_that_has_not_ended_stays_and_is_named(place: Shop) -> None:
    done = place.done()
    waiting = place.world.submitted("Wait.", user_id="ann")
    erased = place.world.erase_user("acme", "ann")
    assert (erased.task_ids, erased.open_task_ids) == ((done.task_id,), (waiting.task_id,))
    place.world.cancel(waiting)
    erased = place.world.erase_user("acme", "ann")
    assert (erased.task_ids, erased.open_task_ids) == ((waiting.task_id,), ())
    assert place.partitions() == []


def test_what_a_user_said_in_a_session_is_not_told_to_others_any_more(place: Shop) -> None:
    place.done(session="talk")
    place.done(session="talk", user="bob")
    place.world.erase_user("acme", "ann")
    session = place.world.store.session("acme", "talk")
    assert len(session.turns) == 1
    assert "of bob" in (session.turns[0].messages[0].content or "")
    later = place.world.submitted("What was said?", user_id="bob", session_id="talk")
    place.world.run(later)
    told = repr(place.world.tip(later).task.earlier)
    assert "of ann" not in told
    assert "of bob" in told


def test_one_request_deletes_so_many_tasks_and_says_that_there_may_be_more(
    place: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratchet.app.user_erasure.ERASED_AT_ONCE", 2)
    for _ in range(5):
        ref = place.world.submitted("Short.", user_id="ann")
        place.world.cancel(ref)
    found = [place.world.erase_user("acme", "ann") for _ in range(3)]
    assert [len(erased.task_ids) for erased in found] == [2, 2, 1]
    assert [erased.is_complete for erased in found] == [False, False, True]
    assert place.partitions() == []


CALLS = ["BatchWriteItem", "TransactWriteItems", "Query", "GetItem", "UpdateItem"]


def until_whole(place: Shop, operation: str, delete: Callable[[], object]) -> int:
    """Repeat a deletion that breaks off later and later at calls of that operation; how often it did."""
    for after in range(60):
        broken = faults(place.bench.client, operation, after=after, times=9, applied=True)
        with broken as seen, suppress(StoreUnavailable):
            delete()
            assert not seen, "it ended although something gave no answer"
            return after
    raise AssertionError("it never ended")


@pytest.mark.parametrize("operation", CALLS)
def test_the_same_request_goes_on_where_a_crash_has_left_it(place: Shop, operation: str) -> None:
    place.done(session="talk")
    place.done()
    found: list[Erased] = []
    crashes = until_whole(
        place, operation, lambda: found.append(place.world.erase_user("acme", "ann"))
    )
    assert crashes > 0
    assert found[-1].is_complete
    assert (place.partitions(), place.bench.payload_keys(), place.tells()) == ([], [], False)


@pytest.mark.parametrize("operation", ["BatchWriteItem", "Query", "UpdateItem"])
def test_a_session_is_gone_once_the_same_request_has_an_answer(place: Shop, operation: str) -> None:
    refs = [place.done(session="talk") for _ in range(2)]

    def delete() -> None:
        with suppress(SessionNotFound):  # the answer was lost, and it was the last call
            place.world.sessions.delete("acme", "talk")
        assert not any(map(place.world.store.load_remains, refs))

    assert until_whole(place, operation, delete) > 0
    assert place.partitions() == ["TENANT#acme#MEMORY#user:ann"]
    assert place.bench.payload_keys() == []


def test_a_half_erased_task_is_not_found_and_the_sweeper_finishes_it(place: Shop) -> None:
    """It answered 503 until the request was repeated: its head told of steps that were gone."""
    ref = place.done(session="talk")
    broken = faults(place.bench.client, "BatchWriteItem", times=9, applied=True)
    with broken, pytest.raises(StoreUnavailable):
        place.world.sessions.delete("acme", "talk")
    assert any(ref.task_id in pk for pk in place.partitions())
    read = ReadTask(place.world.store, place.world.clock)
    for asked in (read.tip, read.timeline):
        with pytest.raises(TaskNotFound):
            asked(ref)
    place.bench.clock.advance(RING_AGAIN_SECONDS)
    assert place.world.sweep().failed == 0
    assert not any(ref.task_id in pk for pk in place.partitions())
    assert place.bench.payload_keys() == []
    place.bury()
    assert not any(ref.task_id in item["pk"]["S"] for item in place.bench.items())
