"""The handlers on in-memory ports, and all that they tell of themselves to somebody else than their caller."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from functions.api import current
from functions.deliverer import handler as deliverer
from functions.dispatcher import handler as dispatcher
from functions.scheduler import handler as scheduler
from functions.step_executor import handler as step_executor
from ratchet import Agent, Memory, tool
from ratchet.adapters.eventbridge_scheduler import EventBridgeTimers, FiringTarget
from ratchet.app.execute_step import ExecuteStep
from ratchet.app.missed_runs import MissedRuns
from ratchet.app.traced_step import TracedStep
from ratchet.contracts.errors import (
    DeliveryFailed,
    ModelRejected,
    RatchetError,
    UnexpectedError,
)
from ratchet.contracts.firing import Firing
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import Action, Complexity, StepType
from ratchet.domain.messages import ToolCall
from ratchet.domain.suspension import Suspension
from ratchet.domain.webhook_url import check_webhook_url
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.observability import EmfMetrics, logger
from ratchet.testing.chat import Outcome, asks, says
from ratchet.testing.spans import RecordedSpans
from tests.api_wiring import wired
from tests.canaries import canary, leaks
from tests.envelopes import LambdaContext, envelope
from tests.unit.functions.test_api import call
from tests.unit.shared.app.world import ROUTING, World

ERROR, BUG = 400, RuntimeError


@tool(effect="read")
def look(where: str) -> str:
    """Look."""
    seen(where)
    return canary("tool_result")


@tool(effect="read")
def trip(where: str) -> str:
    """Trip."""
    raise ValueError(canary("tool_error"))


@tool(effect="unsafe", approval="always")
def pay(to: str) -> str:
    """Pay."""
    seen(to)
    return canary("tool_result")


@tool(effect="unsafe")
def ship(to: str) -> str:
    """Ship."""
    raise TimeoutError(canary("tool_error"))


SEEN: set[str] = set()


def seen(text: str) -> None:
    """What the tools and models of the world have been told: whoever leaks it must first have had it."""
    SEEN.update(leaks(text))


AGENT = Agent(
    "clerk",
    f"Serve. {canary('instruction')}",
    tools=[look, trip, pay, ship],
    policy="react",
    ask_human=True,
    memory=Memory(),
)


def wants(name: str, **arguments: object) -> Outcome:
    return asks(ToolCall(f"call-{name}", name, json.dumps(arguments)))


ARGUMENT = canary("tool_argument")
ASK = {"question": canary("human_question"), "choices": [canary("human_answer"), "no"]}
SCRIPTS: dict[str, list[Outcome | Exception]] = {
    "success": [wants("look", where=ARGUMENT), wants("trip", where=ARGUMENT)],
    "unknown tool": [wants(canary("tool_name")), wants("look", wrong=ARGUMENT)],
    "rejected": [ModelRejected(canary("model_error"))] * 20,
    "approval": [wants("pay", to=ARGUMENT)],
    "question": [wants("ask_human", **ASK)],
    "unknown effect": [wants("ship", to=ARGUMENT)],
    "memory": [
        wants("remember", key=canary("memory_key"), text=canary("memory_value")),
        wants("recall", query=canary("memory_query")),
    ],
    "bug": [BUG(canary("bug"))] * 20,
    "cancel": [wants("pay", to=ARGUMENT)],
}


@dataclass
class Told:
    """What stands where, of one kind."""

    logs: io.StringIO = field(default_factory=io.StringIO)
    workflow: list[str] = field(default_factory=list)  # inputs, outputs, errors, causes
    queues: list[str] = field(default_factory=list)
    printed: str = ""
    spans: str = ""
    answers: list[tuple[str, str]] = field(default_factory=list)  # error answers after requests

    def places(self) -> dict[str, str]:
        """The text of each place that must hold no word."""
        return {
            "logs": self.logs.getvalue(),
            "metrics and prints": self.printed,
            "spans": self.spans,
            "workflow": "\n".join(self.workflow),
            "queues": "\n".join(self.queues),
        }

    def found(self) -> list[tuple[str, str]]:
        """Words where none may be, and words in an error answer that its own request did not say."""
        wrong = [(place, name) for place, text in self.places().items() for name in leaks(text)]
        for request, answer in self.answers:
            said = set(leaks(request))
            wrong += [("error answers", name) for name in leaks(answer) if name not in said]
        return wrong


class _EventBridge:
    """A client that only hears."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def create_schedule(self, **request: Any) -> None:
        self._told.queues.append(json.dumps(request, default=str))


