"""Batches: all tasks or none, each once, with totals."""

from dataclasses import replace
from typing import Any

import pytest

from ratchet import Agent, Limits
from ratchet.app.batches import ReadBatch, SubmitBatch
from ratchet.contracts.batch_api import BatchRequest
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import (
    BATCH_RETENTION_SECONDS,
    MAX_BATCH_TASKS,
    MAX_IDEMPOTENCY_KEY_CHARS,
    TERMINAL_RETENTION_SECONDS,
)
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.request_errors import (
    IdempotencyKeyReused,
    InvalidRequest,
    TaskNotFound,
    TenantSuspended,
    UnknownAgent,
)
from ratchet.contracts.task_api import TaskRequest
from ratchet.testing.chat import says
from tests.unit.shared.app.world import World


class Desk:
    """Where batches are handed in."""

    def __init__(self) -> None:
        agent = Agent("one", "", policy="react", limits=Limits(max_steps=5))
        self.world = World(agent, chat=lambda _: says("Done."))
        self.submit = SubmitBatch.of(self.world.submit, self.world.batches)
        self.read = ReadBatch(self.world.batches)

    def tasks(self) -> list[str]:
        return [ref.task_id for ref in self.world.due()]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def of(*goals: str, **fields: Any) -> BatchRequest:
    return BatchRequest.model_validate({"tasks": [{"goal": goal, **fields} for goal in goals]})


def test_every_goal_becomes_a_task_and_each_is_rung_for(desk: Desk) -> None:
    created = desk.submit(of("a", "b", "c"), tenant="acme")
    batch = created.batch
    assert not created.is_replay
    assert len(set(batch.task_ids)) == 3
    goals = [desk.world.tip(TaskRef("acme", id_)).task.goal for id_ in batch.task_ids]
    assert goals == ["a", "b", "c"]
    rung = [desk.world.inbox.receive() for _ in range(4)]
    assert rung == [*(Doorbell(TaskRef("acme", id_)) for id_ in batch.task_ids), None]


def test_totals_tell_how_far_it_is_and_what_it_has_cost(desk: Desk) -> None:
    batch = desk.submit(of("a", "b", "c"), tenant="acme").batch
    refs = [TaskRef("acme", id_) for id_ in batch.task_ids]
    ended = desk.world.run(refs[0])
    desk.world.cancel(refs[1])
    view = desk.read("acme", batch.batch_id)
    assert (view.total, view.erased, view.is_over) == (3, 0, False)
    assert view.statuses == {"cancelled": 1, "queued": 1, "succeeded": 1}
    assert view.cost_usd == ended.totals.cost_microusd / 1e6 > 0
    assert [task.task_id for task in view.tasks] == list(batch.task_ids)
    desk.world.run(refs[2])
    assert desk.read("acme", batch.batch_id).is_over


def test_the_same_key_and_body_find_the_same_batch(desk: Desk) -> None:
    first = desk.submit(of("a", "b"), tenant="acme", idempotency_key="k")
    again = desk.submit(of("a", "b"), tenant="acme", idempotency_key="k")
    assert again.is_replay
    assert again.batch == first.batch
    assert len(desk.tasks()) == 2
    with pytest.raises(IdempotencyKeyReused):
        desk.submit(of("a", "c"), tenant="acme", idempotency_key="k")
    assert desk.submit(of("a", "b"), tenant="globex", idempotency_key="k").is_replay is False


def test_a_key_of_a_task_is_none_of_a_batch(desk: Desk) -> None:
    asked = TaskRequest(goal="a")
    assert not desk.world.submit(asked, tenant="acme", idempotency_key="k").is_replay
    assert not desk.submit(of("a"), tenant="acme", idempotency_key="k").is_replay


def test_a_key_may_be_as_long_for_a_batch_as_for_a_task_and_no_shorter(desk: Desk) -> None:
    longest = "x" * MAX_IDEMPOTENCY_KEY_CHARS
    first = desk.submit(of("a"), tenant="acme", idempotency_key=longest)
    assert desk.submit(of("a"), tenant="acme", idempotency_key=longest).batch == first.batch
    for key in ("", f"{longest}x"):
        with pytest.raises(InvalidRequest, match="1 to 255"):
            desk.submit(of("a"), tenant="acme", idempotency_key=key)


def test_one_goal_that_cannot_be_carried_out_refuses_all_and_is_named(desk: Desk) -> None:
    bad = BatchRequest.model_validate({"tasks": [{"goal": "a"}, {"goal": "b", "agent": "nobody"}]})
    with pytest.raises(UnknownAgent, match=r"^tasks\.1: "):
        desk.submit(bad, tenant="acme")
    greedy = BatchRequest.model_validate({"tasks": [{"goal": "a", "limits": {"max_steps": 50}}]})
    with pytest.raises(InvalidRequest, match=r"^tasks\.0: limits\.max_steps"):
        desk.submit(greedy, tenant="acme")
    assert desk.tasks() == []


def test_a_suspended_tenant_submits_nothing(desk: Desk) -> None:
    submit = replace(desk.submit, is_suspended=lambda tenant: tenant == "acme")
    with pytest.raises(TenantSuspended):
        submit(of("a"), tenant="acme")
    assert desk.tasks() == []


def test_a_queue_that_is_out_is_asked_once_and_the_sweeper_rings(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Doorbell] = []

    def out(bell: Doorbell) -> None:
        tries.append(bell)
        raise StoreUnavailable("SQS")

    monkeypatch.setattr(desk.world.inbox, "send", out)
    batch = desk.submit(of(*"abcdef"), tenant="acme").batch
    assert len(tries) == 1
    monkeypatch.undo()
    desk.world.clock.advance(61)
    desk.world.sweep()
    rung = set()
    while (bell := desk.world.inbox.receive()) is not None:
        rung.add(bell.task.task_id)
    assert rung == set(batch.task_ids)


@pytest.mark.parametrize(
    "batch_id", ["batch_01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense", "../x", "a#b"]
)
def test_an_unknown_batch_is_not_found(desk: Desk, batch_id: str) -> None:
    with pytest.raises(TaskNotFound, match="no batch"):
        desk.read("acme", batch_id)


def test_a_foreign_batch_is_not_found(desk: Desk) -> None:
    batch = desk.submit(of("a"), tenant="acme").batch
    with pytest.raises(TaskNotFound):
        desk.read("globex", batch.batch_id)


def test_tasks_that_are_no_longer_kept_are_counted_as_erased(desk: Desk) -> None:
    batch = desk.submit(of("a", "b"), tenant="acme").batch
    desk.world.run(TaskRef("acme", batch.task_ids[0]))
    desk.world.clock.advance(TERMINAL_RETENTION_SECONDS + 1)
    view = desk.read("acme", batch.batch_id)
    assert (view.total, view.erased, len(view.tasks)) == (2, 1, 1)
    desk.world.clock.advance(BATCH_RETENTION_SECONDS)
    with pytest.raises(TaskNotFound):
        desk.read("acme", batch.batch_id)


def test_no_batch_is_empty_or_larger_than_one_transaction() -> None:
    for size in (0, MAX_BATCH_TASKS + 1):
        with pytest.raises(ValueError, match="tasks"):
            of(*("a" for _ in range(size)))
    with pytest.raises(ValueError, match="session_id"):
        of("a", session_id="s")
