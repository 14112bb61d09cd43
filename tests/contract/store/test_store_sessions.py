"""Sessions, on the twin and on DynamoDB: the session and the standing of its tasks change together or not at all."""

from dataclasses import replace
from typing import Any, cast

import pytest

from ratchet.contracts.errors import SessionMoved
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS, TOMBSTONE_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import OnConflict, Standing, TaskStatus, WaitingFor
from ratchet.domain.messages import Message
from ratchet.domain.session import Move, Session, Turn
from ratchet.domain.task import History, SessionPlace
from ratchet.ports import Created, IdempotencyClaim
from ratchet.session_ports import SessionStore
from tests.contract.store.benches import Bench, DynamoDbBench
from tests.contract.store.samples import (
    BROKEN,
    DONE,
    START_MS,
    record_of,
    ref_of,
    reopening_of,
    start_of,
    task_of,
)
from tests.contract.store.wire import faults

DUE = START_MS + 60_000
NOW = START_MS + 9
CLAIM = IdempotencyClaim("key", "digest", START_MS // 1000 + 900_000)
HELLO = (Message("user", "Hello."), Message("assistant", "Hi."))


def store(bench: Bench) -> SessionStore:
    return cast("SessionStore", bench.store)


def session(bench: Bench, tenant: str = "acme") -> Session:
    return store(bench).session(tenant, "talk")


def tip(bench: Bench, number: int = 1) -> History:
    found = bench.store.load_tip(ref_of(number))
    assert found is not None
    return found


def submit(bench: Bench, number: int = 1, **options: Any) -> Created:
    tenant = options.get("tenant", "acme")
    before = options.get("before") or session(bench, tenant)
    ref = ref_of(number, tenant)
    after = before.joined(ref.task_id, OnConflict.ENQUEUE, now_ms=NOW)
    task = replace(
        task_of(number, tenant, **options.get("changes", {})),
        session=SessionPlace("talk", after.last_number),
    )
    return store(bench).create_in_session(
        task, claim=options.get("claim"), due_at_ms=DUE, move=Move(before, after)
    )


def take(bench: Bench, number: int = 1) -> bool:
    now, before = tip(bench, number), session(bench)
    pinned = replace(now.task, earlier=before.said_before(now.task.ref.task_id))
    after = before.taken(now_ms=NOW)
    move = Move(before, after, now, Standing.HOLDS, pinned=pinned, due_at_ms=DUE + 5)
    return store(bench).move_session(move)


def leave(bench: Bench, number: int = 1, turn: tuple[Message, ...] = HELLO) -> bool:
    now, before = tip(bench, number), session(bench)
    task_id = now.task.ref.task_id
    after = before.left(task_id, Turn(task_id, turn), now_ms=NOW)
    return store(bench).move_session(Move(before, after, now))


def until(bench: Bench, ms: int) -> None:
    bench.clock.advance((ms - bench.clock.now_ms()) / 1000)


def end(bench: Bench, number: int = 1, following: Any = DONE) -> None:
    bench.store.commit(task_of(number), record_of(1, following), due_at_ms=DUE)


def test_a_session_that_nobody_came_to_is_empty(bench: Bench) -> None:
    assert session(bench) == Session("acme", "talk")
    assert store(bench).session_tasks(session(bench), limit=5).tasks == ()


def test_a_task_joins_its_session_as_it_is_created(bench: Bench) -> None:
    created = submit(bench)
    assert not created.is_replay
    assert created.state.standing is Standing.WAITS
    assert tip(bench).state.standing is Standing.WAITS
    assert tip(bench).task.session == SessionPlace("talk", 1)
    assert session(bench).first == ref_of().task_id
    assert session(bench, "other").version == 0


def test_a_task_is_not_created_in_a_session_that_has_moved(bench: Bench) -> None:
    stale = session(bench)
    submit(bench)
    with pytest.raises(SessionMoved):
        submit(bench, 2, before=stale, claim=CLAIM)
    assert bench.store.load_tip(ref_of(2)) is None
    assert store(bench).created_by("acme", CLAIM) is None
    assert session(bench).open == (ref_of().task_id,)


def test_a_key_joins_once(bench: Bench) -> None:
    submit(bench, claim=CLAIM)
    again = submit(bench, 2, claim=CLAIM)
    assert (again.task.ref, again.is_replay, again.body_sha256) == (ref_of(), True, "digest")
    assert session(bench).open == (ref_of().task_id,)
    known = store(bench).created_by("acme", CLAIM)
    assert known is not None
    assert (known.task.ref, known.body_sha256) == (ref_of(), "digest")
    assert store(bench).created_by("other", CLAIM) is None


def test_who_takes_the_lock_is_marked_pinned_and_due_soon(bench: Bench) -> None:
    submit(bench)
    store(bench).stand_by(ref_of(), due_at_ms=DUE + 99)
    assert tip(bench).state.waiting_for is WaitingFor.SESSION
    assert bench.due() == {ref_of(): DUE + 99}
    assert take(bench)
    state = tip(bench).state
    assert (state.standing, state.waiting_for) == (Standing.HOLDS, None)
    assert (session(bench).holder, session(bench).line) == (ref_of().task_id, ())
    assert tip(bench).task.earlier == ()
    assert bench.due() == {ref_of(): DUE + 5}
    store(bench).stand_by(ref_of(), due_at_ms=DUE + 99)
    assert bench.due() == {ref_of(): DUE + 5}, "a late look"


def test_the_history_is_pinned_with_the_lock(bench: Bench) -> None:
    submit(bench)
    take(bench)
    end(bench)
    assert leave(bench)
    submit(bench, 2)
    take(bench, 2)
    assert tip(bench, 2).task.earlier == HELLO
    assert tip(bench, 2).task.goal == task_of(2).goal


def test_only_the_holder_of_the_lock_is_marked_started(bench: Bench) -> None:
    submit(bench)
    bench.store.mark_started(ref_of(), start_of())
    assert tip(bench).state.status is TaskStatus.QUEUED
    take(bench)
    bench.store.mark_started(ref_of(), start_of())
    assert tip(bench).state.status is TaskStatus.RUNNING
    assert tip(bench).state.standing is Standing.HOLDS


def test_a_stale_look_at_the_session_or_at_the_task_moves_nothing(bench: Bench) -> None:
    submit(bench)
    before, now = session(bench), tip(bench)
    take(bench)
    move = Move(before, before.taken(now_ms=NOW), now, Standing.HOLDS)
    assert not store(bench).move_session(move), "the session has moved"
    fresh = session(bench)
    left = fresh.left(ref_of().task_id, None, now_ms=NOW)
    assert not store(bench).move_session(Move(fresh, left, now)), "the task has moved"
    assert session(bench) == fresh
    gone = replace(now, task=task_of(9))
    assert not store(bench).move_session(Move(fresh, left, gone)), "there is no such task"


def test_a_task_that_was_resumed_keeps_the_lock_that_somebody_would_give_back(bench: Bench) -> None:
    submit(bench)
    take(bench)
    end(bench, following=BROKEN)
    ended, before = tip(bench), session(bench)
    assert bench.store.reopen(ended, reopening_of(ended))
    assert tip(bench).state.standing is Standing.HOLDS
    after = before.left(ref_of().task_id, None, now_ms=NOW)
    assert not store(bench).move_session(Move(before, after, ended))
    assert session(bench).holder == ref_of().task_id


def test_a_task_that_left_and_was_resumed_joins_again(bench: Bench) -> None:
    submit(bench)
    take(bench)
    end(bench, following=BROKEN)
    assert leave(bench)
    assert tip(bench).state.standing is None
    assert bench.store.reopen(tip(bench), reopening_of(tip(bench)))
    before = session(bench)
    after = before.rejoined(ref_of().task_id, now_ms=NOW)
    assert store(bench).move_session(Move(before, after, tip(bench), Standing.WAITS))
    assert tip(bench).state.standing is Standing.WAITS
    assert tip(bench).task.earlier == ()


def test_a_holder_that_is_gone_is_taken_out_alone(bench: Bench) -> None:
    submit(bench)
    take(bench)
    bench.lose_head(ref_of())
    before = session(bench)
    after = before.left(ref_of().task_id, None, now_ms=NOW)
    assert store(bench).move_session(Move(before, after))
    assert session(bench).open == ()


def test_the_tasks_of_a_session_come_newest_first_in_pages(bench: Bench) -> None:
    for number in range(1, 6):
        submit(bench, number)
    submit(bench, 7, tenant="other")
    first = store(bench).session_tasks(session(bench), limit=2)
    second = store(bench).session_tasks(session(bench), limit=2, before=first.before)
    third = store(bench).session_tasks(session(bench), limit=2, before=second.before)
    ids = [[task.task_id for task in page.tasks] for page in (first, second, third)]
    assert ids == [[ref_of(n).task_id for n in ns] for ns in ((5, 4), (3, 2), (1,))]
    assert third.before is None
    [theirs] = store(bench).session_tasks(session(bench, "other"), limit=5).tasks
    assert theirs.task_id == ref_of(7).task_id


def test_a_body_too_large_for_its_item_is_pinned_too(bench: Bench) -> None:
    goal = "".join(f"{n * 2_654_435_761 % 4_294_967_296:08x}" for n in range(12_000))
    submit(bench, changes={"goal": goal})
    assert take(bench)
    assert tip(bench).task.goal == goal
    assert tip(bench).task.earlier == ()


def test_an_ended_task_can_be_erased_before_its_time_and_a_living_one_cannot(bench: Bench) -> None:
    submit(bench)
    submit(bench, 2)
    end(bench)
    assert store(bench).erase_early(ref_of(2)) == 0
    assert store(bench).erase_early(ref_of()) == 3, "head, step and place"
    assert store(bench).erase_early(ref_of()) == 0
    assert bench.store.load_tip(ref_of()) is None
    [left] = store(bench).session_tasks(session(bench), limit=5).tasks
    assert left.task_id == ref_of(2).task_id


def test_a_session_is_deleted_as_it_was_read_or_not_at_all(bench: Bench) -> None:
    submit(bench)
    before = session(bench)
    submit(bench, 2)
    assert not store(bench).erase_session(before)
    assert session(bench).open == (ref_of().task_id, ref_of(2).task_id)
    assert store(bench).erase_session(session(bench))
    assert session(bench).version == 0
    assert store(bench).erase_session(session(bench)), "again, after a lost answer"


def test_nothing_is_left_of_a_session_and_its_tasks(bench: Bench) -> None:
    submit(bench)
    take(bench)
    end(bench)
    leave(bench)
    store(bench).erase_early(ref_of())
    assert store(bench).erase_session(session(bench))
    bench.clock.advance(TOMBSTONE_SECONDS)
    bench.store.erase(ref_of())
    assert bench.is_empty()
    assert bench.payload_keys() == []


def test_what_is_over_is_forgotten_and_its_numbers_are_not(bench: Bench) -> None:
    submit(bench)
    take(bench)
    end(bench)
    leave(bench)
    until(bench, NOW + TERMINAL_RETENTION_SECONDS * 1000)
    over = session(bench)
    assert (over.turns, over.last_number) == ((), 1)
    assert submit(bench, 2).task.session == SessionPlace("talk", 2)


def test_the_retention_of_a_task_takes_its_place_along(bench: Bench) -> None:
    submit(bench)
    take(bench)
    end(bench)
    leave(bench)
    until(bench, START_MS + TERMINAL_RETENTION_SECONDS * 1000 + 99_999)
    assert bench.store.erase(ref_of()) == 3
    assert store(bench).session_tasks(session(bench), limit=5).tasks == ()


def test_what_cannot_be_read_still_says_which_session_it_is_of(bench: Bench) -> None:
    goal = "".join(f"{n * 2_654_435_761 % 4_294_967_296:08x}" for n in range(12_000))
    submit(bench, changes={"goal": goal})
    for key in bench.payload_keys():
        bench.lose_payload(key)
    remains = bench.store.load_remains(ref_of())
    assert remains is not None
    assert remains.task.session == SessionPlace("talk", 1)


@pytest.mark.parametrize("claim", [None, CLAIM], ids=["no key", "key"])
def test_an_answer_that_was_lost_is_found_again(
    dynamodb: DynamoDbBench, claim: IdempotencyClaim | None
) -> None:
    with faults(dynamodb.client, "TransactWriteItems", times=1, applied=True):
        created = submit(dynamodb, claim=claim)
    assert (created.task.ref, created.is_replay) == (ref_of(), False)
    assert session(dynamodb).version == 1


def test_other_tenants_sessions_are_other_sessions(bench: Bench) -> None:
    submit(bench)
    assert session(bench, "other") == Session("other", "talk")
    ref = TaskRef("other", ref_of().task_id)
    assert store(bench).erase_early(ref) == 0
    assert tip(bench).task.ref == ref_of()


def test_the_sessions_of_a_tenant_are_listed_in_pages_without_those_that_are_over(
    bench: Bench,
) -> None:
    assert store(bench).list_sessions("acme", limit=5).sessions == ()
    for tenant, session_id in (("acme", "b"), ("acme", "a"), ("acme", "c"), ("acme-2", "d")):
        before = store(bench).session(tenant, session_id)
        joined = before.joined(f"task_{session_id}", OnConflict.ENQUEUE, now_ms=NOW)
        assert store(bench).move_session(Move(before, joined))
    first = store(bench).list_sessions("acme", limit=2)
    assert [s.session_id for s in first.sessions] == ["a", "b"]
    assert first.sessions[0] == store(bench).session("acme", "a")
    rest = store(bench).list_sessions("acme", limit=2, after=first.after)
    assert ([s.session_id for s in rest.sessions], rest.after) == (["c"], None)
    ended = rest.sessions[0].left("task_c", None, now_ms=NOW)
    assert store(bench).move_session(Move(rest.sessions[0], ended))
    bench.clock.advance((NOW - bench.clock.now_ms()) / 1000 + TERMINAL_RETENTION_SECONDS)
    assert [s.session_id for s in store(bench).list_sessions("acme", limit=9).sessions] == [
        "a",
        "b",
    ]
