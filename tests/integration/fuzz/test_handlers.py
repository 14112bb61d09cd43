"""Every handler on bent bytes: 100,000 events, and no error but those that say what they are.

What a client, a queue or a schedule decides is bent; what API Gateway and Lambda write themselves is not.
"""

import base64
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from functions.api import current
from functions.api import handler as api
from functions.authorizer import handler as authorizer
from functions.deliverer import handler as deliverer
from functions.dispatcher import handler as dispatcher
from functions.scheduler import handler as scheduler
from functions.step_executor import handler as step_executor
from functions.sweeper import handler as sweeper
from ratchet import Agent
from ratchet.app.api_keys import VerifyKey
from ratchet.app.dead_letters import DeadLetters
from ratchet.app.missed_runs import MissedRuns
from ratchet.contracts.access import ROUTE_SCOPES
from ratchet.contracts.errors import RatchetError, UnexpectedError
from ratchet.contracts.schedule_api import ScheduleRequest
from ratchet.observability import logger
from ratchet.testing.api_keys import InMemoryApiKeys
from ratchet.testing.chat import says
from tests.api_wiring import wired
from tests.envelopes import LambdaContext, envelope
from tests.figures import Tell
from tests.integration.fuzz.mutations import bent, bent_json, bent_text
from tests.unit.shared.app.world import World

SEED = 20_261_123
COUNTS = {
    "api": 10_000,
    "authorizer": 22_000,
    "deliverer": 15_000,
    "dispatcher": 16_000,
    "scheduler": 16_000,
    "step_executor": 16_000,
    "sweeper": 16_000,
}
CONTEXT = LambdaContext()
AGENT = Agent("support", "Help.", policy="react")
ROUTES = [key.split(" ") for key in ROUTE_SCOPES]
SECRET = json.dumps({"tenant": "default", "key": "a-key-of-a-deployment"})
EVERY_MINUTE = ScheduleRequest.model_validate(
    {"schedule_expression": "rate(1 minute)", "task": {"goal": "Look."}}
)
Act = Callable[[Random], None]


class Bugs:
    """What was logged as a bug: handlers that catch everything say so there."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def note(self, message: str, **_: object) -> None:
        self.found.append(message)


@pytest.fixture
def bugs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bugs]:
    bugs, level = Bugs(), logger.log_level
    monkeypatch.setattr(logger, "exception", bugs.note)
    logger.setLevel(logging.CRITICAL)  # 100,000 lines take longer than all the rest
    yield bugs
    logger.setLevel(level)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(AGENT, chat=lambda _: says("Done."))
    wiring, executor = wired(world), world.executor()
    letters = DeadLetters(world.store, world.dispatch, world.outbox, world.clock)
    keys = VerifyKey(InMemoryApiKeys(), world.clock)
    monkeypatch.setattr(current, "wiring", lambda: wiring)
    monkeypatch.setattr(dispatcher, "dispatch_task", lambda: world.dispatch)
    monkeypatch.setattr(deliverer, "announce_task", lambda: world.announce)
    monkeypatch.setattr(step_executor, "execute_step", lambda: executor)
    monkeypatch.setattr(sweeper, "sweep_tasks", lambda: world.sweep)
    monkeypatch.setattr(sweeper, "dead_letters", lambda: letters)
    monkeypatch.setattr(sweeper, "missed_runs", lambda: MissedRuns(world.schedules.store))
    monkeypatch.setattr(scheduler, "run_schedule", lambda: world.run_schedule)
    monkeypatch.setattr(authorizer, "verify_key", lambda: keys)
    monkeypatch.setattr(authorizer, "api_keys", lambda: (Secret(), "arn"))
    monkeypatch.setattr(authorizer, "front_door", lambda: None)
    for _ in range(3):
        world.schedules.create(EVERY_MINUTE, tenant="acme")
    return world


class Secret:
    """Secrets Manager with the deployment's first key."""

    def get(self, _arn: str) -> str:
        return SECRET


def fuzz_api(dice: Random) -> None:
    """A request as a client may send it: any method, path, query, headers and body."""
    event = envelope_of(dice, "api/submit", "api/cancel", "api/list_tasks", "api/fork")
    http = event["requestContext"]["http"]
    if dice.random() < 0.6:
        http["method"], path = dice.choice(ROUTES)
        event["rawPath"] = path.replace("{task_id}", dice.choice(TASK_IDS))
    if dice.random() < 0.3:
        event["rawPath"] = bent_text(dice, event["rawPath"])
    http["path"] = event["rawPath"]
    if dice.random() < 0.3:
        query = bent_text(dice, "limit=2&cursor=abc&status=queued&wait=0")
        pairs = [pair.partition("=") for pair in query.split("&")]
        event["rawQueryString"] = query
        event["queryStringParameters"] = {name: value for name, _, value in pairs if name}
        event["queryStringParameters"].pop(
            "wait", None
        )  # a long poll takes no time here, but many reads
    if dice.random() < 0.3:
        name = dice.choice(list(event["headers"]))
        event["headers"][name] = bent_text(dice, event["headers"][name])
    body = bent(dice, (event.get("body") or '{"answer": "abort"}').encode())
    if dice.random() < 0.3:
        event["body"] = base64.b64encode(body).decode()
        event["isBase64Encoded"] = True
    elif dice.random() < 0.9:
        event["body"] = body.decode(errors="replace")
    answer = api.lambda_handler(event, CONTEXT)  # type: ignore[arg-type]
    assert 200 <= answer["statusCode"] < 500, (event, answer)
    assert answer["statusCode"] == 204 or json.loads(answer["body"])


