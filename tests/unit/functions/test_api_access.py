"""Who may call what: scopes, users, and identities of every kind."""

import json
import re
from typing import Any

import pytest

from functions.api import current
from functions.api.application import openapi_document
from functions.api.wiring import Wiring
from ratchet.contracts.access import ROUTE_SCOPES, Identity
from ratchet.contracts.limits import MAX_USER_ID_CHARS
from ratchet.contracts.names import Scope
from tests.api_wiring import wired
from tests.envelopes import envelope
from tests.unit.functions.test_api import AGENT, call, submit
from tests.unit.shared.app.world import World

JWT = Identity("jwt", jwt_issuer="https://id.example.com")
GUARDED = sorted(key for key, scope in ROUTE_SCOPES.items() if scope is not None)
ISSUER_CLAIMS = {"iss": "https://id.example.com", "aud": "ratchet", "sub": "ann", "tenant": "acme"}


def deployment() -> tuple[World, Wiring]:
    world = World(AGENT)
    return world, wired(world)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world, wiring = deployment()
    monkeypatch.setattr(current, "wiring", lambda: wiring)
    return world


def request(route: str, authorizer: dict[str, Any] | None, body: str = "{}") -> dict[str, Any]:
    method, path = route.split(" ")
    event = envelope("api/submit")
    event["rawPath"] = re.sub(r"\{\w+\}", "task_01ARZ3NDEKTSV4RRFFQ69G5FAV", path)
    event["requestContext"]["http"] |= {"method": method, "path": event["rawPath"]}
    event["body"] = body
    del event["requestContext"]["authorizer"]
    if authorizer is not None:
        event["requestContext"]["authorizer"] = authorizer
    return event


def key(*scopes: Scope, **more: str) -> dict[str, Any]:
    return {"lambda": {"tenant": "acme", "scopes": " ".join(scopes), **more}}


def jwt(**claims: str) -> dict[str, Any]:
    return {"jwt": {"claims": {**ISSUER_CLAIMS, **claims}, "scopes": None}}


def test_every_route_that_is_answered_has_its_scope_and_no_other_has() -> None:
    paths = json.loads(openapi_document())["paths"]
    published = {f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs}
    assert set(ROUTE_SCOPES) == published | {"GET /v1/openapi.json"}
    opened = {route for route, scope in ROUTE_SCOPES.items() if scope is None}
    assert opened == {"GET /v1/health", "GET /v1/openapi.json"}


@pytest.mark.parametrize("route", GUARDED)
def test_a_route_is_refused_without_its_scope_before_anything_is_parsed(
    world: World, route: str
) -> None:
    needed = ROUTE_SCOPES[route]
    others = [scope for scope in Scope if scope is not needed]
    status, problem, _ = call(request(route, key(*others), body="{not json"))
    assert (status, problem["code"]) == (403, "insufficient_scope")
    assert problem["detail"] == (
        f"{route} needs the scope {needed}; yours: {', '.join(sorted(others))}"
    )


@pytest.mark.parametrize("route", GUARDED)
def test_a_route_goes_on_with_nothing_but_its_scope(world: World, route: str) -> None:
    scope = ROUTE_SCOPES[route]
    assert scope is not None
    assert call(request(route, key(scope)))[0] in {200, 400, 404}


