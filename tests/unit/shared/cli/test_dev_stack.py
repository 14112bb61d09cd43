import io
import socket
from pathlib import Path

import pytest

from ratchet.cli import dev_stack
from ratchet.cli.dev_stack import DevStack
from ratchet.cli.errors import CliError
from ratchet.cli.project import find_project
from ratchet.cli.stages import Stages
from tests.unit.shared.cli.conftest import Command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("cdk", "functions", "shared/agents"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "cdk" / "app.py").touch()
    return tmp_path


@pytest.mark.usefixtures("project")
def test_a_taken_port_is_reported_before_anything_slow_begins(ratchet: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = ratchet("dev", "--port", str(port), "--json")

    assert done.code == 1
    assert done.out == ""
    assert f"port {port} cannot be used" in done.err
    assert "--port 0" in done.err


@pytest.mark.parametrize("command", ["dev", "demo", "deploy"])
def test_outside_a_project_the_command_says_so(ratchet: Command, command: str) -> None:
    done = ratchet(command)

    assert done.code == 1
    assert "not a Ratchet project" in done.err


def test_project_is_found_from_below(project: Path) -> None:
    assert find_project(project / "shared" / "agents") == project
    assert find_project(project.parent) is None


def test_stack_outside_a_project_is_refused() -> None:
    with pytest.raises(CliError, match="not a Ratchet project"):
        DevStack.start()


def test_stage_lines_carry_the_seconds_since_the_start() -> None:
    out, times = io.StringIO(), iter([10.0, 12.34])

    Stages(out, monotonic=lambda: next(times)).say("ready")

    assert out.getvalue() == "[   2.3 s] ready\n"


def test_only_what_is_given_becomes_a_parameter_of_the_template() -> None:
    parameters = dev_stack._parameters(ModelBaseUrl=None, StepsPerExecution=5)

    assert parameters == {"StepsPerExecution": "5"}
