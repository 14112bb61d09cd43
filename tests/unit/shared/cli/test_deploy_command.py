from pathlib import Path

import pytest

from ratchet.cli import main
from tests.unit.shared.cli.conftest import Command, Outcome

DEPLOY = """
import pathlib, sys
print("deploying", sys.argv[1:])
pathlib.Path(".build").mkdir()
pathlib.Path(".build/outputs.json").write_text('{"Ratchet": {"ApiUrl": "https://x"}}')
sys.exit(3 if "--fail" in sys.argv else 0)
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("cdk", "functions", "shared/agents"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("__init__", "app"):
        (tmp_path / "cdk" / f"{name}.py").touch()
    (tmp_path / "cdk" / "deploy.py").write_text(DEPLOY)
    # The project's own cdk package, not ours: an editable install would shadow it.
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.fixture
def ratchet(capfd: pytest.CaptureFixture[str]) -> Command:
    """Captures what child processes write, too."""

    def command(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as exited:
            main.run(arguments)
        return Outcome(int(exited.value.code or 0), *capfd.readouterr())

    return command


def test_arguments_are_passed_through(ratchet: Command) -> None:
    done = ratchet("deploy", "--diff", "-c", "stage=dev")

    assert done.code == 0
    assert done.out == "deploying ['--diff', '-c', 'stage=dev']\n"


def test_exit_code_is_that_of_the_deployment(ratchet: Command) -> None:
    assert ratchet("deploy", "--fail").code == 3


def test_json_is_the_only_thing_on_stdout(ratchet: Command) -> None:
    done = ratchet("deploy", "--json")

    assert done.json == {"exit_code": 0, "outputs": {"Ratchet": {"ApiUrl": "https://x"}}}
    assert "deploying" in done.err


def test_a_failed_deployment_has_no_outputs(ratchet: Command) -> None:
    done = ratchet("deploy", "--json", "--fail")

    assert (done.code, done.json) == (3, {"exit_code": 3, "outputs": {}})
