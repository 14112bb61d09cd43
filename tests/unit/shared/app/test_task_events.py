"""The timeline as events: complete, in order, each once, whatever the size of the pages."""

import json
from collections.abc import Callable

import pytest

from ratchet import Agent
from ratchet.app.task_views import timeline_view
from ratchet.contracts.errors import DataMissing
from ratchet.contracts.event_api import TaskEventView
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.contracts.request_errors import InvalidRequest, TaskNotFound
from ratchet.contracts.task_api import LimitsRequest, ResumeRequest
from ratchet.domain.task import History
from ratchet.testing.chat import says
from tests.unit.shared.app.test_approvals import APPROVE, LOOK, PAY, REJECT, Shop
from tests.unit.shared.app.test_budget_warning import ended, spends
from tests.unit.shared.app.world import World

Story = Callable[[], tuple[World, TaskRef]]


def paid() -> tuple[World, TaskRef]:
    """One call is rejected, another is approved and made."""
    shop = Shop(PAY, LOOK, PAY.__class__("c3", "pay", '{"to": "eve", "amount": 5}'))
    ref = shop.asked()
    shop.world.announce_all(ref)
    shop.decide(ref, 0, APPROVE)
    shop.decide(ref, 0, REJECT)
    shop.world.continue_from(shop.world.first(ref))
    shop.world.announce_all(ref)
    return shop.world, ref


def spent() -> tuple[World, TaskRef]:
    """The budget is spent, and raised; then the task is cancelled."""
    world = spends(0.01)
    ref = ended(world)
    world.resume(ref, ResumeRequest(limits=LimitsRequest(max_cost_usd=0.01)))
    world.cancel(ref)
    world.announce_all(ref)
    return world, ref


def succeeded() -> tuple[World, TaskRef]:
    world = World(Agent("one", "", policy="react"), chat=lambda _: says("Done."))
    ref = world.submitted(metadata={"order": "A-1"}, session_id="talk")
    world.run(ref)
    world.announce_all(ref)
    return world, ref


def read(
    world: World, ref: TaskRef, *, limit: int = 100, after: str | None = None
) -> list[TaskEventView]:
    found: list[TaskEventView] = []
    while True:
        page = world.events(ref, after=after, limit=limit)
        assert len(page.events) <= limit
        found += page.events
        after = page.next_cursor
        if not page.events:
            return found


def test_a_task_is_created_makes_steps_and_ends() -> None:
    world, ref = succeeded()
    created, step, end = read(world, ref)
    assert (created.type, step.type, end.type) == (
        "task.created",
        "step.completed",
        "task.succeeded",
    )
    assert created.data["metadata"] == {"order": "A-1"}
    assert created.data["session_id"] == "talk"
    assert end.data["result"] == "Done."
    shown = timeline_view(world.read.timeline(ref)).steps[0].model_dump(mode="json")
    assert step.data == {k: v for k, v in shown.items() if k != "complexity_source"}


def test_questions_decisions_and_the_calls_that_follow_are_told() -> None:
    world, ref = paid()
    events = read(world, ref)
    assert [event.type for event in events] == [
        *("task.created", "step.completed", "interrupt.requested"),
        *("interrupt.decided", "interrupt.requested", "interrupt.decided"),
        *("step.completed", "step.completed", "task.succeeded"),
    ]
    decided = [event.data for event in events if event.type == "interrupt.decided"]
    assert [(d["answer"], d["reason"], d["decided_by"]) for d in decided] == [
        ("approve", None, "key:acme"),
        ("reject", "too much", "key:acme"),
    ]
    assert [len(e.data["interrupts"]) for e in events if e.type == "interrupt.requested"] == [2, 1]


def test_warnings_every_end_and_a_resumption_are_told() -> None:
    world, ref = spent()
    kinds = [e.type for e in read(world, ref) if e.type != "step.completed"]
    assert kinds == [
        *("task.created", "budget.warning", "budget.warning", "budget.warning"),
        *("task.budget_exceeded", "task.resumed", "task.cancelled"),
    ]


@pytest.mark.parametrize("story", [paid, spent, succeeded])
def test_what_was_announced_is_among_the_events_with_its_id_and_data(story: Story) -> None:
    world, ref = story()
    told = {event.id: event for event in read(world, ref)}
    assert len(world.sns.delivered) >= 1
    for announced in world.sns.delivered:
        body = json.loads(announced.body)
        event = told[announced.id]
        assert (event.type, event.timestamp, event.data) == (
            body["type"],
            body["timestamp"],
            body["data"],
        )


