from typing import Any

import httpx

from tests.unit.shared.cli.conftest import TASK_ID, Command, FakeApi, ok, step, steps, task, usage

PATH = f"/v1/tasks/{TASK_ID}"


def group(key: str | None, cost_usd: float, count: int = 3) -> dict[str, Any]:
    return {**together(cost_usd, count), "key": key}


def together(cost_usd: float, count: int = 3) -> dict[str, Any]:
    return {"steps": count, "usage": usage(12_345, 1_000), "cost_usd": cost_usd}


def report(*groups: dict[str, Any], rest: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "first_day": "2026-11-01",
        "last_day": "2026-11-30",
        "by": "model",
        "groups": list(groups),
        "rest": rest,
        "total": together(1.25, 9),
    }


def test_usage_asks_for_the_days_and_shows_a_row_for_each_group(
    api: FakeApi, ratchet: Command
) -> None:
    api.on("GET /v1/usage", ok(report(group("gpt-4o", 1.2), group(None, 0.001234))))

    done = ratchet("usage", "--from", "2026-11-01", "--to", "2026-11-30", "--by", "model")

    assert done.code == 0
    query = dict(api.requests[-1].url.params)
    assert query == {"from": "2026-11-01", "to": "2026-11-30", "by": "model"}
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[1] == ["gpt-4o", "3", "12,345", "1,000", "0", "$1.20"]
    assert rows[2] == ["-", "3", "12,345", "1,000", "0", "$0.001234"]
    assert rows[3] == ["total", "9", "12,345", "1,000", "0", "$1.25"]


def test_usage_without_days_leaves_them_to_the_api(api: FakeApi, ratchet: Command) -> None:
    api.on("GET /v1/usage", ok(report(group("gpt-4o", 1.2))))
    ratchet("usage")

    assert dict(api.requests[-1].url.params) == {"by": "day"}


def test_usage_as_json_is_what_the_api_answered(api: FakeApi, ratchet: Command) -> None:
    answer = report(group("gpt-4o", 1.2), rest=together(0.05))
    api.on("GET /v1/usage", ok(answer))

    assert ratchet("usage", "--json").json == answer


def test_groups_that_are_not_shown_are_one_row(api: FakeApi, ratchet: Command) -> None:
    api.on("GET /v1/usage", ok(report(group("u-1", 1.2), rest=together(0.05, 6))))

    rows = [line.split() for line in ratchet("usage", "--by", "user").out.splitlines()]
    assert rows[2] == ["(others)", "6", "12,345", "1,000", "0", "$0.05"]


def test_an_empty_ledger_says_for_which_days(api: FakeApi, ratchet: Command) -> None:
    api.on("GET /v1/usage", ok(report()))

    assert "from 2026-11-01 to 2026-11-30" in ratchet("usage").err


def test_days_that_the_api_refuses_are_told(api: FakeApi, ratchet: Command) -> None:
    problem = {
        "type": "urn:ratchet:problem:invalid_request",
        "title": "The request is not valid",
        "status": 400,
        "detail": "from, to: at most 92 days, both included",
        "code": "invalid_request",
    }
    api.on("GET /v1/usage", httpx.Response(400, json=problem))
    done = ratchet("usage", "--from", "2025-01-01")

    assert done.code == 1
    assert "at most 92 days" in done.err


def test_show_prints_models_and_aws_side_by_side(api: FakeApi, ratchet: Command) -> None:
    cost = {
        "models_usd": 0.001234,
        "aws_usd": 0.0019,
        "total_usd": 0.003134,
        "aws": {"Step Functions": 0.00135, "Lambda": 0.00055},
    }
    api.on(f"GET {PATH}", ok(task(cost=cost)))
    api.on(f"GET {PATH}/steps", ok(steps(step(1))))
    shown = ratchet("show", TASK_ID).out

    assert "cost:  $0.001234 models + $0.001900 AWS (estimated) = $0.003134" in shown
    assert "AWS:   Step Functions $0.001350, Lambda $0.000550" in shown


def test_show_of_a_deployment_that_tells_no_cost_prints_none(
    api: FakeApi, ratchet: Command
) -> None:
    api.on(f"GET {PATH}", ok(task()))
    api.on(f"GET {PATH}/steps", ok(steps(step(1))))

    assert "AWS:" not in ratchet("show", TASK_ID).out
