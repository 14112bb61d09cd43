"""Tenants may run one task each: the second waits and then runs, and who waits for a person holds nothing."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import SharedStage
from tests.e2e.goals import refund, research
from tests.e2e.stage import STEP_TIMEOUT_SECONDS, Stage
from tests.e2e.waiting import wait_until
from tests.e2e.wire import Phase, ends_effect, puts_step

pytestmark = pytest.mark.usefixtures("no_stage")


@pytest.fixture(scope="module")
def one_place(
    tmp_path_factory: pytest.TempPathFactory, shared_stage: SharedStage
) -> Iterator[Stage]:
    shared_stage.close()
    context = {"step_timeout_seconds": str(STEP_TIMEOUT_SECONDS), "tenant_running_tasks": "1"}
    with Stage.start(tmp_path_factory.mktemp("one-place"), context=context) as stage:
        yield stage


def _wait_in_line(stage: Stage, task_id: str) -> None:
    wait_until(
        lambda: stage.task(task_id)["waiting_for"] == "tenant_limit", f"{task_id} to stand in line"
    )


def test_the_second_task_waits_and_runs_when_the_first_has_ended(one_place: Stage) -> None:
    with one_place.wire.hold(puts_step(1), Phase.REQUEST) as gate:
        first = one_place.submit(research("place-first"))
        gate.wait_reached()
        second = one_place.submit(research("place-second"))
        _wait_in_line(one_place, second)
        assert one_place.task(second)["status"] == "queued"
        assert one_place.executions(second) == []
    assert one_place.outcome(first)["status"] == "succeeded"
    assert one_place.outcome(second)["status"] == "succeeded"
    ended = one_place.task(first)["updated_at"]
    assert one_place.steps(second)[0]["started_at"] >= ended


def test_while_a_task_asks_a_person_the_next_one_runs_and_once_answered_it_waits_for_its_turn(
    one_place: Stage,
) -> None:
    with one_place.wire.hold(ends_effect, Phase.REQUEST) as gate:
        asking = one_place.submit(refund("place-asking", "A-1007"), agent="support")
        gate.wait_reached()
        second = one_place.submit(research("place-beside"))
        _wait_in_line(one_place, second)
        one_place.kill("StepExecutor")
        (asked,) = one_place.asks(asking)
    assert one_place.outcome(second)["status"] == "succeeded"
    assert one_place.task(asking)["status"] == "input_required"
    with one_place.wire.hold(puts_step(1), Phase.REQUEST) as gate:
        third = one_place.submit(research("place-third"))
        gate.wait_reached()
        assert one_place.answer(asking, asked["id"], "happened").status_code == 200
        _wait_in_line(one_place, asking)
    assert one_place.outcome(third)["status"] == "succeeded"
    assert one_place.outcome(asking)["status"] == "succeeded"
    assert len([e for e in one_place.refunds() if e["task_id"] == asking]) == 1
