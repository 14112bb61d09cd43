from typing import Any

import pytest

from ratchet.cli.demo_checks import check_demo
from ratchet.cli.demo_run import DemoTask
from ratchet.contracts.step_api import StepView
from ratchet.contracts.task_api import TaskView
from tests.unit.shared.cli.conftest import step, task, usage

ROUTES = [
    ("planning", "simple", "o3-mini"),
    ("tool_dispatch", "simple", "gpt-4o-mini"),
    ("reasoning", "complex", "gpt-4o"),
    ("final_synthesis", "complex", "o3"),
]
EVENT = {"type": "task.succeeded", "data": {"task_id": "x"}}


def demo_task(**changes: Any) -> DemoTask:
    result = {"answer": "195 Ah [sizing].", "sources": ["sizing", "safety"]}
    view = task(steps=4, result=result, cost_usd=0.004, usage=usage(400))
    listed = [
        step(n, type=t, complexity=c, model=m, cost_usd=0.001)
        for n, (t, c, m) in enumerate(ROUTES, start=1)
    ]
    webhook, sns = changes.pop("webhook", EVENT), changes.pop("sns", EVENT)
    steps = tuple(StepView.model_validate(s) for s in changes.pop("steps", listed))
    return DemoTask(TaskView.model_validate({**view, **changes}), steps, webhook, sns)


def failed(demo: DemoTask, *, scripted: bool = True) -> list[str]:
    return [check.name for check in check_demo([demo], scripted=scripted) if not check.ok]


def test_everything_checks_out() -> None:
    assert failed(demo_task()) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"status": "failed"}, "tasks"),
        ({"progress": {"steps": 5, "next_step": None}}, "steps"),
        ({"result": {"answer": "195 Ah [made-up].", "sources": ["sizing"]}}, "answers"),
        ({"result": {"answer": "195 Ah.", "sources": ["sizing"]}}, "answers"),
        ({"result": "195 Ah"}, "answers"),
        ({"cost_usd": 0.0041}, "costs"),
        ({"webhook": None}, "webhooks"),
        ({"sns": {**EVENT, "type": "task.failed"}}, "SNS"),
    ],
)
def test_each_broken_promise_is_named(changes: dict[str, Any], name: str) -> None:
    assert failed(demo_task(**changes)) == [name]


def test_a_missing_route_counts_only_with_the_script() -> None:
    simple = [step(n, type=t, cost_usd=0.001) for n, (t, _, _) in enumerate(ROUTES, start=1)]

    assert failed(demo_task(steps=simple)) == ["routing"]
    assert failed(demo_task(steps=simple), scripted=False) == []