class Town(World):
    """One deployment whose every edge is written down."""

    def __init__(self, patch: pytest.MonkeyPatch, told: Told) -> None:
        super().__init__(AGENT, chat=self._say)
        self.told, self.sink = told, RecordedSpans()
        self.metrics = EmfMetrics()  # type: ignore[assignment]
        self.announce = replace(self.announce, spans=self.sink)
        self.submit = replace(self.submit, check_webhook=check_webhook_url)
        self._said: dict[str, int] = {}
        self.eventbridge = _EventBridge(told)
        executor = cast("ExecuteStep", TracedStep(self.executor(), self.sink))
        patch.setattr(step_executor, "execute_step", lambda: executor)
        patch.setattr(dispatcher, "dispatch_task", lambda: self.dispatch)
        patch.setattr(deliverer, "announce_task", lambda: self.announce)
        patch.setattr(scheduler, "run_schedule", lambda: self.run_schedule)
        use_cases = wired(self)
        patch.setattr(current, "wiring", lambda: use_cases)

    def _say(self, asked: ModelCall) -> Outcome:
        text = " ".join(str(m) for m in asked.prompt.messages)
        seen(text)
        story = next(name for name in SCRIPTS if f"<{name}>" in text)
        turn = self._said[story] = self._said.get(story, -1) + 1
        script = SCRIPTS[story]
        if turn >= len(script):
            return says(canary("model_output"))
        outcome = script[turn]
        if isinstance(outcome, BUG):
            raise outcome
        return cast("ModelAnswer", outcome)

    def request(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        """One API request; what an error answers is written down beside what was asked."""
        event = envelope("api/submit")
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
        event["requestContext"]["http"]["method"] = method
        event["queryStringParameters"] = {}
        event["body"] = body if isinstance(body, str) else json.dumps(body or {})
        event["headers"]["idempotency-key"] = key or f"{path} {len(self.told.answers)}"
        status, answer, headers = call(event)
        if status >= ERROR:
            asked = json.dumps([path, event["body"], key])
            self.told.answers.append((asked, json.dumps([answer, headers])))
        return status, answer

    def ring(self, module: Any, ref: TaskRef, generation: int = 1) -> None:
        """One message of a queue."""
        event = envelope("deliverer/batch")
        body = Doorbell(ref, generation).to_json()
        self.told.queues.append(body)
        event["Records"] = [{**event["Records"][0], "body": body}]
        module.lambda_handler(event, LambdaContext())

    def run_on(self, ref: TaskRef) -> None:
        """Dispatch the task and run what Step Functions would, until its execution ends."""
        generation = self.tip(ref).state.generation + 1
        self.ring(dispatcher, ref, generation)
        state = self.workflow.input_of(ref, generation).to_dict()
        self.told.workflow.append(json.dumps(state))
        for _ in range(60):
            state = self._invoke(state)
            if state["action"] == Action.WAIT:
                self.clock.advance(cast("int", state["wait_seconds"]))
            if state["action"] == Action.FINISH:
                self.ring(deliverer, ref)
                return
        raise AssertionError("the task does not end")

    def _invoke(self, state: dict[str, Any]) -> dict[str, Any]:
        step = state["step"]
        route = ROUTING.route(StepType(step["type"]), Complexity(step["complexity"]))
        event = {**state, "route": route.to_dict(), "attempt": 0}
        try:
            after: dict[str, Any] = step_executor.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
        except RatchetError as error:
            failure = {"Error": type(error).__name__, "Cause": str(error)}
            self.told.workflow.append(json.dumps(failure))
            after = step_executor.lambda_handler({**event, "failure": failure}, LambdaContext())  # type: ignore[arg-type]
        self.told.workflow.append(json.dumps(after))
        return after


@contextmanager
def listening() -> Iterator[Told]:
    """What the logger writes from here on, as it does on AWS."""
    told = Told()
    handler = logging.StreamHandler(told.logs)
    handler.setFormatter(logger.registered_formatter)
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger._logger.removeHandler(handler)


def request_of(story: str) -> dict[str, Any]:
    """A task with a word in all that a caller can say."""
    return {
        "goal": f"<{story}> {canary('goal')}",
        "agent": "clerk",
        "user_id": canary("user_id"),
        "session_id": f"{canary('session_id')}{list(SCRIPTS).index(story)}",
        "metadata": {canary("metadata_key"): canary("metadata")},
        "webhook": {"url": f"https://hooks.example.com/{canary('webhook_path')}"},
    }


def submit(town: Town, story: str) -> TaskRef:
    """Submit it."""
    key = f"{canary('idempotency_key')}{story}"
    status, answer = town.request("POST", "/v1/tasks", request_of(story), key)
    assert status == 202, answer
    return TaskRef("acme", answer["task_id"])


def decide(town: Town, ref: TaskRef, **decision: object) -> None:
    """What a person answers to the task's first question, after one answer that does not fit."""
    asked = town.tip(ref).next.interrupts[0]  # type: ignore[union-attr]
    path = f"/v1/tasks/{ref.task_id}/interrupts/{asked.id}"
    status, _ = town.request("POST", path, {"decision": "answer", "answer": "neither of them"})
    assert status >= ERROR
    status, answer = town.request("POST", path, decision)
    assert status == 200, answer
    status, _ = town.request("POST", path, {"decision": "answer", "answer": "another"})
    assert status >= ERROR


def live(town: Town) -> dict[str, TaskRef]:
    """Success, failure, interrupts, cancel, a bug, and deliveries that fail, each with all words; the tasks."""
    refused = DeliveryFailed(f"the receiver answered 500: {canary('receiver_answer')}")
    town.webhook.fail_with(*[refused] * 50)
    refs = {}
    for story in SCRIPTS:
        refs[story] = ref = submit(town, story)
        town.run_on(ref)
    decide(
        town, refs["approval"], decision="edit", arguments={"to": canary("edited_argument")},
        reason=canary("approval_reason"),
    )  # fmt: skip
    decide(town, refs["question"], answer=canary("human_answer"))
    decide(town, refs["unknown effect"], answer="did_not_happen")
    for story in ("approval", "question", "unknown effect"):
        town.run_on(refs[story])
    assert town.request("POST", f"/v1/tasks/{refs['cancel'].task_id}/cancel")[0] == 200
    for ref in refs.values():
        town.clock.advance(4 * 24 * 3600 // len(refs))
        town.ring(deliverer, ref)
    _schedule(town)
    _be_refused(town, refs)
    return refs


def _schedule(town: Town) -> None:
    """A schedule that runs, is refused, meets a bug and is missed, with all words in its task."""
    body = {"schedule_expression": "rate(1 hour)", "name": canary("metadata")}
    for refused in ({"timezone": canary("goal")}, {"schedule_expression": canary("goal")}):
        asked = {**body, "task": request_of("success"), **refused}
        assert town.request("POST", "/v1/schedules", asked)[0] >= ERROR
    status, made = town.request("POST", "/v1/schedules", {**body, "task": request_of("success")})
    assert status == 201, made
    (kept,) = town.schedules.timers.schedules.values()  # type: ignore[attr-defined]
    target = FiringTarget("arn:function", "arn:role", "arn:letters")
    timers = EventBridgeTimers(lambda: town.eventbridge, "group", target)  # type: ignore[arg-type, return-value]
    timers.set(kept)
    firing = {"tenant": "acme", "schedule_id": made["schedule_id"]}
    for hour in range(3):
        if hour == 1:
            town.suspensions.begin("acme", Suspension(0, ""))
            town.clock.advance(60)
        event = {**firing, "scheduled_at": f"2026-11-23T0{hour}:00:00Z"}
        with pytest.MonkeyPatch.context() as patch, suppress(UnexpectedError):
            if hour == 2:
                patch.setattr(scheduler, "run_schedule", lambda: _bug)
            scheduler.lambda_handler(event, LambdaContext())
    MissedRuns(town.schedules.store)(Firing.from_event(event))
    town.suspensions.end("acme")
    town.clock.advance(60)
    assert town.request("DELETE", f"/v1/schedules/{made['schedule_id']}")[0] == 204
    assert town.request("GET", f"/v1/schedules/{made['schedule_id']}")[0] == 404


def _bug(_: Firing) -> None:
    raise KeyError(canary("goal"))


def _be_refused(town: Town, refs: dict[str, TaskRef]) -> None:
    """Requests that are answered with errors, by a caller who says words of his own in some and none in others."""
    done = f"/v1/tasks/{refs['success'].task_id}"
    kept = f"/v1/memory/user:{canary('user_id')}/{canary('memory_key')}"
    for method, path, body in (
        ("POST", f"{done}/cancel", None),
        ("POST", f"{done}/resume", None),
        ("POST", f"{done}/fork", {"step": 99}),
        ("POST", f"{done}/interrupts/int_{canary('human_answer')}", {"answer": "x"}),
        ("GET", f"/v1/tasks/task_{canary('goal')}", None),
        ("GET", f"/v1/sessions/{canary('session_id')}", None),
        ("GET", f"/v1/{canary('goal')}", None),
        ("PUT", kept, {canary("memory_value"): 1}),
        ("PUT", f"/v1/memory/agent:{canary('memory_key')}/{'k' * 200}", {"value": 1}),
        ("GET", f"{kept}-other", None),
        ("POST", "/v1/tasks", {"goal": 7, canary("metadata"): 1}),
        ("POST", "/v1/tasks", {"goal": "x", "agent": canary("user_id")}),
        ("POST", "/v1/tasks", f'{{"goal": {canary("goal")}'),
        ("POST", "/v1/tasks", {"goal": "x", "webhook": {"url": f"ftp://{canary('webhook_path')}"}}),
    ):
        assert town.request(method, path, body)[0] >= ERROR
    key = f"{canary('idempotency_key')}success"
    assert town.request("POST", "/v1/tasks", {"goal": "another"}, key)[0] == 422
