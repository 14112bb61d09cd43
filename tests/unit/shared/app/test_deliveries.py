"""Receivers that ask for time, want no more, or get an announcement again."""

import pytest

from ratchet import Agent
from ratchet.contracts.errors import DeliveryFailed, ReceiverGone, StoreUnavailable
from ratchet.contracts.limits import WEBHOOK_GONE_SECONDS
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.request_errors import (
    DeliveryNotFound,
    InvalidRequest,
    NothingToDeliver,
    TaskNotFound,
)
from ratchet.delivery_log import Delivery, DeliveryAttempt
from ratchet.domain.identifiers import delivery_id, delivery_of, event_type
from ratchet.testing.chat import says
from tests.unit.shared.app.world import World

AGENT = Agent("support", "Help.", policy="react")
HOOK = "https://example.com/hook"


@pytest.fixture
def world() -> World:
    return World(AGENT, chat=lambda _: says("Done."))


def ended(world: World, url: str = HOOK) -> TaskRef:
    ref = world.submitted(webhook={"url": url})
    world.run(ref)
    return ref


def webhook_of(world: World, ref: TaskRef) -> Delivery:
    (found,) = [d for d in world.deliveries.of_task(ref) if d.channel == "webhook"]
    return found


def id_of(delivery: Delivery) -> str:
    return delivery_id(delivery.event_id, delivery.channel)


def ring(world: World) -> None:
    """The outbox is emptied, as the queue would."""
    while (bell := world.outbox.receive()) is not None:
        world.announce(bell)


def tries(world: World) -> int:
    return len(world.webhook.attempts)


def test_a_receiver_is_not_asked_again_before_the_time_it_named(world: World) -> None:
    ref = ended(world)
    world.webhook.fail_with(DeliveryFailed("503", 7_200.0))
    world.announce(Doorbell(ref))
    world.clock.advance(7_199)
    world.announce(Doorbell(ref))
    assert tries(world) == 1
    assert world.sweep().tasks == 0, "nor is the task looked at"
    world.clock.advance(1)
    assert world.sweep().tasks == 1
    ring(world)
    assert tries(world) == 2
    assert webhook_of(world, ref).state.ok


def test_a_wish_to_be_asked_sooner_than_the_schedule_is_not_followed(world: World) -> None:
    ref = ended(world)
    world.webhook.fail_with(DeliveryFailed("503", 1.0))
    world.announce(Doorbell(ref))
    world.clock.advance(2)
    world.announce(Doorbell(ref))
    assert tries(world) == 1


def test_a_receiver_that_is_gone_is_sent_nothing_more_of_any_task(world: World) -> None:
    first, second, elsewhere = ended(world), ended(world), ended(world, HOOK + "2")
    world.webhook.fail_with(ReceiverGone("the receiver answered 410 Gone"))
    for ref in (first, second, elsewhere):
        world.announce(Doorbell(ref))
    assert [a.target for a in world.webhook.attempts] == [HOOK, HOOK + "2"]
    one, two = webhook_of(world, first), webhook_of(world, second)
    assert one.state.is_dead
    assert two.state.is_dead
    assert "410 Gone" in one.attempts[0].detail
    assert one.attempts[0].detail.endswith("sending this delivery again enables it")
    assert two.attempts[0].detail.startswith("not sent: ")
    page, _ = world.deliveries.dead("acme", limit=10, cursor=None)
    assert {d.task_id for d in page.deliveries} == {first.task_id, second.task_id}
    assert world.due(before_days=29) == set()


def test_after_a_month_a_receiver_that_was_gone_is_asked_again(world: World) -> None:
    world.webhook.fail_with(ReceiverGone("410"))
    world.announce(Doorbell(ended(world)))
    world.clock.advance(WEBHOOK_GONE_SECONDS + 1)
    ref = ended(world)
    world.announce(Doorbell(ref))
    assert webhook_of(world, ref).state.ok


def test_sending_a_delivery_again_enables_its_receiver(world: World) -> None:
    ref = ended(world)
    world.webhook.fail_with(ReceiverGone("410"))
    world.announce(Doorbell(ref))
    sent = world.deliveries.redeliver(ref, id_of(webhook_of(world, ref)))
    assert (sent.state.is_dead, sent.state.tries, sent.state.earlier_tries) == (False, 0, 1)
    ring(world)
    assert webhook_of(world, ref).state.ok
    assert len({(a.event.id, a.event.body) for a in world.webhook.attempts}) == 1
    other = ended(world)
    world.announce(Doorbell(other))
    assert webhook_of(world, other).state.ok


def test_what_has_arrived_can_be_sent_again_and_the_other_channel_is_left_alone(
    world: World,
) -> None:
    ref = ended(world)
    world.announce(Doorbell(ref))
    world.deliveries.redeliver(ref, id_of(webhook_of(world, ref)))
    ring(world)
    ring(world)
    assert (tries(world), len(world.sns.attempts)) == (2, 1)


def test_what_is_sent_again_has_ten_tries_to_go(world: World) -> None:
    ref = ended(world)
    world.webhook.fail(99)
    world.announce(Doorbell(ref))
    for expected in (10, 20):
        while not webhook_of(world, ref).state.is_dead:
            world.clock.advance(600)
            world.sweep()
            ring(world)
        assert tries(world) == expected
        world.deliveries.redeliver(ref, id_of(webhook_of(world, ref)))
        ring(world)
    assert tries(world) == 21
    assert len(webhook_of(world, ref).attempts) == 20


