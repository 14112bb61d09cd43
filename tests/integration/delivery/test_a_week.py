"""A week of announcements on a virtual clock: each is delivered, or visibly dead, and nothing is in between."""

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

import pytest
from standardwebhooks import Webhook

from ratchet import Agent
from ratchet.adapters.webhook import WebhookAnnouncer
from ratchet.app.announce_task import AnnounceTask
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import (
    DELIVERY_DELAYS_SECONDS,
    DELIVERY_JITTER_PERCENT,
    MAX_RETRY_AFTER_SECONDS,
)
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.delivery_log import Delivery
from ratchet.domain.delivery import MAX_TRIES
from ratchet.domain.webhook_keys import WebhookKeys
from ratchet.testing.chat import says
from ratchet.webhooks import verify
from tests.integration.delivery.receivers import (
    DELIVERING,
    PUBLIC,
    Internet,
    Receiver,
    receivers,
)
from tests.unit.shared.app.world import World

SECRET = "a root key of the deployment ......"
WEEK_SECONDS = 7 * 24 * 3600
TASKS_A_RECEIVER = 3
SUBMITTED_WITHIN_SECONDS = 24 * 3600
LOOKS_EVERY_SECONDS = 60  # the sweeper
STALE_SECONDS = 20  # a look, and receivers that take the whole deadline before this one's turn