@pytest.mark.parametrize("story", [paid, spent, succeeded])
def test_every_step_of_the_timeline_is_one_event(story: Story) -> None:
    world, ref = story()
    numbers = [e.data["number"] for e in read(world, ref) if e.type == "step.completed"]
    assert numbers == [s.number for s in timeline_view(world.read.timeline(ref)).steps]


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("story", [paid, spent])
def test_pages_of_any_size_hold_each_event_once(story: Story, limit: int) -> None:
    world, ref = story()
    whole = read(world, ref)
    assert read(world, ref, limit=limit) == whole
    assert len({event.id for event in whole}) == len(whole)


@pytest.mark.parametrize("story", [paid, spent])
def test_every_event_can_be_gone_on_from(story: Story) -> None:
    world, ref = story()
    whole = read(world, ref)
    after: str | None = None
    for seen in range(len(whole)):
        assert read(world, ref, after=after) == whole[seen:]
        after = world.events(ref, after=after, limit=1).next_cursor


def test_a_reader_who_waits_is_answered_when_something_happens() -> None:
    shop = Shop()
    ref = shop.asked()
    after = world_end(shop.world, ref)
    began = shop.world.clock.monotonic()
    sleep, slept = shop.world.clock.sleep, []

    def decide_meanwhile(seconds: float) -> None:
        sleep(seconds)
        slept.append(seconds)
        if len(slept) == 3:
            shop.world.decide(
                ref, shop.open(ref)[0].id, DecisionRequest(decision="approve"), by="x"
            )

    shop.world.clock.sleep = decide_meanwhile  # type: ignore[method-assign]
    page = shop.world.events(ref, after=after, limit=10, wait_seconds=25)
    assert [event.type for event in page.events] == ["interrupt.decided"]
    assert shop.world.clock.monotonic() - began < 2


def world_end(world: World, ref: TaskRef) -> str:
    return world.events(ref, after=None, limit=100).next_cursor


def test_a_reader_who_waits_in_vain_gets_the_same_cursor_again() -> None:
    shop = Shop()
    ref = shop.asked()
    after = world_end(shop.world, ref)
    began = shop.world.clock.monotonic()
    page = shop.world.events(ref, after=after, limit=10, wait_seconds=1_000)
    assert (page.events, page.next_cursor, page.status) == ([], after, TaskStatus.INPUT_REQUIRED)
    assert shop.world.clock.monotonic() - began == pytest.approx(25)


def test_nobody_waits_for_a_task_that_has_ended() -> None:
    world, ref = succeeded()
    began = world.clock.monotonic()
    page = world.events(ref, after=world_end(world, ref), limit=10, wait_seconds=25)
    assert (page.events, page.status) == ([], TaskStatus.SUCCEEDED)
    assert world.clock.monotonic() == began


def test_a_tail_reads_the_new_steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world, ref = spent()
    after, last = world_end(world, ref), len(world.steps(ref))
    loaded: list[int] = []
    load = world.memory.load

    def watched(ref: TaskRef, *, after: int = 0) -> History | None:
        loaded.append(after)
        return load(ref, after=after)

    monkeypatch.setattr(world.memory, "load", watched)
    world.events(ref, after=after, limit=10)
    assert loaded == [last - 2]


def test_a_cursor_is_good_for_its_task_alone() -> None:
    world, ref = succeeded()
    other = world.submitted()
    with pytest.raises(InvalidRequest, match="next_cursor"):
        world.events(other, after=world_end(world, ref), limit=10)


@pytest.mark.parametrize("task_id", ["task_01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense", "../x"])
def test_an_unknown_task_has_no_events(task_id: str) -> None:
    world, _ = succeeded()
    with pytest.raises(TaskNotFound):
        world.events(TaskRef("acme", task_id), after=None, limit=10)


def test_a_foreign_task_has_no_events() -> None:
    world, ref = succeeded()
    with pytest.raises(TaskNotFound):
        world.events(TaskRef("globex", ref.task_id), after=None, limit=10)


def test_a_task_whose_steps_are_gone_says_so() -> None:
    world, ref = paid()
    del world.memory._partitions[f"TENANT#acme#TASK#{ref.task_id}"].steps[1]
    with pytest.raises(DataMissing):
        world.events(ref, after=None, limit=10)


@pytest.mark.parametrize("story", [paid, spent, succeeded])
def test_what_is_sent_is_read_too_and_steps_are_only_read(story: Story) -> None:
    world, ref = story()
    sent = {event.type for event in world.sns.delivered}
    told = {event.type for event in read(world, ref)}
    assert sent <= told
    assert {"task.created", "step.completed"} <= told - sent