@pytest.mark.parametrize("route", GUARDED)
@pytest.mark.parametrize(
    "authorizer",
    [
        None,
        {},
        {"lambda": {}},
        {"lambda": {"tenant": None}},
        jwt(scope="admin decide read submit"),  # of another kind than the deployment's
        {"iam": {"accountId": "210987654321", "userArn": "arn:aws:iam::210987654321:user/a"}},
    ],
)
def test_nobody_is_let_in_whom_this_deployments_authorizer_did_not_verify(
    world: World, route: str, authorizer: dict[str, Any] | None
) -> None:
    status, problem, _ = call(request(route, authorizer))
    assert (status, problem["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("claimed", ["acme#TASK", "a/b", "", " ", "x" * 129, "TENANT#acme"])
def test_a_verified_tenant_that_could_leave_its_place_in_a_key_is_refused(
    world: World, claimed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "identity", lambda: JWT)
    status, problem, _ = call(request("GET /v1/tasks", jwt(tenant=claimed, scope="read")))
    assert (status, problem["code"]) == (401, "unauthorized")


def test_a_verified_user_whose_memory_could_not_be_named_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "identity", lambda: JWT)
    longest = "u" * MAX_USER_ID_CHARS
    assert call(request("GET /v1/tasks", jwt(sub=longest, scope="read")))[0] == 200
    longer = jwt(sub=f"{longest}u", scope="read")
    status, problem, _ = call(request("GET /v1/tasks", longer))
    assert (status, problem["code"]) == (401, "unauthorized")
    assert "more than 128 characters" in problem["detail"]


@pytest.mark.parametrize(
    ("granted", "prefix"),
    [
        ("openid read", ""),
        ("[openid read]", ""),
        ("ratchet/read other/submit", "ratchet/"),
        ("[ratchet/read submit]", "ratchet/"),
    ],
)
def test_a_token_may_do_what_its_scope_claim_says(
    world: World, granted: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = Identity("jwt", jwt_scope_prefix=prefix)
    monkeypatch.setattr(current, "identity", lambda: identity)
    assert call(request("GET /v1/tasks", jwt(scope=granted)))[0] == 200
    status, problem, _ = call(request("POST /v1/tasks", jwt(scope=granted)))
    assert (status, problem["code"]) == (403, "insufficient_scope")


def test_the_claims_of_tenant_user_and_scope_are_those_that_the_deployment_names(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = Identity(
        "jwt", jwt_tenant_claim="org", jwt_user_claim="email", jwt_scope_claim="permissions"
    )
    monkeypatch.setattr(current, "identity", lambda: identity)
    caller = jwt(org="globex", email="ann@example.com", permissions="[submit]")
    event = request("POST /v1/tasks", caller, json.dumps({"goal": "Help."}))
    status, task, _ = call(event)
    assert (status, task["user_id"]) == (202, "ann@example.com")
    bell = world.inbox.receive()
    assert bell is not None
    assert bell.task.tenant == "globex"
    # A token without the claim names nobody.
    assert call(request("GET /v1/tasks", jwt(permissions="[read]")))[0] == 401


@pytest.mark.parametrize(
    ("arn", "tenant"),
    [
        ("arn:aws:sts::210987654321:assumed-role/ops/ann", "210987654321:role:ops"),
        ("arn:aws:iam::210987654321:user/ann", "210987654321:user:ann"),
        ("arn:aws:iam::210987654321:user/team/ann", "210987654321:user:ann"),
    ],
)
def test_a_principal_can_be_the_tenant(
    world: World, arn: str, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "identity", lambda: Identity("iam", "principal"))
    event = request(
        "POST /v1/tasks",
        {"iam": {"accountId": "210987654321", "userArn": arn}},
        json.dumps({"goal": "Help."}),
    )
    assert call(event)[0] == 202
    bell = world.inbox.receive()
    assert bell is not None
    assert bell.task.tenant == tenant


def test_a_root_user_is_no_tenant_where_principals_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "identity", lambda: Identity("iam", "principal"))
    root = {"iam": {"accountId": "210987654321", "userArn": "arn:aws:iam::210987654321:root"}}
    assert call(request("GET /v1/tasks", root))[0] == 401


@pytest.mark.parametrize(
    ("mine", "asked", "becomes"),
    [("ann", None, "ann"), ("ann", "ann", "ann"), (None, None, None)],
)
def test_who_is_no_admin_acts_for_the_user_of_its_credentials(
    world: World, mine: str | None, asked: str | None, becomes: str | None
) -> None:
    event = submit(user_id=asked)
    user = {} if mine is None else {"user": mine}
    event["requestContext"]["authorizer"] = key(Scope.SUBMIT, **user)
    status, task, _ = call(event)
    assert (status, task["user_id"]) == (202, becomes)


@pytest.mark.parametrize("mine", ["ann", None])
def test_who_is_no_admin_cannot_act_for_another_user(world: World, mine: str | None) -> None:
    event = submit(user_id="bob")
    user = {} if mine is None else {"user": mine}
    event["requestContext"]["authorizer"] = key(Scope.SUBMIT, **user)
    status, problem, _ = call(event)
    assert (status, problem["code"]) == (403, "insufficient_scope")
    assert "admin" in problem["detail"]
    assert world.inbox.receive() is None


def test_an_admin_acts_for_any_user(world: World) -> None:
    event = submit(user_id="bob")
    event["requestContext"]["authorizer"] = key(Scope.SUBMIT, Scope.ADMIN, user="ann")
    assert call(event)[1]["user_id"] == "bob"


def test_a_path_that_is_read_in_two_ways_has_one_route(world: World) -> None:
    # What API Gateway decodes in one place and not in the other must not be two routes.
    event = request("GET /v1/tasks/{task_id}", key(Scope.READ))
    event["requestContext"]["http"]["method"] = "POST"
    event["rawPath"] += "/cancel"
    status, problem, _ = call(event)
    assert (status, problem["code"]) == (403, "insufficient_scope")


def test_the_schema_tells_each_routes_scope_and_this_deployments_scheme() -> None:
    schemes = {}
    for identity in (Identity(), Identity("iam"), JWT):
        document = json.loads(openapi_document(identity))
        schemes[identity.auth] = document["components"]["securitySchemes"]["caller"]
        operations = document["paths"]
        assert operations["/v1/tasks"]["post"]["security"] == [{"caller": ["submit"]}]
        assert operations["/v1/health"]["get"]["security"] == []
        assert {"401", "403", "429"} <= set(operations["/v1/tasks"]["post"]["responses"])
    assert schemes["api_key"] == {"type": "apiKey", "in": "header", "name": "x-api-key"}
    assert (schemes["jwt"]["type"], schemes["jwt"]["scheme"]) == ("http", "bearer")
    assert schemes["iam"]["x-amazon-apigateway-authtype"] == "awsSigv4"