class Week:
    """A world whose webhooks go to receivers of every kind, and whose deliverer crashes now and then."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        agent = Agent("support", "Help.", policy="react")
        self.world = World(agent, chat=lambda _: says("Done."))
        self.clock = self.world.clock
        self.receivers = receivers(self.clock.now_ms())
        self.internet = Internet(self.clock, self.receivers)
        webhook = WebhookAnnouncer(lambda: SECRET, self.clock, network=self.internet.network())
        self.announce = AnnounceTask(self.world.store, (self.world.sns, webhook), self.clock)
        self.tasks: dict[TaskRef, Receiver] = {}
        self.crashes = 0

    def play(self) -> None:
        start = self.clock.monotonic()
        plan = sorted(
            (self.random.uniform(0, SUBMITTED_WITHIN_SECONDS), number)
            for number in range(TASKS_A_RECEIVER * len(self.receivers))
        )
        while self.clock.monotonic() - start < WEEK_SECONDS:
            while plan and self.clock.monotonic() - start >= plan[0][0]:
                self._submit(self.receivers[plan.pop(0)[1] % len(self.receivers)])
            self.world.sweep()
            self._ring()
            self.clock.advance(LOOKS_EVERY_SECONDS)
        assert not plan

    def _submit(self, receiver: Receiver) -> None:
        ref = self.world.submitted(webhook={"url": receiver.url})
        self.world.run(ref)
        self.tasks[ref] = receiver
        if self.random.random() < 0.5:  # else the doorbell is lost, and the sweeper rings
            self.world.outbox.send(Doorbell(ref))
        if self.random.random() < 0.2:
            self.world.sns.fail(self.random.randint(1, 3), reason="SNS throttles")

    def _ring(self) -> None:
        while (bell := self.world.outbox.receive()) is not None:
            with self._crashing():
                self.announce(bell)

    def _crashing(self) -> "Crash":
        happens = self.random.random() < 0.05
        self.crashes += happens
        return Crash(self.world, happens=happens)


class Crash:
    """The deliverer may die before it can say what it did last; its message comes back with the next sweep."""

    def __init__(self, world: World, *, happens: bool) -> None:
        self._patch = pytest.MonkeyPatch()
        self._world, self._happens = world, happens

    def __enter__(self) -> None:
        if self._happens:
            self._patch.setattr(self._world.store, "due_again", _die)

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        self._patch.undo()
        return isinstance(error, StoreUnavailable)


def _die(*_: object, **__: object) -> None:
    raise StoreUnavailable("crashed")


@pytest.fixture(scope="module", params=[1, 2])
def week(request: pytest.FixtureRequest) -> Week:
    seed: int = request.param
    print(f"seed {seed}")  # noqa: T201 - shown when a test of it fails
    week = Week(seed)
    week.play()
    return week


def webhook_of(week: Week, ref: TaskRef) -> Delivery:
    (found,) = [d for d in week.world.deliveries.of_task(ref) if d.channel == "webhook"]
    return found


def test_every_announcement_is_delivered_or_visibly_dead(week: Week) -> None:
    page, _ = week.world.deliveries.dead("acme", limit=1_000, cursor=None)
    listed = {(d.task_id, d.event_id, d.channel) for d in page.deliveries}
    ends: Counter[str] = Counter()
    for ref in week.tasks:
        for delivery in week.world.deliveries.of_task(ref):
            state = delivery.state
            assert state.ok != state.is_dead, (week.tasks[ref].name, delivery)
            place = (ref.task_id, delivery.event_id, delivery.channel)
            assert state.is_dead == (place in listed)
            ends["dead" if state.is_dead else "delivered"] += 1
    total = TASKS_A_RECEIVER * len(week.receivers)
    assert sum(ends.values()) == 2 * total, "each goes two ways"
    print(f"{total} tasks, {dict(ends)}, {week.crashes} crashes")  # noqa: T201 - as above
    assert week.crashes > 0
    assert ends["dead"] > 0


def test_the_kind_of_receiver_decides_which(week: Week) -> None:
    for ref, receiver in week.tasks.items():
        if receiver.name in {"flapping", "last-minute", "too-late", "throttling", "busy-until"}:
            continue  # its failures were met by the first of its tasks
        expected = receiver.name in DELIVERING
        assert webhook_of(week, ref).state.ok == expected, receiver.name
    for receiver in week.receivers:
        oks = {webhook_of(week, r).state.ok for r, to in week.tasks.items() if to is receiver}
        assert (True in oks) == (receiver.name in DELIVERING | {"too-late"}), receiver.name


def test_a_delivery_is_tried_at_most_ten_times_and_on_schedule(week: Week) -> None:
    for ref, receiver in week.tasks.items():
        delivery = webhook_of(week, ref)
        assert len(delivery.attempts) == delivery.state.tries <= MAX_TRIES
        asks_for_time = receiver.name in {"throttling", "busy-until", "greedy"}
        pauses = [
            (after.at_ms - before.at_ms) / 1000
            for before, after in itertools.pairwise(delivery.attempts)
        ]
        for pause, wanted in zip(pauses, DELIVERY_DELAYS_SECONDS, strict=False):
            longest = wanted * (1 + DELIVERY_JITTER_PERCENT / 100)
            if asks_for_time:
                longest = max(longest, MAX_RETRY_AFTER_SECONDS)
            late = len(week.receivers) * STALE_SECONDS + LOOKS_EVERY_SECONDS
            assert wanted <= pause <= longest + late, (receiver.name, pauses)


def test_no_pause_is_shorter_than_the_receiver_asked_for(week: Week) -> None:
    for ref, receiver in week.tasks.items():
        wished = {"throttling": 4_000, "busy-until": 7_200, "greedy": MAX_RETRY_AFTER_SECONDS}
        if receiver.name not in wished:
            continue
        attempts = webhook_of(week, ref).attempts
        for before, after in itertools.pairwise(attempts):
            assert after.at_ms - before.at_ms >= (wished[receiver.name] - 1) * 1000


def test_all_tries_have_the_same_id_and_bytes_and_verify_with_two_libraries(week: Week) -> None:
    sent = 0
    for receiver in week.receivers:
        (secret,) = WebhookKeys.parse(SECRET).secrets("acme", receiver.url, now_ms=0)
        bodies: dict[str, set[bytes]] = {}
        for request, at_ms in zip(receiver.requests, receiver.at_ms, strict=True):
            bodies.setdefault(request.headers["webhook-id"], set()).add(request.body)
            moment = datetime.fromtimestamp(at_ms / 1000, UTC)
            event = verify(request.body, request.headers, secret, now=moment)
            assert event == json.loads(request.body)
            _library_agrees(request.headers, request.body, secret)
            sent += 1
        tasks = [ref for ref, to in week.tasks.items() if to is receiver]
        assert len(bodies) <= len(tasks)
        assert all(len(different) == 1 for different in bodies.values()), receiver.name
    assert sent > 100


def _library_agrees(headers: object, body: bytes, secret: str) -> None:
    assert isinstance(headers, dict)
    moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    expected = Webhook(secret).sign(headers["webhook-id"], moment, body.decode())
    assert headers["webhook-signature"] == expected


def test_a_receiver_that_is_gone_gets_one_request_in_the_week(week: Week) -> None:
    (gone,) = [r for r in week.receivers if r.name == "gone"]
    assert len(gone.requests) == 1


def test_nothing_was_connected_to_but_public_addresses_and_no_redirect_followed(
    week: Week,
) -> None:
    assert set(week.internet.connected) == {PUBLIC}
    (inside,) = [r for r in week.receivers if r.name == "inside"]
    assert inside.attempted_at_ms
    assert inside.requests == []
    (well,) = [r for r in week.receivers if r.name == "well"]
    assert len(well.requests) == _tasks_of(week, well)


def test_no_try_took_longer_than_its_deadline(week: Week) -> None:
    for ref, receiver in week.tasks.items():
        if not receiver.attempted_at_ms:
            continue
        for attempt in webhook_of(week, ref).attempts:
            if attempt.detail.startswith("not sent"):
                continue
            began = max(at for at in receiver.attempted_at_ms if at <= attempt.at_ms)
            assert attempt.at_ms - began <= 15_000, receiver.name


def test_sns_got_every_end_exactly_as_often_as_it_took_it(week: Week) -> None:
    delivered: Sequence[str] = [e.id for e in week.world.sns.delivered]
    assert len(delivered) == len(set(delivered)) == len(week.tasks)


def _tasks_of(week: Week, receiver: Receiver) -> int:
    return sum(to is receiver for to in week.tasks.values())
