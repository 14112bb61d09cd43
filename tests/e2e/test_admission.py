"""A stack whose tenants may run two tasks each: the others wait in the table, and every slot comes back."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import SharedStage
from tests.e2e.goals import RESEARCH_STEPS, research
from tests.e2e.stage import STEP_TIMEOUT_SECONDS, Json, Stage
from tests.e2e.waiting import wait_until
from tests.e2e.wire import Phase, puts_step

pytestmark = pytest.mark.usefixtures("no_stage")

TASKS, LIMIT = 12, 2


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, shared_stage: SharedStage) -> Iterator[Stage]:
    shared_stage.close()
    context = {
        "step_timeout_seconds": str(STEP_TIMEOUT_SECONDS),
        "tenant_running_tasks": str(LIMIT),
        "max_running_tasks": "40",
    }
    with Stage.start(tmp_path_factory.mktemp("narrow"), context=context) as stage:
        yield stage


def _running(stage: Stage) -> dict[str, int]:
    """The counters, by the partition that holds them."""
    pages = stage.dynamodb.get_paginator("scan").paginate(
        TableName=stage.local.outputs["TableName"],
        FilterExpression="sk = :slots",
        ExpressionAttributeValues={":slots": {"S": "SLOTS"}},
    )
    items = [item for page in pages for item in page["Items"]]
    return {item["pk"]["S"]: int(item["running"]["N"]) for item in items}


def _spans(stage: Stage, ids: list[str]) -> list[tuple[str, str]]:
    """From the beginning of each task's first step to the commit of its last."""
    return [
        (stage.steps(task_id)[0]["started_at"], stage.task(task_id)["updated_at"])
        for task_id in ids
    ]


def _most_at_once(spans: list[tuple[str, str]]) -> int:
    return max(sum(begun <= at < ended for begun, ended in spans) for at, _ in spans)


def test_twelve_tasks_run_two_at_a_time_and_all_succeed(narrow: Stage) -> None:
    with narrow.wire.hold(puts_step(1), Phase.REQUEST):
        ids = [narrow.submit(research(f"narrow-{n:02d}")) for n in range(TASKS)]

        def held() -> list[Json] | None:
            tasks = [narrow.task(task_id) for task_id in ids]
            waiting = [t for t in tasks if t["waiting_for"] == "tenant_limit"]
            running = [t for t in tasks if t["status"] == "running"]
            is_held = (len(waiting), len(running)) == (TASKS - LIMIT, LIMIT)
            return tasks if is_held else None

        tasks = wait_until(held, "two tasks that run, and ten that wait for a slot")
        assert sum(task["status"] == "queued" for task in tasks) == TASKS - LIMIT
        assert _running(narrow)["TENANT#default#ADMISSION"] == LIMIT
        assert narrow.sweep()["waiting"] >= TASKS - LIMIT
        cancelled = next(task["task_id"] for task in reversed(tasks) if task["status"] == "queued")
        narrow.http.post(f"/v1/tasks/{cancelled}/cancel").raise_for_status()
    left = [task_id for task_id in ids if task_id != cancelled]
    assert {narrow.outcome(task_id)["status"] for task_id in left} == {"succeeded"}
    for task_id in left:
        assert len(narrow.steps(task_id)) == RESEARCH_STEPS
        assert narrow.task(task_id)["waiting_for"] is None
        assert len(narrow.announced(task_id)) == 1
    assert narrow.executions(cancelled) == []
    assert _most_at_once(_spans(narrow, left)) == LIMIT
    wait_until(lambda: not any(_running(narrow).values()), "every slot to come back")


def test_another_tenants_task_does_not_wait_for_them(narrow: Stage) -> None:
    with narrow.wire.hold(puts_step(1), Phase.REQUEST):
        ids = [narrow.submit(research(f"crowd-{n}")) for n in range(LIMIT + 1)]
        # Doorbells are not heard in order, so any of them may be the one.
        waiting = wait_until(
            lambda: next((i for i in ids if narrow.task(i)["waiting_for"]), None), "one that waits"
        )
        answer = narrow.other_tenant.post("/v1/tasks", json={"goal": research("quiet")})
        quiet = answer.raise_for_status().json()["task_id"]

        def runs() -> bool:
            got = narrow.other_tenant.get(f"/v1/tasks/{quiet}").raise_for_status().json()
            return bool(got["status"] == "running")

        wait_until(runs, "the other tenant's start")
        assert narrow.task(waiting)["status"] == "queued"
    for task_id in ids:
        assert narrow.outcome(task_id)["status"] == "succeeded"
    wait_until(lambda: not any(_running(narrow).values()), "every slot to come back")
