"""Sessions through the use cases: history, the lock, the policies, and what deleting takes away."""

import json
from dataclasses import replace

import pytest

from ratchet import Agent, tool
from ratchet.app.session_turn import ABORTED, repaired
from ratchet.contracts.limits import SESSION_LOOK_SECONDS
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import Action, Standing, TaskStatus, UsageBy, WaitingFor
from ratchet.contracts.request_errors import (
    IdempotencyKeyReused,
    InvalidRequest,
    SessionBusy,
    SessionNotFound,
)
from ratchet.contracts.task_api import ForkRequest, TaskRequest
from ratchet.domain.messages import Message, ToolCall
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import says
from tests.unit.shared.app.world import World


@tool(effect="read")
def look(n: int) -> str:
    """Look something up."""
    return f"seen {n}"


DAY_SECONDS = 24 * 3600
TALKER = Agent("talker", "Talk.", policy="react")
LOOKER = Agent("looker", "Look.", tools=[look], policy="react")


def answer(call: ModelCall) -> ModelAnswer:
    """It says how many messages it was told before its goal."""
    told = [m for m in call.prompt.messages if m.role != "system"]
    if call.prompt.tools and call.prompt.tool_choice == "auto":
        number = sum(m.role == "tool" for m in told)
        asked = ToolCall(f"c{number}", "look", json.dumps({"n": number}))
        return ModelAnswer(None, (asked,), "tool_calls", says("x").usage)
    return says(f"told {len(told) - 1}")


@pytest.fixture
def world() -> World:
    return World(TALKER, LOOKER, chat=answer)


def talk(world: World, goal: str = "Hello.", **request: object) -> TaskRef:
    return world.submitted(goal, **{"session_id": "talk", **request})


def finish(world: World, ref: TaskRef) -> str:
    """Run it, announce it; what it answered."""
    ended = world.run(ref)
    world.announce_all(ref)
    return ended.records[-1].result.answer


def rung(world: World) -> list[TaskRef]:
    """Whom the inbox rings for."""
    found = []
    while (bell := world.inbox.receive()) is not None:
        found.append(bell.task)
    return found


def holder(world: World) -> str | None:
    return world.store.session("acme", "talk").holder


def told(world: World, ref: TaskRef) -> list[tuple[str, str]]:
    return [(m.role, m.content or "") for m in world.tip(ref).task.earlier or ()]


def test_a_task_is_told_what_the_earlier_ones_of_its_session_said(world: World) -> None:
    first = finish(world, talk(world, "One."))
    second = finish(world, talk(world, "Two."))
    third = talk(world, "Three.")
    assert finish(world, third) == "told 4"
    assert told(world, third) == [
        ("user", "One."),
        ("assistant", first),
        ("user", "Two."),
        ("assistant", second),
    ]
    assert finish(world, world.submitted("Four.")) == "told 0", "no session, no history"
    assert finish(world, talk(world, session_id="other")) == "told 0"


def test_the_next_prompt_begins_with_the_one_before(world: World) -> None:
    finish(world, talk(world, "One."))
    finish(world, talk(world, "Two."))
    one, two = ([m.to_chat() for m in call.prompt.messages] for call in world.chat.calls)
    assert two[: len(one)] == one


def test_the_next_one_waits_and_is_rung_for_when_the_first_has_ended(world: World) -> None:
    first, second = talk(world, "One."), talk(world, "Two.")
    state = world.first(first)
    world.dispatch(Doorbell(second))
    assert world.tip(second).state.waiting_for is WaitingFor.SESSION
    assert world.tip(second).state.standing is Standing.WAITS
    assert len(world.workflow.executions) == 1
    world.continue_from(state)
    rung(world)
    world.announce_all(first)
    assert rung(world) == [second]
    assert finish(world, second) == "told 2"
    assert world.store.session("acme", "talk").open == ()


def test_a_doorbell_out_of_order_starts_the_first_in_line(world: World) -> None:
    first, second = talk(world), talk(world)
    world.dispatch(Doorbell(second))
    assert holder(world) == first.task_id
    assert world.tip(first).state.status is TaskStatus.RUNNING
    assert world.tip(second).state.waiting_for is WaitingFor.SESSION


def test_a_lock_that_nobody_gave_back_is_found_by_who_waits(world: World) -> None:
    first, second = talk(world), talk(world)
    state = world.first(first)
    world.dispatch(Doorbell(second))
    world.continue_from(state)  # and the deliverer is never heard of again
    assert holder(world) == first.task_id
    world.clock.advance(SESSION_LOOK_SECONDS + 1)
    rung(world)
    world.sweep()
    assert second in rung(world)
    assert finish(world, second) == "told 2"


