"""A routing table that is put in place of the deployed one without deploying, as `ratchet routes --set` does it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdk.bundling import ROOT
from ratchet.cli.config import DevFile
from tests.e2e.goals import research
from tests.e2e.stage import Stage

_SECONDS = 120


@pytest.mark.usefixtures("no_stage")
def test_tasks_use_the_table_that_was_set_and_keep_it_when_it_is_cleared(tmp_path: Path) -> None:
    # Its own stack: what a sandbox of the api has read holds for a minute, for other tests too.
    with Stage.start(tmp_path) as stage:
        local = stage.local
        where = (local.endpoint_url, local.region)
        DevFile(stage.stack.api_url, stage.stack.api_key, os.getpid(), *where).write(tmp_path)
        (tmp_path / "other.yaml").write_text("default: [gpt-4.1]")
        done = ratchet(tmp_path, "routes", "--set", "other.yaml")
        assert done.returncode == 0, done.stderr
        task_id = stage.submit(research("routes-set"))
        ratchet(tmp_path, "routes", "--clear").check_returncode()
        assert stage.outcome(task_id)["status"] == "succeeded"
        steps = stage.steps(task_id)
        assert {step["model"] for step in steps} == {"gpt-4.1"}
        assert all(step["route"].endswith(", override") for step in steps)


def ratchet(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as a user would run it in the folder of a running `ratchet dev`."""
    paths = os.pathsep.join([str(ROOT / "shared"), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "ratchet.cli.main", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
