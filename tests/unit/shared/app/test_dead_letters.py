"""Messages that nobody could handle: an outage is no poison, a bug is."""

from collections.abc import Callable
from typing import Any

import pytest

from ratchet import Agent
from ratchet.app.batch import run_dead_letters
from ratchet.app.dead_letters import POISON, DeadLetters
from ratchet.contracts.errors import RatchetError, ServiceRefused, StoreUnavailable
from ratchet.contracts.limits import DEAD_LETTER_TRIES, QUEUE_RECEIVES
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain.steps import End
from ratchet.testing.chat import says
from tests.unit.shared.app.world import World

AGENT = Agent("helper", "Help.", policy="react")


class Down:
    """A port that never answers."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        def call(*_: object, **__: object) -> None:
            raise StoreUnavailable("down")

        return call


def letters(world: World, start: Callable[[Doorbell], None] | None = None) -> DeadLetters:
    return DeadLetters(world.store, start or world.dispatch, world.outbox, world.clock)


def failing(error: BaseException) -> Callable[[Doorbell], None]:
    def start(_: Doorbell) -> None:
        raise error

    return start


def end_of(world: World, ref: TaskRef) -> End:
    following = world.tip(ref).next
    assert isinstance(following, End)
    return following


def test_a_task_whose_start_meets_a_bug_ends_as_poison_and_is_announced() -> None:
    world = World(AGENT, chat=[says("Done.")])
    ref = world.submitted()
    letters(world, failing(KeyError("secret text")))(Doorbell(ref), receives=1)
    end = end_of(world, ref)
    assert end.status is TaskStatus.FAILED
    assert end.failure is not None
    assert end.failure.code == POISON
    assert "KeyError" in end.failure.message
    assert "secret text" not in end.failure.message
    assert world.outbox.receive() == Doorbell(ref)
    world.announce_all(ref)
    assert [attempt.event.type for attempt in world.sns.attempts] == ["task.failed"]
    world.resume(ref)
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED


@pytest.mark.parametrize("error", [StoreUnavailable("down"), ServiceRefused("no rights")])
def test_an_outage_ends_no_task_and_the_sweeper_still_rings(error: RatchetError) -> None:
    world = World(AGENT, chat=[says("Done.")])
    ref = world.submitted()
    for receives in range(1, QUEUE_RECEIVES + DEAD_LETTER_TRIES + 1):
        letters(world, failing(error))(Doorbell(ref), receives=receives)
    assert world.tip(ref).state.status is TaskStatus.QUEUED
    assert ref in world.due()


def test_a_letter_that_comes_through_starts_its_task() -> None:
    world = World(AGENT, chat=[says("Done.")])
    ref = world.submitted()
    letters(world)(Doorbell(ref), receives=1)
    assert world.tip(ref).state.status is TaskStatus.RUNNING


def test_what_killed_its_consumer_twice_is_not_tried_again() -> None:
    world = World(AGENT)
    ref = world.submitted()
    tried: list[Doorbell] = []
    letters(world, tried.append)(Doorbell(ref), receives=QUEUE_RECEIVES + DEAD_LETTER_TRIES + 1)
    assert tried == []
    assert end_of(world, ref).status is TaskStatus.FAILED


def test_a_task_that_went_on_without_the_letter_is_left_alone() -> None:
    world = World(AGENT, chat=[says("Done.")])
    running, done = world.submitted(), world.submitted()
    world.first(running)
    world.run(done)
    for ref in (running, done, TaskRef("acme", "task_01ARZ3NDEKTSV4RRFFQ69G5FAV")):
        letters(world, failing(KeyError()))(Doorbell(ref), receives=9)
    assert world.tip(running).state.status is TaskStatus.RUNNING
    assert world.tip(done).state.status is TaskStatus.SUCCEEDED


def test_a_letter_whose_task_cannot_be_ended_now_comes_back() -> None:
    world = World(AGENT)
    ref = world.submitted()

    down: Any = Down()
    down = DeadLetters(down, failing(KeyError()), world.outbox, world.clock)
    event: dict[str, Any] = {
        "Records": [record(ref, receives=1), {"messageId": "m2", "body": "not ours"}]
    }
    failures = run_dead_letters(event, down, down)["batchItemFailures"]
    assert failures == [{"itemIdentifier": "m1"}]
    assert world.tip(ref).state.status is TaskStatus.QUEUED
    event["Records"][0]["attributes"] = {"ApproximateReceiveCount": "7"}
    bury = letters(world, failing(KeyError()))
    assert run_dead_letters(event, bury, down)["batchItemFailures"] == []
    assert end_of(world, ref).failure is not None


def test_an_end_that_cannot_be_rung_for_is_due() -> None:
    world = World(AGENT)
    ref = world.submitted()
    down: Any = Down()
    DeadLetters(world.store, failing(KeyError()), down, world.clock)(Doorbell(ref), receives=1)
    assert end_of(world, ref).status is TaskStatus.FAILED
    assert ref in world.due()


def record(ref: TaskRef, *, receives: int) -> dict[str, object]:
    attributes = {"ApproximateReceiveCount": str(receives)}
    return {"messageId": "m1", "body": Doorbell(ref).to_json(), "attributes": attributes}
