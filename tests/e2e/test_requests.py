"""Requests that cannot be carried out: each gets its status, a stable code, and a detail that says what to do."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.stage import OTHER_KEY, Stage, api_client

ACCEPTED = {"goal": "A goal that is stopped before it costs anything."}
AN_ID = "task_01ARZ3NDEKTSV4RRFFQ69G5FAV"


@dataclass(frozen=True)
class Refused:
    """A request and the problem that answers it."""

    method: str
    path: str
    problem: tuple[int, str]
    detail: str
    request: dict[str, Any]


def post(problem: tuple[int, str], detail: str, **request: Any) -> Refused:
    return Refused("POST", "/v1/tasks", problem, detail, request)


def get(path: str, problem: tuple[int, str], detail: str, **request: Any) -> Refused:
    return Refused("GET", path, problem, detail, request)


INVALID, NOT_FOUND, TOO_LARGE = (
    (400, "invalid_request"),
    (404, "not_found"),
    (413, "body_too_large"),
)
JSON_TYPE = {"content-type": "application/json"}
REFUSED = {
    "no goal": post(INVALID, "goal: is required", json={}),
    "empty goal": post(
        INVALID, "goal: String should have at least 1 character", json={"goal": " "}
    ),
    "unknown agent": post(
        (400, "unknown_agent"),
        "choose one of: research, support",
        json={**ACCEPTED, "agent": "nobody"},
    ),
    "unknown field": post(
        INVALID, "colour: unknown field; remove it", json={**ACCEPTED, "colour": "red"}
    ),
    "limit above the agent's": post(
        INVALID, "ask for less", json={**ACCEPTED, "limits": {"max_steps": 31}}
    ),
    "private webhook": post(
        INVALID, "give a host name", json={**ACCEPTED, "webhook": {"url": "https://10.0.0.1/"}}
    ),
    "300 KB": post(
        TOO_LARGE, "the limit is 262144", json={**ACCEPTED, "metadata": {"a": "x" * 300_000}}
    ),
    "broken JSON": post(INVALID, "not valid JSON", content=b'{"goal": "x"', headers=JSON_TYPE),
    "not UTF-8": post(INVALID, "send JSON in UTF-8", content=b"\xff\xfe", headers=JSON_TYPE),
    "a form": post(INVALID, "content-type: application/json", data=ACCEPTED),
    "no body": post(INVALID, "body: is required"),
    "long wait": get(
        f"/v1/tasks/{AN_ID}", INVALID, "less than or equal to 25", params={"wait": 26}
    ),
    "odd status": get("/v1/tasks", INVALID, "'queued', 'running'", params={"status": "odd"}),
    "odd cursor": get("/v1/tasks", INVALID, "use next_cursor", params={"cursor": "%%%"}),
    "unknown id": get(f"/v1/tasks/{AN_ID}", NOT_FOUND, "GET /v1/tasks lists yours"),
    "odd id": get("/v1/tasks/odd/steps", NOT_FOUND, "GET /v1/tasks lists yours"),
    "unknown path": get("/v1/nothing", NOT_FOUND, "see /v1/openapi.json"),
    "resume of an unknown id": Refused(
        "POST", f"/v1/tasks/{AN_ID}/resume", NOT_FOUND, "GET /v1/tasks lists yours", {}
    ),
    "resume with an unknown limit": Refused(
        *("POST", f"/v1/tasks/{AN_ID}/resume", INVALID, "limits.max_hops: unknown field"),
        {"json": {"limits": {"max_hops": 3}}},
    ),
    "resume with a form": Refused(
        *("POST", f"/v1/tasks/{AN_ID}/resume", INVALID, "content-type: application/json"),
        {"data": ACCEPTED},
    ),
    "fork of an unknown id": Refused(
        "POST", f"/v1/tasks/{AN_ID}/fork", NOT_FOUND, "GET /v1/tasks lists yours", {}
    ),
    "fork with another goal": Refused(
        *("POST", f"/v1/tasks/{AN_ID}/fork", INVALID, "goal: unknown field"), {"json": ACCEPTED}
    ),
    "unknown method": Refused(
        "PUT", "/v1/tasks", (405, "method_not_allowed"), "/v1/tasks takes GET, POST", {}
    ),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_done_is_a_problem_that_says_what_to_do(
    stage: Stage, refused: Refused
) -> None:
    answer = stage.http.request(refused.method, refused.path, **refused.request)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == refused.problem
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:ratchet:problem:{problem['code']}"
    assert refused.detail in problem["detail"]


def test_a_key_with_another_body_is_refused(stage: Stage) -> None:
    headers = {"Idempotency-Key": "once"}
    first = stage.http.post("/v1/tasks", json=ACCEPTED, headers=headers)
    other = stage.http.post("/v1/tasks", json={"goal": "Something else."}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert "use a new key" in other.json()["detail"]
    stage.outcome(first.json()["task_id"])


@pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("GET", "/steps"), ("POST", "/cancel"), ("POST", "/resume"), ("POST", "/fork")],
)
def test_another_tenants_task_does_not_exist(stage: Stage, method: str, suffix: str) -> None:
    task_id = stage.submit(ACCEPTED["goal"])
    foreign = stage.other_tenant.request(method, f"/v1/tasks/{task_id}{suffix}")
    missing = stage.other_tenant.request(method, f"/v1/tasks/{AN_ID}{suffix}")
    assert (foreign.status_code, foreign.json()["code"]) == NOT_FOUND
    assert foreign.text.replace(task_id, AN_ID) == missing.text
    assert stage.outcome(task_id)["status"] == "succeeded"


def test_tenants_share_neither_lists_nor_idempotency_keys(stage: Stage) -> None:
    headers = {"Idempotency-Key": "shared by two tenants"}
    mine = stage.http.post("/v1/tasks", json=ACCEPTED, headers=headers)
    theirs = stage.other_tenant.post("/v1/tasks", json={"goal": "Other."}, headers=headers)
    assert [mine.status_code, theirs.status_code] == [202, 202]
    listed = stage.other_tenant.get("/v1/tasks").json()["tasks"]
    assert [task["task_id"] for task in listed] == [theirs.json()["task_id"]]
    stage.outcome(mine.json()["task_id"])
    path = f"/v1/tasks/{theirs.json()['task_id']}"
    ended = stage.other_tenant.get(path, params={"wait": 25}).json()
    assert ended["status"] == "succeeded"


# API Gateway itself answers these. It keeps an authorizer's answer for five minutes, and the authorizer
# the keys that it read: a new key works at once only if nothing has been asked before.
def test_without_a_key_the_gateway_refuses(stage: Stage) -> None:
    answer = stage.stranger.get("/v1/tasks")
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})


@pytest.mark.parametrize("key", ["wrong", OTHER_KEY.upper(), f"{OTHER_KEY}x"])
def test_with_a_wrong_key_the_gateway_refuses(stage: Stage, key: str) -> None:
    with api_client(stage.stack.api_url, key) as client:
        answer = client.get("/v1/tasks")
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})


def test_health_and_schema_are_open_to_all(stage: Stage) -> None:
    assert stage.stranger.get("/v1/health").json() == {"status": "ok", "version": "v1"}
    assert stage.stranger.get("/v1/openapi.json").json()["openapi"] == "3.1.0"


def test_a_list_goes_on_where_its_cursor_says_for_its_tenant_alone(stage: Stage) -> None:
    made = [stage.submit(f"goal {number}: is it warm?") for number in range(3)]
    first = stage.http.get("/v1/tasks", params={"limit": 2}).json()
    assert [task["task_id"] for task in first["tasks"]] == [made[2], made[1]]
    following = {"limit": 2, "cursor": first["next_cursor"]}
    second = stage.http.get("/v1/tasks", params=following).raise_for_status().json()
    assert second["tasks"][0]["task_id"] == made[0]
    for refused in (
        stage.other_tenant.get("/v1/tasks", params=following),
        stage.http.get("/v1/tasks", params={**following, "agent": "support"}),
        stage.http.get("/v1/interrupts", params=following),
    ):
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
