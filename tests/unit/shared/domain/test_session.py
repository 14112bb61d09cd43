"""The session as a value: who joins, who is next, what stays in the history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.contracts.limits import MAX_SESSION_LINE, TERMINAL_RETENTION_SECONDS
from ratchet.contracts.names import OnConflict
from ratchet.contracts.request_errors import SessionBusy
from ratchet.domain.messages import Message
from ratchet.domain.session import (
    HISTORY_BYTES,
    TURN_BYTES,
    Session,
    Turn,
    fitting,
    shortened,
)
from ratchet.domain.session_codec import decode_session, encode_session

EMPTY = Session("acme", "talk")
ENQUEUE, REJECT = OnConflict.ENQUEUE, OnConflict.REJECT
INTERRUPT, ROLLBACK = OnConflict.INTERRUPT, OnConflict.ROLLBACK


def joined(session: Session, *tasks: str, policy: OnConflict = ENQUEUE) -> Session:
    for task in tasks:
        session = session.joined(task, policy, now_ms=7)
    return session


def turn(task: str, goal: str = "Hello.", answer: str = "Hi.") -> Turn:
    return Turn(task, (Message("user", goal), Message("assistant", answer)))


def test_tasks_take_the_lock_in_the_order_in_which_they_came() -> None:
    session, order = joined(EMPTY, "a", "b", "c"), []
    while session.line:
        session = session.taken(now_ms=8)
        order.append(session.holder)
        session = session.left(session.holder or "", None, now_ms=9)
    assert order == ["a", "b", "c"]
    assert session.open == ()
    assert session.last_number == 3


def test_one_that_interrupts_goes_before_those_that_wait_and_after_those_that_interrupted() -> None:
    session = joined(joined(EMPTY, "a").taken(now_ms=8), "b", "c")
    session = joined(joined(session, "d", policy=INTERRUPT), "e", policy=ROLLBACK)
    assert session.open == ("a", "d", "e", "b", "c")
    assert session.ending is ROLLBACK
    assert joined(session, "f", policy=INTERRUPT).ending is ROLLBACK, "the stronger one stands"


def test_nobody_is_ended_where_nobody_runs() -> None:
    session = joined(joined(EMPTY, "a"), "b", policy=ROLLBACK)
    assert (session.ending, session.first) == (None, "b")


def test_a_busy_session_is_refused_to_who_may_not_wait() -> None:
    assert joined(EMPTY, "a", policy=REJECT).first == "a"
    with pytest.raises(SessionBusy, match="a of session talk has not ended") as refused:
        joined(joined(EMPTY, "a").taken(now_ms=8), "b", policy=REJECT)
    assert refused.value.task_id == "a"


def test_a_line_is_bounded() -> None:
    full = joined(EMPTY, *(f"t{n}" for n in range(MAX_SESSION_LINE)))
    with pytest.raises(SessionBusy, match="100 tasks wait"):
        joined(full, "one more")


def test_the_lock_is_given_once() -> None:
    with pytest.raises(ValueError, match="a holds the lock"):
        joined(EMPTY, "a", "b").taken(now_ms=8).taken(now_ms=8)


def test_what_is_rolled_back_leaves_nothing_and_what_is_interrupted_its_turn() -> None:
    running = joined(EMPTY, "a").taken(now_ms=8)
    for policy, kept in ((ROLLBACK, ()), (INTERRUPT, (turn("a"),))):
        session = joined(running, "b", policy=policy).left("a", turn("a"), now_ms=9)
        assert session.turns == kept
        assert (session.holder, session.ending, session.first) == (None, None, "b")


def test_only_the_holder_is_rolled_back() -> None:
    session = joined(joined(EMPTY, "a").taken(now_ms=8), "b")
    session = joined(session, "c", policy=ROLLBACK).left("b", turn("b"), now_ms=9)
    assert session.turns == (turn("b"),)
    assert session.ending is ROLLBACK


def test_a_task_that_ends_again_has_one_turn_and_is_not_told_its_own() -> None:
    session = joined(EMPTY, "a").taken(now_ms=8).left("a", turn("a"), now_ms=9)
    session = joined(session, "b").taken(now_ms=8).left("b", turn("b"), now_ms=9)
    session = session.rejoined("a", now_ms=10).taken(now_ms=10)
    assert session.said_before("a") == turn("b").messages
    again = session.left("a", turn("a", answer="Later."), now_ms=11)
    assert again.turns == (turn("b"), turn("a", answer="Later."))


def test_the_oldest_fall_out_whole() -> None:
    long = [turn(f"t{n}", answer="x" * (HISTORY_BYTES // 4)) for n in range(5)]
    kept = fitting(long)
    assert kept == tuple(long[-3:])
    assert sum(t.size for t in kept) <= HISTORY_BYTES


@given(
    st.lists(
        st.tuples(st.sampled_from(["user", "assistant"]), st.text(max_size=20_000)), min_size=1
    )
)
def test_no_turn_is_longer_than_its_share(said: list[tuple[str, str]]) -> None:
    messages = tuple(Message(role, text) for role, text in said)  # type: ignore[arg-type]
    short = shortened(Turn("t", messages))
    assert short.size <= TURN_BYTES
    if Turn("t", messages).size <= TURN_BYTES:
        assert short.messages == messages


def test_a_turn_that_is_too_long_is_told_by_its_goal_and_its_last_words() -> None:
    messages = [Message("user", "Count."), *(Message("assistant", "1 " * 4_000) for _ in range(4))]
    short = shortened(Turn("t", (*messages, Message("assistant", "é" * 9_000))))
    first, last = short.messages
    assert first == messages[0]
    assert (last.content or "").endswith("é [cut]")


def test_a_session_ends_when_its_last_task_is_erased() -> None:
    session = joined(EMPTY, "a")
    later = TERMINAL_RETENTION_SECONDS * 1000 + 7
    assert not session.is_over(now_ms=later), "somebody waits"
    session = session.taken(now_ms=7).left("a", turn("a"), now_ms=7)
    assert not session.is_over(now_ms=later - 1)
    over = session.at(now_ms=later)
    assert (over.turns, over.version, over.last_number) == ((), session.version, 1)


def test_turns_of_a_release_that_kept_no_times_stay_until_the_session_ends() -> None:
    session = joined(EMPTY, "b").left("a", turn("a"), now_ms=7)
    body = encode_session(session)
    read = decode_session(body, tenant="acme", session_id="talk", version=session.version)
    assert read.at(now_ms=TERMINAL_RETENTION_SECONDS * 5000).turns == (turn("a"),)


@given(st.text(), st.sampled_from([None, *OnConflict]), st.booleans())
def test_what_is_written_is_read_again(
    text: str, ending: OnConflict | None, untrusted: bool
) -> None:
    said = Message("user", text.encode("utf-8", "replace").decode())
    turns = (Turn("z", (said,), untrusted, ended_at_ms=5), turn("y"))
    session = Session("acme", "talk", 3, 2, "a", ending, joined(EMPTY, "b").line, turns, 9)
    body = encode_session(session)
    assert decode_session(body, tenant="acme", session_id="talk", version=3) == session