def test_a_lock_whose_task_is_gone_is_found_too(world: World) -> None:
    first, second = talk(world), talk(world)
    world.first(first)
    world.memory.forget_head(first)
    assert finish(world, second) == "told 0"


def test_reject_names_the_task_that_runs(world: World) -> None:
    first = talk(world)
    world.first(first)
    with pytest.raises(SessionBusy, match="has not ended") as refused:
        talk(world, on_conflict="reject")
    assert refused.value.task_id == first.task_id
    assert world.store.session("acme", "talk").open == (first.task_id,)


def test_reject_does_not_see_a_task_that_has_ended_unannounced(world: World) -> None:
    first = talk(world)
    world.run(first)
    second = talk(world, on_conflict="reject")
    assert finish(world, second) == "told 2"


def test_the_same_key_gets_its_first_answer_also_where_others_are_refused(world: World) -> None:
    request = TaskRequest(goal="Hello.", session_id="talk", on_conflict="reject")
    first, again = (world.submit(request, tenant="acme", idempotency_key="k") for _ in range(2))
    assert (again.task.ref, again.is_replay) == (first.task.ref, True)
    other = request.model_copy(update={"goal": "Bye."})
    with pytest.raises(IdempotencyKeyReused):
        world.submit(other, tenant="acme", idempotency_key="k")


def _interrupted(world: World, policy: str) -> tuple[TaskRef, TaskRef, TaskRef]:
    """A task that has made two steps, one that waits, and one that takes its place."""
    first = talk(world, "Look.", agent="looker")
    waiting = talk(world, "Wait.")
    state = world.first(first)
    for _ in range(2):
        state = world.step(state)
    assert state.action is Action.STEP
    return first, waiting, talk(world, "Stop.", on_conflict=policy)


def test_interrupt_ends_the_running_task_and_keeps_what_it_did(world: World) -> None:
    first, waiting, urgent = _interrupted(world, "interrupt")
    assert world.tip(first).state.status is TaskStatus.CANCELLED
    world.announce_all(first)
    finish(world, urgent)
    kept = told(world, urgent)
    assert kept[0] == ("user", "Look.")
    assert ("tool", "seen 0") in kept
    assert ("tool", "seen 1") in kept
    assert kept[-1][1].startswith("[ratchet:session] The task before ended as cancelled")
    finish(world, waiting)
    assert told(world, waiting)[: len(kept)] == kept


def test_rollback_ends_it_and_keeps_nothing(world: World) -> None:
    first, waiting, urgent = _interrupted(world, "rollback")
    world.announce_all(first)
    assert finish(world, urgent) == "told 0"
    assert finish(world, waiting) == "told 2"
    assert world.tip(first).state.status is TaskStatus.CANCELLED, "it can still be read"


def test_who_interrupts_does_not_depend_on_its_api_call_to_end_the_other(world: World) -> None:
    object.__setattr__(world.submit, "cancel", None)  # it died before that
    first, _, urgent = _interrupted(world, "interrupt")
    assert world.tip(first).state.status is TaskStatus.RUNNING
    finish(world, urgent)
    ended = world.tip(first)
    assert ended.state.status is TaskStatus.CANCELLED
    assert world.store.session("acme", "talk").turns[0].task_id == first.task_id


def test_a_resumed_task_waits_for_its_session_and_is_told_what_it_was_told_before() -> None:
    outcomes = iter([says("x" * 3, finish_reason="content_filter")])
    world = World(TALKER, chat=lambda call: next(outcomes, None) or answer(call))
    first = talk(world, "One.")
    world.run(first)
    assert world.tip(first).state.status is TaskStatus.FAILED
    world.announce_all(first)
    second = talk(world, "Two.")
    running = world.first(second)
    world.resume(first)
    world.dispatch(Doorbell(first, 2))
    assert world.tip(first).state.waiting_for is WaitingFor.SESSION
    world.continue_from(running)
    world.announce_all(second)
    assert world.run(first).state.status is TaskStatus.SUCCEEDED
    assert world.tip(first).task.earlier == ()
    world.announce_all(first)
    turns = world.store.session("acme", "talk").turns
    assert [turn.task_id for turn in turns] == [second.task_id, first.task_id]


def test_a_fork_is_told_the_same_and_is_of_no_session(world: World) -> None:
    finish(world, talk(world, "One."))
    second = talk(world, "Two.")
    finish(world, second)
    fork = world.fork(second, ForkRequest(step=0)).task
    assert fork.session is None
    assert fork.earlier == world.tip(second).task.earlier
    assert len(fork.earlier or ()) == 2


def test_a_step_without_the_lock_does_nothing(world: World) -> None:
    first, second = talk(world), talk(world)
    state = world.first(first)
    stray = world.step(replace(state, task=second))
    assert (stray.action, stray.status) == (Action.FINISH, "queued")
    assert world.steps(second) == ()


