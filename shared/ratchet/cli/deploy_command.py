"""deploy: hands over to the project's own `python -m cdk.deploy`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ratchet.cli.output import write_document
from ratchet.cli.project import require_project
from ratchet.contracts.names import Json

_STDERR = 2
_OUTPUTS = Path(".build") / "outputs.json"


def deploy(
    context: typer.Context,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the stack's outputs as one JSON document.")
    ] = False,
) -> None:
    """Deploy into the AWS account of your credentials; other options go to `cdk.deploy` (try --diff)."""
    project = require_project()
    command = [sys.executable, "-m", "cdk.deploy", *context.args]
    # With --json, stdout is for the document alone.
    done = subprocess.run(command, cwd=project, stdout=_STDERR if as_json else None, check=False)
    if as_json:
        outputs = _outputs(project) if done.returncode == 0 else {}
        write_document({"exit_code": done.returncode, "outputs": outputs})
    raise typer.Exit(done.returncode)


def _outputs(project: Path) -> Json:
    try:
        outputs: Json = json.loads((project / _OUTPUTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return outputs
