"""The handler that EventBridge Scheduler calls, and what becomes of what it fails at."""

import json
from typing import Any

import pytest

from functions.scheduler import handler
from functions.sweeper import handler as sweeper
from ratchet import Agent
from ratchet.app.dead_letters import DeadLetters
from ratchet.app.missed_runs import MISSED, MissedRuns
from ratchet.contracts.errors import StoreUnavailable, UnexpectedError
from ratchet.contracts.firing import SCHEDULED_TIME, Firing
from ratchet.contracts.messages import MalformedMessage
from ratchet.contracts.schedule_api import ScheduleRequest
from ratchet.domain.schedule import LastRun
from ratchet.testing.chat import says
from tests.envelopes import LambdaContext, envelope
from tests.unit.shared.app.world import World

CONTEXT = LambdaContext()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(Agent("support", "Help.", policy="react"), chat=lambda _: says("Done."))
    monkeypatch.setattr(handler, "run_schedule", lambda: world.run_schedule)
    letters = DeadLetters(world.store, world.dispatch, world.outbox, world.clock)
    monkeypatch.setattr(sweeper, "dead_letters", lambda: letters)
    monkeypatch.setattr(sweeper, "missed_runs", lambda: MissedRuns(world.schedules.store))
    body = {"schedule_expression": "rate(1 hour)", "task": {"goal": "Sum up."}}
    world.schedules.create(ScheduleRequest.model_validate(body), tenant="acme")
    return world


def last_run(world: World) -> LastRun | None:
    ((schedule,), _) = world.schedules.list("acme", limit=5, cursor=None)
    return schedule.last_run


def firing(world: World) -> dict[str, str]:
    ((schedule,), _) = world.schedules.list("acme", limit=5, cursor=None)
    return {**envelope("scheduler/firing"), "schedule_id": schedule.schedule_id}


def test_a_firing_submits_the_task(world: World) -> None:
    event = firing(world)
    told = handler.lambda_handler(event, CONTEXT)
    run = last_run(world)
    assert run is not None
    assert told == {"task_id": run.task_id}
    assert run.scheduled_at == event["scheduled_at"]
    assert handler.lambda_handler(event, CONTEXT) == {"task_id": None}


@pytest.mark.parametrize(
    "event",
    [
        {},
        [],
        {"tenant": "acme", "schedule_id": "schedule_1"},
        {"tenant": "a#b", "schedule_id": "s", "scheduled_at": "2026-11-23T09:00:00Z"},
        {"tenant": "acme", "schedule_id": 7, "scheduled_at": "2026-11-23T09:00:00Z"},
        {"tenant": "acme", "schedule_id": "s", "scheduled_at": SCHEDULED_TIME},
    ],
)
def test_what_is_no_firing_is_refused_by_name(event: Any) -> None:
    with pytest.raises(MalformedMessage):
        handler.lambda_handler(event, CONTEXT)


def test_an_outage_is_raised_and_a_bug_without_its_words(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, raised in (
        (StoreUnavailable("down"), StoreUnavailable),
        (KeyError("canary"), UnexpectedError),
    ):

        def fails(_: Firing, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(handler, "run_schedule", lambda fails=fails: fails)
        with pytest.raises(raised) as told:
            handler.lambda_handler(firing(world), CONTEXT)
        assert "canary" not in str(told.value)


def letter(body: object) -> dict[str, Any]:
    event = envelope("dispatcher/batch")
    record = event["Records"][0]
    return {"Records": [{**record, "body": json.dumps(body)}]}


@pytest.mark.parametrize("is_lambdas", [False, True])
def test_the_sweeper_notes_what_was_given_up(world: World, is_lambdas: bool) -> None:
    event = firing(world)
    record = {
        "version": "1.0",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": event,
        "responsePayload": {"errorType": "StoreUnavailable"},
    }
    told = sweeper.lambda_handler(letter(record if is_lambdas else event), CONTEXT)
    assert told == {"batchItemFailures": []}
    run = last_run(world)
    assert run is not None
    assert (run.code, run.scheduled_at) == (MISSED, event["scheduled_at"])


def test_a_letter_that_cannot_be_noted_comes_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise StoreUnavailable("down")

    monkeypatch.setattr(world.schedules.store, "note_run", down)
    told = sweeper.lambda_handler(letter(firing(world)), CONTEXT)
    assert len(told["batchItemFailures"]) == 1
