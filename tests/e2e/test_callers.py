"""Who calls, on the whole stack: keys that the command line makes and closes, and an identity provider's tokens."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ratchet.cli.config import DevFile
from ratchet.cli.dev_stack import DevStack
from ratchet.contracts.access import AUTHORIZER_CACHE_SECONDS
from tests.e2e.goals import research
from tests.e2e.stage import Stage, api_client
from tests.e2e.test_routing_override import ratchet
from tests.issuer import AUDIENCE, Issuer, issuer


@pytest.fixture
def folder(stage: Stage, tmp_path: Path) -> Path:
    """Where the commands find the running stack."""
    where = (stage.local.endpoint_url, stage.local.region)
    DevFile(stage.stack.api_url, stage.stack.api_key, os.getpid(), *where).write(tmp_path)
    return tmp_path


def keys(folder: Path, *arguments: str) -> Any:
    done = ratchet(folder, "keys", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


def status_of(stage: Stage, key: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    with closing(api_client(stage.stack.api_url, key)) as http:
        answer = http.request(method, "/v1/tasks", json=body)
        return answer.status_code, answer.json()


def test_a_key_made_by_the_command_line_opens_what_its_scopes_say(
    stage: Stage, folder: Path
) -> None:
    made = keys(folder, "create", "initech", "--scope", "read", "--name", "dashboard", "--json")
    assert status_of(stage, made["key"]) == (200, {"tasks": [], "next_cursor": None})
    status, problem = status_of(stage, made["key"], "POST", {"goal": "Help."})
    assert (status, problem["code"]) == (403, "insufficient_scope")
    (listed,) = keys(folder, "list", "initech", "--json")["keys"]
    assert (listed["id"], listed["state"], listed["scopes"]) == (made["id"], "open", "read")
    assert "key" not in listed


def test_a_key_that_was_revoked_before_its_first_call_opens_nothing(
    stage: Stage, folder: Path
) -> None:
    made = keys(folder, "create", "initech", "--json")
    told = keys(folder, "revoke", made["id"])
    assert (
        f"{AUTHORIZER_CACHE_SECONDS} s" in told
    )  # what API Gateway has seen open may stay so long
    assert status_of(stage, made["key"])[0] == 403


def test_both_keys_open_after_a_rotation_and_act_for_the_same_user(
    stage: Stage, folder: Path
) -> None:
    scopes = ("--scope", "submit", "--scope", "read")
    old = keys(folder, "create", "hooli", *scopes, "--user", "ann", "--days", "30", "--json")
    new = keys(folder, "rotate", old["id"], "--overlap-hours", "1", "--json")
    for number, key in enumerate((old["key"], new["key"])):
        status, task = status_of(stage, key, "POST", {"goal": research(f"rotated-{number}")})
        assert (status, task["user_id"]) == (202, "ann")
    status, problem = status_of(stage, new["key"], "POST", {"goal": "Help.", "user_id": "bob"})
    assert (status, problem["code"]) == (403, "insufficient_scope")


def test_what_cannot_be_done_with_keys_is_said(folder: Path) -> None:
    done = ratchet(folder, "keys", "create", "a#b")
    assert (done.returncode, "no name of a tenant" in done.stderr) == (1, True)
    done = ratchet(folder, "keys", "revoke", "0" * 20)
    assert (done.returncode, "there is no key" in done.stderr) == (1, True)


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.mark.usefixtures("no_stage")
def test_a_token_is_a_caller_of_its_claims_and_nothing_else_is(provider: Issuer) -> None:
    context = {
        "auth": "jwt",
        "jwt_issuer": provider.url,
        "jwt_audience": AUDIENCE,
        "jwt_tenant_claim": "org",
    }
    with DevStack.start(context=context) as stack, closing(api_client(stack.api_url, None)) as http:

        def call(token: str, method: str = "GET", path: str = "", body: Any = None) -> Any:
            headers = {"authorization": f"Bearer {token}"}
            return http.request(method, f"/v1/tasks{path}", headers=headers, json=body)

        ann = provider.token(org="acme", scope="submit read")
        submitted = call(ann, "POST", "?wait=25", {"goal": research("by-token")})
        assert submitted.status_code == 202
        assert submitted.json()["user_id"] == "ann"
        task_id = submitted.json()["task_id"]
        assert call(ann, path=f"/{task_id}").status_code == 200
        bob = provider.token(org="globex", scope="read", sub="bob")
        assert call(bob, path=f"/{task_id}").status_code == 404
        refused = call(bob, "POST", body={"goal": "Help."})
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
        nobody = provider.token(scope="read")  # no tenant
        assert (call(nobody).status_code, call(nobody).json()["code"]) == (401, "unauthorized")
        for bad in (provider.token(org="acme", aud="other"), provider.confused(), "x"):
            assert call(bad).status_code == 401
        assert http.get("/v1/tasks", headers={"x-api-key": "any"}).status_code == 401
        schemes = http.get("/v1/openapi.json").json()["components"]["securitySchemes"]
        assert schemes["caller"]["scheme"] == "bearer"
