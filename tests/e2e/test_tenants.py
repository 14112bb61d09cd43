"""Tenants that are suspended and erased, on the whole stack, by the command line."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.goals import RESEARCH_STEPS, research
from tests.e2e.stage import Stage, api_client
from tests.e2e.test_callers import folder as folder  # noqa: PLC0414 - a fixture
from tests.e2e.test_callers import keys
from tests.e2e.test_routing_override import ratchet
from tests.e2e.waiting import wait_until

TENANT = "vandelay"


@pytest.fixture
def tenant(stage: Stage, folder: Path) -> Iterator[httpx.Client]:
    """A caller of a tenant of its own: what sandboxes have read of it holds for a while."""
    scopes = ("--scope", "submit", "--scope", "read")
    made = keys(folder, "create", TENANT, *scopes, "--json")
    with closing(api_client(stage.stack.api_url, made["key"])) as http:
        yield http
    tenants(folder, "resume", TENANT)


def tenants(folder: Path, *arguments: str) -> Any:
    done = ratchet(folder, "tenants", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def is_parked(stage: Stage, task_id: str) -> bool:
    arn = stage.execution_arn(task_id)
    history = stage.workflow.get_execution_history(executionArn=arn, maxResults=1_000)
    return any(event["type"] == "WaitStateEntered" for event in history["events"])


def test_a_suspended_tenant_stops_and_goes_on_where_it_was(
    stage: Stage, folder: Path, tenant: httpx.Client
) -> None:
    stage.inject(kind="slow", latency_ms=4_000, goal="^suspended")
    answer = tenant.post("/v1/tasks", json={"goal": research("suspended")})
    task = answer.raise_for_status().json()
    told = tenants(folder, "suspend", TENANT, "--reason", "unpaid")
    assert (told["state"], told["reason"]) == ("suspended", "unpaid")
    assert tenants(folder, "show", TENANT) == told
    wait_until(lambda: is_parked(stage, task["task_id"]), "a step that waits")
    stage.models.clear_faults()

    def refused() -> Any:
        answer = tenant.post("/v1/tasks", json={"goal": research("refused")})
        return answer.json() if answer.status_code == 403 else None

    assert wait_until(refused, "a refusal")["code"] == "tenant_suspended"
    path = f"/v1/tasks/{task['task_id']}"
    assert tenant.get(path).json()["status"] == "running"
    assert tenants(folder, "resume", TENANT) == {"tenant": TENANT, "state": "active"}

    def ended() -> Any:
        found = tenant.get(path, params={"wait": 25}).raise_for_status().json()
        return found if found["status"] == "succeeded" else None

    wait_until(ended, "the end of the task")
    assert len(tenant.get(f"{path}/steps").json()["steps"]) == RESEARCH_STEPS


def test_an_erased_tenant_leaves_nothing_and_others_lose_nothing(
    stage: Stage, folder: Path, tenant: httpx.Client
) -> None:
    other = stage.submit(research("beside-the-erased"))
    stage.outcome(other)
    stage.announced(other)
    path = "/v1/tasks?wait=25"
    tenant.post(path, json={"goal": research("to-be-erased")}).raise_for_status()
    left = everything(stage, "default")
    assert everything(stage, TENANT)
    refused = ratchet(folder, "tenants", "erase", TENANT, "--yes")
    assert (refused.returncode, "is not suspended" in refused.stderr) == (1, True)
    tenants(folder, "suspend", TENANT)
    refused = ratchet(folder, "tenants", "erase", TENANT, "--yes")
    assert (refused.returncode, "can be erased from" in refused.stderr) == (1, True)
    antedate(stage, TENANT)
    done = tenants(folder, "erase", TENANT, "--yes")
    assert done["deleted"]["tasks"] >= 1
    assert done["deleted"]["apikeys items"] == done["deleted"]["api key pointers"] >= 1
    assert set(everything(stage, TENANT)) == {(f"TENANT#{TENANT}#SUSPENSION", "SUSPENSION")}
    assert everything(stage, "default") == left
    assert tenants(folder, "erase", TENANT, "--yes") == {
        "tenant": TENANT,
        "passes": 1,
        "deleted": {},
    }


def antedate(stage: Stage, tenant: str) -> None:
    """Let the suspension have begun long ago, so that the tenant can be erased."""
    stage.dynamodb.update_item(
        TableName=stage.local.outputs["TableName"],
        Key={"pk": {"S": f"TENANT#{tenant}#SUSPENSION"}, "sk": {"S": "SUSPENSION"}},
        UpdateExpression="SET since = :zero",
        ExpressionAttributeValues={":zero": {"N": "0"}},
    )


def everything(stage: Stage, tenant: str) -> dict[tuple[str, str], Any]:
    """All items of the tenant."""
    pages = stage.dynamodb.get_paginator("scan").paginate(
        TableName=stage.local.outputs["TableName"]
    )
    items = [item for page in pages for item in page["Items"]]
    mine = [item for item in items if item["pk"]["S"].startswith(f"TENANT#{tenant}#")]
    return {(item["pk"]["S"], item["sk"]["S"]): item for item in mine}