def test_a_conflict_needs_a_session(world: World) -> None:
    with pytest.raises(InvalidRequest, match="session_id"):
        world.submitted(on_conflict="reject")


def test_a_dangling_call_is_answered() -> None:
    asked = Message("assistant", None, (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}")))
    known = Message("tool", "seen", (), "a")
    aborted = Message("tool", ABORTED, (), "b")
    last = Message("user", "What now?")
    assert repaired([asked, known]) == [asked, known, aborted]
    assert repaired([asked, known, last, asked]) == [
        asked,
        known,
        aborted,
        last,
        asked,
        Message("tool", ABORTED, (), "a"),
        aborted,
    ]


def test_a_session_is_read_in_pages(world: World) -> None:
    refs = [talk(world, str(n)) for n in range(3)]
    finish(world, refs[0])
    session, page, cursor = world.sessions.read("acme", "talk", limit=2, cursor=None)
    assert [task.task_id for task in page.tasks] == [refs[2].task_id, refs[1].task_id]
    assert session.first == refs[1].task_id
    _, rest, end = world.sessions.read("acme", "talk", limit=2, cursor=cursor)
    assert [task.task_id for task in rest.tasks] == [refs[0].task_id]
    assert end is None
    for bad in ("nonsense", "c2Vzc2lvbl94"):
        with pytest.raises(InvalidRequest, match="next_cursor"):
            world.sessions.read("acme", "talk", limit=2, cursor=bad)


@pytest.mark.parametrize("session_id", ["other", "a#b", "", "x" * 200])
def test_an_unknown_session_is_not_found(world: World, session_id: str) -> None:
    talk(world)
    with pytest.raises(SessionNotFound):
        world.sessions.read("acme", session_id, limit=5, cursor=None)
    with pytest.raises(SessionNotFound):
        world.sessions.delete("acme", session_id)


def test_another_tenants_session_is_not_found_and_not_touched(world: World) -> None:
    ref = talk(world)
    with pytest.raises(SessionNotFound):
        world.sessions.read("globex", "talk", limit=5, cursor=None)
    with pytest.raises(SessionNotFound):
        world.sessions.delete("globex", "talk")
    assert world.store.session("acme", "talk").first == ref.task_id


def test_deleting_takes_all_that_was_said_and_done(world: World) -> None:
    refs = [talk(world, f"Goal {n}.") for n in range(3)]
    for ref in refs:
        finish(world, ref)
    other = talk(world, session_id="other")
    finish(world, other)
    deleted = world.sessions.delete("acme", "talk")
    assert set(deleted.task_ids) == {ref.task_id for ref in refs}
    assert deleted.items > 3 * len(refs)
    assert all(world.store.load_tip(ref) is None for ref in refs)
    with pytest.raises(SessionNotFound):
        world.sessions.read("acme", "talk", limit=5, cursor=None)
    assert world.store.load_tip(other) is not None
    assert finish(world, talk(world)) == "told 0", "the id begins a new session"


def test_what_an_erased_task_said_is_not_told_by_a_session_that_is_still_in_use(
    world: World,
) -> None:
    finish(world, talk(world, "I am Ann.", user_id="ann"))
    world.clock.advance(20 * DAY_SECONDS)
    assert finish(world, talk(world, "I am Bob.", user_id="bob")) == "told 2"
    world.clock.advance(10 * DAY_SECONDS)
    done = world.erase_user("acme", "ann")
    assert (done.is_complete, done.task_ids) == (True, ()), "its retention is over"
    last = talk(world, "Who are we?", user_id="bob")
    assert finish(world, last) == "told 2"
    assert told(world, last)[0] == ("user", "I am Bob.")
    kept = world.store.session("acme", "talk").turns
    assert [turn.task_id for turn in kept][1:] == [last.task_id]


def test_a_session_in_use_is_not_deleted(world: World) -> None:
    first = talk(world)
    world.first(first)
    with pytest.raises(SessionBusy, match="cancel first") as refused:
        world.sessions.delete("acme", "talk")
    assert refused.value.task_id == first.task_id
    world.cancel(first)
    assert world.sessions.delete("acme", "talk").task_ids == (first.task_id,)


def test_usage_is_told_by_session_and_what_is_left_is_without_one(world: World) -> None:
    refs = [talk(world), talk(world), world.submitted("Alone.")]
    for ref in refs:
        finish(world, ref)
    report = world.usage("acme", first_day=None, last_day=None, by=UsageBy.SESSION)
    groups = {name: amounts.steps for name, amounts in report.groups}
    assert groups == {"talk": 2, "": 1}
    total = world.usage("acme", first_day=None, last_day=None, by=UsageBy.DAY).total
    assert report.total == total
