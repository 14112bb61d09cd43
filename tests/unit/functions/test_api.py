import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from functions.api import current, handler
from ratchet import Agent, Limits
from ratchet.app.deployed_models import DeployedModels
from ratchet.contracts.access import ROUTE_SCOPES, Identity
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.messages import Doorbell, Route, TaskRef
from ratchet.testing.chat import says
from tests.api_wiring import wired
from tests.contract.store.samples import LARGE
from tests.envelopes import LambdaContext, envelope
from tests.unit.shared.app.world import World

A_TASK = "/v1/tasks/task_01ARZ3NDEKTSV4RRFFQ69G5FAV"
AGENT = Agent("support", "Help.", policy="react", limits=Limits(max_cost_usd=0.5))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(AGENT, chat=lambda _: says("Done."))
    monkeypatch.setattr(current, "wiring", lambda: wired(world))
    return world


def call(event: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
    answer = handler.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
    headers = {k.lower(): v for k, v in answer["headers"].items()}
    return answer["statusCode"], json.loads(answer["body"] or "null"), headers


def submit(**changes: Any) -> dict[str, Any]:
    event = envelope("api/submit")
    event["body"] = json.dumps({**json.loads(event["body"]), **changes})
    return event


def test_a_goal_is_accepted_with_the_place_to_poll(world: World) -> None:
    status, body, headers = call(envelope("api/submit"))
    assert status == 202
    assert body["status"] == "queued"
    assert headers["location"] == f"/v1/tasks/{body['task_id']}"
    assert body["limits"]["max_cost_usd"] == 0.2
    assert world.inbox.receive() == Doorbell(TaskRef("acme", body["task_id"]))


def test_the_same_request_again_gets_the_first_answer(world: World) -> None:
    _, first, _ = call(envelope("api/submit"))
    status, again, headers = call(envelope("api/submit"))
    assert (status, headers["idempotent-replay"]) == (202, "true")
    assert again == first


def test_what_is_lost_is_gone_and_the_status_is_still_told(world: World) -> None:
    _, submitted, _ = call(submit(goal=LARGE))
    world.run(TaskRef("acme", submitted["task_id"]))
    world.memory.payloads.clear()
    status, task, _ = call(envelope("api/get_task"))
    assert (status, task["status"], task["goal"]) == (200, "succeeded", "")
    event = envelope("api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = event["rawPath"] + "/steps"
    status, problem, _ = call(event)
    assert (status, problem["code"]) == (410, "data_missing")


def test_a_task_can_be_read_listed_and_traced(world: World) -> None:
    _, submitted, _ = call(envelope("api/submit"))
    world.run(TaskRef("acme", submitted["task_id"]))
    status, task, _ = call(envelope("api/get_task"))
    assert status == 200
    assert (task["status"], task["result"], task["progress"]["steps"]) == ("succeeded", "Done.", 1)
    status, listed, _ = call(envelope("api/list_tasks"))
    assert [t["task_id"] for t in listed["tasks"]] == [task["task_id"]]
    assert listed["next_cursor"] is None
    event = envelope("api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = event["rawPath"] + "/steps"
    _, timeline, _ = call(event)
    (step,) = timeline["steps"]
    assert (step["type"], step["model"], step["reason"]) == (
        "tool_dispatch",
        "gpt-4o-mini",
        "preferred",
    )
    assert step["cost_usd"] == task["cost_usd"] > 0


def test_a_task_can_be_cancelled(world: World) -> None:
    call(envelope("api/submit"))
    status, task, _ = call(envelope("api/cancel"))
    assert (status, task["status"], task["error"]["code"]) == (200, "cancelled", "cancelled")
    event = envelope("api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = event["rawPath"] + "/steps"
    assert call(event)[1]["steps"] == []
    assert task["progress"] == {"steps": 0, "next_step": None}


def test_the_routing_table_in_force_can_be_read(world: World) -> None:
    world.override.write('{"default": ["o3"]}')
    event = envelope("api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = "/v1/routes"
    status, shown, _ = call(event)
    assert (status, shown["source"], shown["problem"]) == (200, "override", None)
    assert shown["routes"][0] == {"step": "planning", "complexity": "simple", "models": ["o3"]}


def test_an_iam_caller_is_the_tenant_of_its_account(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "identity", lambda: Identity("iam"))
    status, body, _ = call(envelope("api/iam_caller"))
    assert (status, body["default_agent"]) == (200, "support")
    event = envelope("api/submit")
    event["requestContext"]["authorizer"] = envelope("api/iam_caller")["requestContext"][
        "authorizer"
    ]
    call(event)
    bell = world.inbox.receive()
    assert bell is not None
    assert bell.task.tenant == "210987654321"


@pytest.mark.parametrize(
    ("changes", "status", "code", "says_what"),
    [
        ({"goal": ""}, 400, "invalid_request", "goal"),
        ({"goal": "   "}, 400, "invalid_request", "goal"),
        ({"goal": None}, 400, "invalid_request", "goal"),
        ({"agent": "ghost"}, 400, "unknown_agent", "choose one of: support"),
        ({"colour": "red"}, 400, "invalid_request", "colour: unknown field; remove it"),
        ({"tenant": "globex"}, 400, "invalid_request", "tenant: unknown field"),
        ({"limits": {"max_steps": 0}}, 400, "invalid_request", "limits.max_steps"),
        ({"limits": {"max_cost_usd": 3}}, 400, "invalid_request", "above the agent's own limit"),
        ({"metadata": {"a": 1}}, 400, "invalid_request", "metadata.a"),
    ],
)
def test_a_bad_request_is_answered_with_what_to_do(
    world: World, changes: dict[str, Any], status: int, code: str, says_what: str
) -> None:
    got, body, headers = call(submit(**changes))
    assert (got, body["code"], body["status"]) == (status, code, status)
    assert headers["content-type"] == "application/problem+json"
    assert says_what in body["detail"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"goal": "Refund \ud800."}, "goal"),
        ({"user_id": "\udfff"}, "user_id"),
        ({"agent": "\ud83d"}, "agent"),
        ({"metadata": {"a": "\ud800"}}, "metadata.a"),
        ({"metadata": {"\ud800": "a"}}, "metadata"),
        ({"webhook": {"url": "https://example.com/\ud800"}}, "webhook.url"),
        ({"\ud800": "a"}, "body"),
    ],
)
def test_half_a_character_is_refused_before_it_can_be_stored(
    world: World, changes: dict[str, Any], field: str
) -> None:
    status, problem, _ = call(submit(**changes))
    assert (status, problem["code"]) == (400, "invalid_request")
    assert problem["errors"][0]["field"].startswith(field)
    assert "surrogate" in problem["detail"]
    assert len(world.inbox) == 0


def test_a_character_beyond_the_basic_plane_is_whole(world: World) -> None:
    event = submit()
    event["body"] = '{"goal": "Say \\ud83d\\ude00"}'
    status, task, _ = call(event)
    assert (status, task["goal"]) == (202, "Say \U0001f600")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [("{", "not valid JSON"), ("", "body"), ("[]", "body"), ("null", "body"), ('"x"', "body")],
)
def test_a_body_that_is_no_object_is_refused(world: World, body: str, complaint: str) -> None:
    event = envelope("api/submit")
    event["body"] = body
    status, problem, _ = call(event)
    assert (status, problem["code"]) == (400, "invalid_request")
    assert complaint in problem["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "advice"),
    [
        (b"\xff\xfe", "application/json", "send JSON in UTF-8"),
        (b'{"goal": "Help."}', "application/octet-stream", "content-type: application/json"),
        # What curl -d sends unless it is told otherwise.
        (
            b'{"goal": "Help."}',
            "application/x-www-form-urlencoded",
            "content-type: application/json",
        ),
        (b"[" * 200_000, "application/json", "levels deep"),
        (b"[" * 33 + b"]" * 33, "application/json", "more than 32 levels deep"),
        (b'{"limits": {"max_steps": ' + b"9" * 5_000 + b"}}", "application/json", "smaller"),
    ],
    ids=["not UTF-8", "bytes", "form", "deep", "one too deep", "digits"],
)
@pytest.mark.parametrize("as_base64", [False, True])
@pytest.mark.parametrize("path", ["/v1/tasks", f"{A_TASK}/resume", f"{A_TASK}/fork"])
def test_a_body_that_cannot_be_read_is_refused(
    world: World, body: bytes, content_type: str, advice: str, path: str, *, as_base64: bool
) -> None:
    event = envelope("api/submit")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["headers"]["content-type"] = content_type
    event["isBase64Encoded"] = as_base64 or b"\xff" in body
    event["body"] = base64.b64encode(body).decode() if event["isBase64Encoded"] else body.decode()
    status, problem, headers = call(event)
    assert (status, problem["code"]) == (400, "invalid_request")
    assert advice in problem["detail"]
    assert headers["content-type"] == "application/problem+json"


def test_a_body_in_base64_is_read(world: World) -> None:
    event = envelope("api/submit")
    event["body"] = base64.b64encode(event["body"].encode()).decode()
    event["isBase64Encoded"] = True
    assert call(event)[0] == 202


def test_a_missing_body_is_refused(world: World) -> None:
    event = envelope("api/submit")
    del event["body"]
    status, problem, _ = call(event)
    assert (status, problem["code"]) == (400, "invalid_request")


def test_a_body_above_the_limit_is_refused_before_it_is_parsed(world: World) -> None:
    status, problem, headers = call(submit(goal="x" * 300_000))
    assert (status, problem["code"]) == (413, "body_too_large")
    assert "262144" in problem["detail"]
    assert headers["content-type"] == "application/problem+json"


def test_the_same_key_with_another_body_is_refused(world: World) -> None:
    call(envelope("api/submit"))
    status, problem, _ = call(submit(goal="Something else."))
    assert (status, problem["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("task_id", ["task_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "nonsense", "task_x%23y"])
def test_unknown_ids_are_not_found(world: World, task_id: str) -> None:
    for suffix, method in (("", "GET"), ("/steps", "GET"), ("/cancel", "POST")):
        event = envelope("api/get_task")
        event["rawPath"] = event["requestContext"]["http"]["path"] = f"/v1/tasks/{task_id}{suffix}"
        event["requestContext"]["http"]["method"] = method
        status, problem, _ = call(event)
        assert (status, problem["code"]) == (404, "not_found")


def test_another_tenants_task_is_not_found(world: World) -> None:
    call(envelope("api/submit"))
    for name in ("api/get_task", "api/cancel"):
        event = envelope(name)
        event["requestContext"]["authorizer"]["lambda"]["tenant"] = "globex"
        status, problem, _ = call(event)
        assert (status, problem["code"]) == (404, "not_found")


def test_a_request_past_the_authorizer_is_refused(world: World) -> None:
    event = envelope("api/submit")
    del event["requestContext"]["authorizer"]
    status, problem, _ = call(event)
    assert (status, problem["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("query", ["wait=26", "wait=x", "wait=-1"])
def test_a_wait_is_bounded(world: World, query: str) -> None:
    event = envelope("api/get_task")
    event["rawQueryString"] = query
    event["queryStringParameters"] = dict([query.split("=")])
    status, problem, _ = call(event)
    assert (status, problem["code"]) == (400, "invalid_request")
    assert "wait" in problem["detail"]


def test_an_unknown_path_is_a_problem_too(world: World) -> None:
    event = envelope("api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = "/v2/nothing"
    status, problem, headers = call(event)
    assert (status, problem["code"]) == (404, "not_found")
    assert headers["content-type"] == "application/problem+json"


def test_a_service_that_is_down_is_503_and_a_bug_is_500_without_details(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, expected in ((StoreUnavailable("throttled"), 503), (KeyError("secret"), 500)):

        def broken(*_: object, _error: Exception = error, **__: object) -> None:
            raise _error

        monkeypatch.setattr(world.store, "load_tip", broken)
        status, problem, _ = call(envelope("api/get_task"))
        assert status == expected
        assert "secret" not in json.dumps(problem)


def test_the_openapi_document_is_published_and_complete(world: World) -> None:
    event = envelope("api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = "/v1/openapi.json"
    status, document, _ = call(event)
    assert (status, document["openapi"]) == (200, "3.1.0")
    published = {route.partition(" ")[2] for route in ROUTE_SCOPES} - {"/v1/openapi.json"}
    assert set(document["paths"]) == published
    assert "202" in document["paths"]["/v1/tasks"]["post"]["responses"]


def test_health_says_that_the_settings_are_complete(world: World) -> None:
    event = envelope("api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = "/v1/health"
    assert call(event)[:2] == (200, {"status": "ok", "version": "v1"})


def test_a_task_that_could_reach_a_model_without_a_price_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpriced = DeployedModels(routes=(Route("planning simple", ("dream-7",)),))
    submit = replace(world.submit, models=unpriced)
    monkeypatch.setattr(current, "wiring", lambda: wired(world, submit=submit))
    status, body, _ = call(envelope("api/submit"))
    assert (status, body["code"]) == (400, "unpriced_model")
    assert "route 'planning simple' leads to model 'dream-7'" in body["detail"]
    assert "cdk/models.yaml" in body["detail"]


def test_events_are_read_page_by_page(world: World) -> None:
    _, task, _ = call(envelope("api/submit"))
    world.run(TaskRef("acme", task["task_id"]))
    path = f"/v1/tasks/{task['task_id']}/events"
    status, first, _ = call(get(path, limit="2"))
    assert status == 200
    assert [event["type"] for event in first["events"]] == ["task.created", "step.completed"]
    _, second, _ = call(get(path, after=first["next_cursor"], wait="5"))
    assert [event["type"] for event in second["events"]] == ["task.succeeded"]
    assert (second["status"], second["task_id"]) == ("succeeded", task["task_id"])
    status, problem, _ = call(get(path, after="made-up"))
    assert (status, problem["code"]) == (400, "invalid_request")


def test_tasks_are_listed_by_session_and_time(world: World) -> None:
    _, talk, _ = call(submit(session_id="talk"))
    following = submit(session_id="other")
    del following["headers"]["idempotency-key"]
    _, other, _ = call(following)
    _, listed, _ = call(get("/v1/tasks", session_id="talk"))
    assert [task["task_id"] for task in listed["tasks"]] == [talk["task_id"]]
    _, listed, _ = call(
        get("/v1/tasks", created_after="1970-01-01T00:00:00+00:00", status="queued")
    )
    assert [t["task_id"] for t in listed["tasks"]] == [other["task_id"], talk["task_id"]]
    _, listed, _ = call(get("/v1/tasks", created_before="1970-01-01T00:00:00Z"))
    assert listed["tasks"] == []
    for query in ({"created_after": "yesterday"}, {"created_after": "2026-01-01T00:00:00"}):
        assert call(get("/v1/tasks", **query))[0] == 400
    assert call(get("/v1/tasks", session_id="not a session"))[0] == 400


def get(path: str, **query: str) -> dict[str, Any]:
    event = envelope("api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["queryStringParameters"] = query
    event["rawQueryString"] = "&".join(f"{name}={value}" for name, value in query.items())
    return event


def test_a_content_type_that_is_not_json_is_refused_also_without_a_body(world: World) -> None:
    event = submit()
    event["headers"]["content-type"] = "text/plain"
    for body in (event["body"], "", None):
        status, problem, _ = call({**event, "body": body})
        assert (status, problem["code"]) == (400, "invalid_request")
        assert "application/json" in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/v1/tasks", "GET, POST"), ("TRACE", "/v1/health", "GET"), ("PATCH", A_TASK, "GET")],
)
def test_another_method_is_answered_with_those_that_there_are(
    world: World, method: str, path: str, allowed: str
) -> None:
    event = get(path)
    event["requestContext"]["http"]["method"] = method
    status, problem, headers = call(event)
    assert (status, problem["code"], headers["allow"]) == (405, "method_not_allowed", allowed)


def test_null_is_no_body(world: World) -> None:
    _, task, _ = call(envelope("api/submit"))
    for verb in ("resume", "fork"):
        event = submit()
        event["rawPath"] = f"/v1/tasks/{task['task_id']}/{verb}"
        event["requestContext"]["http"]["path"] = event["rawPath"]
        event["body"] = "null"
        status, problem, _ = call(event)
        assert (status, problem["detail"]) == (400, "the body is null; send a JSON object")


@pytest.mark.parametrize("moment", ["0.5", "1700000000", "2026-01-01", "2026-01-01T00:00:00"])
def test_a_time_without_a_zone_or_that_is_none_is_refused(world: World, moment: str) -> None:
    status, problem, _ = call(get("/v1/tasks", created_after=moment))
    assert (status, problem["code"]) == (400, "invalid_request")
