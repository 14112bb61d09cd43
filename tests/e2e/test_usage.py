"""What was used, over HTTP, from the deployed functions and table."""

import pytest

from tests.e2e.goals import research
from tests.e2e.stage import Json, Stage
from tests.e2e.waiting import wait_until


def _usage(stage: Stage, **query: str) -> Json:
    answer = stage.http.get("/v1/usage", params=query)
    assert answer.status_code == 200, answer.text
    report: Json = answer.json()
    return report


def test_a_finished_task_is_in_the_ledger_and_tells_its_aws_side(stage: Stage) -> None:
    task = stage.outcome(stage.submit(research("usage"), user_id="u-usage"))

    def mine() -> Json | None:
        groups = _usage(stage, by="user")["groups"]
        return next((group for group in groups if group["key"] == "u-usage"), None)

    group = wait_until(mine, "the deliverer has counted the task")
    assert (group["usage"], group["cost_usd"]) == (task["usage"], task["cost_usd"])
    assert group["steps"] == task["progress"]["steps"]

    def agree() -> bool:  # tasks of other tests may be counted between two looks
        day, *others = [_usage(stage, by=n)["total"] for n in ("day", "model", "agent", "user")]
        return all(other == day for other in others)

    wait_until(agree, "the same total by day, model, agent and user")

    cost = task["cost"]
    assert cost["models_usd"] == task["cost_usd"]
    assert cost["total_usd"] == pytest.approx(cost["models_usd"] + cost["aws_usd"])
    assert cost["aws"]["Step Functions"] >= 2 * task["progress"]["steps"] * 0.000025


def test_days_out_of_reach_are_refused(stage: Stage) -> None:
    answer = stage.http.get("/v1/usage", params={"from": "2020-01-01", "to": "2026-01-01"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