def test_a_lost_doorbell_of_a_redelivery_is_rung_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = ended(world)
    world.announce(Doorbell(ref))

    def refuse(_: Doorbell) -> None:
        raise StoreUnavailable("SQS is down")

    with monkeypatch.context() as patch:
        patch.setattr(world.outbox, "send", refuse)
        with pytest.raises(StoreUnavailable):
            world.deliveries.redeliver(ref, id_of(webhook_of(world, ref)))
    world.clock.advance(61)
    assert world.sweep().tasks == 1
    ring(world)
    assert tries(world) == 2


def test_the_last_try_that_nobody_could_say_was_the_last_is_listed_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = ended(world)
    world.webhook.fail(99)
    world.announce(Doorbell(ref))
    give_up = world.store.give_up_delivery
    crashes = [StoreUnavailable("crashed"), None]

    def crash_once(*args: object, **kwargs: object) -> bool:
        error = crashes.pop(0) if crashes else None
        if error is not None:
            raise error
        return give_up(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(world.store, "give_up_delivery", crash_once)
    while tries(world) < 10:
        world.clock.advance(100_000)
        if tries(world) == 9:
            with pytest.raises(StoreUnavailable):
                world.announce(Doorbell(ref))
        else:
            world.announce(Doorbell(ref))
    assert not webhook_of(world, ref).state.is_dead
    world.announce(Doorbell(ref))  # the message comes back
    assert webhook_of(world, ref).state.is_dead
    assert tries(world) == 10


def test_before_the_first_try_a_delivery_is_pending(world: World) -> None:
    ref = ended(world)
    assert [(d.channel, d.state.tries) for d in world.deliveries.of_task(ref)] == [
        ("sns", 0),
        ("webhook", 0),
    ]
    world.deliveries.redeliver(ref, id_of(webhook_of(world, ref)))
    ring(world)
    assert tries(world) == 1


def test_a_task_that_runs_has_nothing_to_announce(world: World) -> None:
    assert list(world.deliveries.of_task(world.submitted(webhook={"url": HOOK}))) == []


@pytest.mark.parametrize("id_", ["", "nonsense", "evt_1_2_task_succeeded.webhook", "a.b"])
def test_an_unknown_delivery_or_task_is_not_found(world: World, id_: str) -> None:
    ref = ended(world)
    with pytest.raises(DeliveryNotFound, match="lists them"):
        world.deliveries.redeliver(ref, id_)
    for stranger in (TaskRef("globex", ref.task_id), TaskRef("acme", "nonsense")):
        with pytest.raises(TaskNotFound):
            world.deliveries.redeliver(stranger, id_of(webhook_of(world, ref)))
        with pytest.raises(TaskNotFound):
            world.deliveries.of_task(stranger)


def test_a_foreign_event_of_the_same_shape_is_not_found(world: World) -> None:
    ref, other = ended(world), ended(world)
    with pytest.raises(DeliveryNotFound):
        world.deliveries.redeliver(ref, id_of(webhook_of(world, other)))


def test_a_question_that_was_answered_is_not_asked_again(world: World) -> None:
    ref = ended(world)
    (sns, _) = world.deliveries.of_task(ref)
    asked = sns.event_id.replace("task_succeeded", "interrupt_requested")
    world.store.record_delivery(ref, DeliveryAttempt(asked, "sns", True, 1, "200"))
    with pytest.raises(NothingToDeliver):
        world.deliveries.redeliver(ref, delivery_id(asked, "sns"))


@pytest.mark.parametrize("cursor", ["nonsense", "", "????", "VEVOQU5UI2FjbWU"])
def test_a_cursor_that_is_not_ours_is_refused(world: World, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="next_cursor"):
        world.deliveries.dead("acme", limit=5, cursor=cursor)


def test_dead_deliveries_are_read_page_by_page(world: World) -> None:
    refs = [ended(world) for _ in range(3)]
    world.webhook.fail_with(ReceiverGone("410"))
    for ref in refs:
        world.announce(Doorbell(ref))
    found, cursor, pages = [], None, 0
    while cursor is not None or not pages:
        page, cursor = world.deliveries.dead("acme", limit=1, cursor=cursor)
        found += [d.task_id for d in page.deliveries]
        pages += 1
    assert found == [ref.task_id for ref in reversed(refs)]
    assert pages == 3


@pytest.mark.parametrize("type_", ["task.succeeded", "task.timed_out", "interrupt.requested"])
def test_ids_tell_what_they_stand_for(type_: str) -> None:
    event = f"evt_01ARZ3NDEKTSV4RRFFQ69G5FAV_12_{type_.replace('.', '_')}"
    assert event_type(event) == type_
    assert delivery_of(delivery_id(event, "webhook")) == (event, "webhook")


def test_a_warning_is_a_warning_whatever_its_share() -> None:
    assert event_type("evt_01ARZ3NDEKTSV4RRFFQ69G5FAV_12_budget_warning_80") == "budget.warning"