IDS = tuple(f"schedule_{number:026d}" for number in (1, 2))
TASK_IDS = ("task_00000000000000000000000001", "task_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", "%2e%2e")


def fuzz_authorizer(dice: Random) -> None:
    event = envelope("authorizer/request")
    name = "x-api-key"
    event["headers"][name] = bent_text(dice, event["headers"].get(name) or "rk_00_11")
    if dice.random() < 0.3:
        event["headers"] = bent_json(dice, event["headers"])
        if not isinstance(event["headers"], dict):
            event["headers"] = None
        elif not all(isinstance(value, str) for value in event["headers"].values()):
            return  # headers are texts
    assert authorizer.lambda_handler(event, None) == {"isAuthorized": False}


def fuzz_queue(name: str, handle: Callable[[Any, Any], Any]) -> Act:
    def fuzz(dice: Random) -> None:
        event = envelope(f"{name}/batch")
        for record in event["Records"]:
            record["body"] = bent_text(dice, record["body"])
        answer = handle(event, CONTEXT)
        known = {record["messageId"] for record in event["Records"]}
        assert {item["itemIdentifier"] for item in answer["batchItemFailures"]} <= known

    return fuzz


def fuzz_step_executor(dice: Random) -> None:
    """A state of an execution: whoever may start one decides its input."""
    event = bent_json(dice, envelope_of(dice, "step_executor/step", "step_executor/gave_up"))
    try:
        output = step_executor.lambda_handler(event, CONTEXT)  # type: ignore[arg-type]
    except UnexpectedError:
        raise
    except RatchetError:
        return  # it has a name that the state machine knows
    assert output["action"] in {"finish", "step", "wait", "warn", "roll_over"}


def fuzz_sweeper(dice: Random) -> None:
    """EventBridge's word about an execution with any input, or a batch of dead letters."""
    if dice.random() < 0.5:
        event = envelope("dispatcher/batch")
        for record in event["Records"]:
            body = dice.choice([record["body"], json.dumps(envelope("scheduler/firing"))])
            record["body"] = bent_text(dice, body)
        assert "batchItemFailures" in sweeper.lambda_handler(event, CONTEXT)
        return
    data = json.dumps(envelope("step_executor/step"))
    detail = {"input": bent_text(dice, data), "status": "FAILED"}
    told = sweeper.lambda_handler({"source": "aws.states", "detail": detail}, CONTEXT)
    assert told["reconciled"] in {True, False}


def fuzz_scheduler(dice: Random) -> None:
    """A firing of a schedule that there is, of one that is gone, or of none of ours."""
    event = bent_json(dice, {**envelope("scheduler/firing"), "schedule_id": dice.choice(IDS)})
    try:
        told = scheduler.lambda_handler(event, CONTEXT)
    except UnexpectedError:
        raise
    except RatchetError:
        return
    assert set(told) == {"task_id"}


def envelope_of(dice: Random, *names: str) -> dict[str, Any]:
    return envelope(dice.choice(names))


FUZZED: dict[str, Act] = {
    "api": fuzz_api,
    "authorizer": fuzz_authorizer,
    "deliverer": fuzz_queue("deliverer", deliverer.lambda_handler),
    "dispatcher": fuzz_queue("dispatcher", dispatcher.lambda_handler),
    "step_executor": fuzz_step_executor,
    "scheduler": fuzz_scheduler,
    "sweeper": fuzz_sweeper,
}


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_a_handler_meets_no_error_that_it_does_not_know(
    tell: Tell, world: World, bugs: Bugs, name: str
) -> None:
    dice = Random(f"{SEED} {name}")
    began = time.process_time()
    for _ in range(COUNTS[name]):
        FUZZED[name](dice)
        assert bugs.found == []
    seconds = time.process_time() - began
    tell(
        f"fuzz {name}: {COUNTS[name]:,} events, 0 unhandled, seed {SEED}, {seconds:.0f} s CPU",
    )


def test_all_handlers_together_are_given_a_hundred_thousand_events() -> None:
    assert sum(COUNTS.values()) >= 100_000


def test_bent_bytes_are_other_bytes_and_the_same_for_the_same_seed() -> None:
    good = b'{"tenant": "acme", "task_id": "task_1"}'
    some = [bent(Random(seed), good) for seed in range(200)]
    assert some == [bent(Random(seed), good) for seed in range(200)]
    assert Counter(some)[good] < 20
    assert len(set(some)) > 150
