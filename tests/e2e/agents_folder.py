"""Agents of the tests' own in a running stack: bundled beside the shipped ones, and deployed again when they change."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ratchet.cli.project import require_project

FUNCTIONS = {"step_executor": "StepExecutor", "api": "Api"}
# A process of its own: this one has imported the shipped agents, and would bundle their manifest.
_STAGE = """
import json, pathlib, sys
from cdk.bundling import stage_functions
root = pathlib.Path(sys.argv[1])
staged = stage_functions(sys.argv[2:], root=root)
print(json.dumps({name: str(path) for name, path in staged.items()}))
"""


def bundle(folder: Path, agents: Mapping[str, str]) -> dict[str, Path]:
    """The code of the functions that carry agents, with these modules among them; `LocalStack.reload` takes it."""
    project = require_project()
    shared = folder / "shared"
    shared.mkdir(parents=True)
    (folder / "functions").symlink_to(project / "functions")
    (shared / "ratchet").symlink_to(project / "shared" / "ratchet")
    shutil.copytree(project / "shared" / "agents", shared / "agents")
    for name, source in agents.items():
        (shared / "agents" / f"{name}.py").write_text(source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _STAGE, str(folder), *FUNCTIONS],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(shared)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    staged: dict[str, str] = json.loads(done.stdout)
    return {FUNCTIONS[name]: Path(path) for name, path in staged.items()}
