"""A model that is not there; its own stack, since a stack is told its model's address when it is created."""

import socket
from pathlib import Path

import pytest

from tests.e2e.goals import research
from tests.e2e.stage import Stage


@pytest.mark.usefixtures("no_stage")
def test_an_unreachable_model_is_waited_for_and_then_fails_the_task(tmp_path: Path) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{nobody_listens.getsockname()[1]}"
        url = f"http://{host}/v1"
        with Stage.start(tmp_path, model_base_url=url, patience_seconds=2) as stage:
            task = stage.outcome(task_id := stage.submit(research("unreachable")))
            assert (task["status"], task["error"]["code"]) == ("failed", "model_unavailable")
            assert f"{host} could not be reached" in task["error"]["message"]
            assert stage.execution(task_id)["status"] == "SUCCEEDED"
            assert stage.states(task_id).count("Wait") == 1
            assert len(stage.announced(task_id)) == 1
