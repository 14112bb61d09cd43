"""What any release has stored goes on in this one."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain import keys
from ratchet.domain.steps import End
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench
from tests.golden.tasks import AGENT, TASKS, script
from tests.unit.shared.app.world import World

FILES = sorted(Path(__file__).parent.glob("*/*.json"))


@pytest.fixture
def bench() -> Iterator[DynamoDbBench]:
    with mocked_aws():
        bench = DynamoDbBench()
        yield bench
        bench.close()


def decoded(data: dict[str, Any]) -> Any:
    return base64.b64decode(data["base64"]) if set(data) == {"base64"} else data


def restored(bench: DynamoDbBench, path: Path) -> TaskRef:
    kept = json.loads(path.read_text(encoding="utf-8"), object_hook=decoded)
    for item in kept["items"]:
        bench.client.put_item(TableName=bench.table, Item=item)
    for key, body in kept["payloads"].items():
        bench.s3.put_object(Bucket=bench.bucket, Key=key, Body=body)
    return keys.ref_of(kept["items"][0]["pk"]["S"])


def test_there_is_a_file_of_each_task_for_each_release() -> None:
    releases = {path.parent.name for path in FILES}
    assert {f"{path.parent.name}/{path.stem}" for path in FILES} == {
        f"{release}/{name}" for release in releases for name in TASKS
    }
    assert "0.1.0" in releases


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_task_of_an_older_release_goes_on(path: Path, bench: DynamoDbBench) -> None:
    ref = restored(bench, path)
    golden = TASKS[path.stem]
    world = World(AGENT, chat=script, kept=(bench.store, bench.clock))
    before = world.steps(ref)
    if golden.resumes:
        world.resume(ref)
        world.run(ref)
    elif before:
        world.workflow.kill(ref, 1, cause="the release before")
        world.sweep.reconcile(ref)
        world.continue_from(world.workflow.input_of(ref, 2))
    else:
        world.run(ref)
    tip = world.tip(ref)
    assert tip.state.status is TaskStatus.SUCCEEDED
    assert isinstance(tip.next, End)
    assert tip.next.output == {"summary": "All read."}
    steps = world.steps(ref)
    assert steps[: len(before)] == before
    assert tip.totals.steps == golden.steps
    assert tip.totals.cost_microusd == sum(step.result.charged.microusd for step in steps)
    assert tip.task.user_id == "ann"
