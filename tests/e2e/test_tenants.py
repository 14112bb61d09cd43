"""Tenants that are suspended, on the whole stack, by the command line."""

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
