from pathlib import Path
from typing import Any, cast

import pytest

from ratchet.cli import reloading
from ratchet.cli.reloading import Reloader, affected, folder_of

PROJECT = Path("/project")
ALL = {"api", "authorizer", "dispatcher", "step_executor", "deliverer"}


class FakeLocal:
    def __init__(self) -> None:
        self.reloaded: dict[str, Path] = {}

    def function_names(self) -> list[str]:
        return ["Ratchet-ApiFunctionCE271BD4-4b", "Ratchet-StepExecutorFunction2B55D581-9a"]

    def reload(self, code_dirs: dict[str, Path]) -> None:
        self.reloaded = dict(code_dirs)


def reload(local: FakeLocal, project: Path, said: list[str], changed: list[str]) -> None:
    reloader = Reloader(cast(Any, local), project, said.append)
    try:
        reloader.reload([project / path for path in changed])
    finally:
        reloader.close()


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("functions/api/routes/tasks.py", {"api"}),
        ("functions/__init__.py", set()),
        ("shared/agents/support.py", {"api", "step_executor"}),
        ("shared/agents/documents/safety.md", {"api", "step_executor"}),
        ("shared/ratchet/domain/keys.py", ALL),
        ("shared/ratchet/ports.py", ALL),
        ("shared/ratchet/cli/main.py", set()),
        ("shared/ratchet/local/stack.py", set()),
        ("shared/ratchet/testing/clock.py", set()),
    ],
)
def test_a_change_affects_the_functions_that_carry_the_file(path: str, names: set[str]) -> None:
    assert affected([PROJECT / path], PROJECT, ALL) == names


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("Ratchet-StepExecutorFunction2B55D581-9a3ee03ccb58", "step_executor"),
        ("Ratchet-ApiFunctionCE271BD4-4bc4b432b549", "api"),
        ("something-else", None),
    ],
)
def test_the_folder_of_a_function_shows_in_its_name(name: str, folder: str | None) -> None:
    assert folder_of(name) == folder


def test_code_that_does_not_stage_leaves_the_old_code_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reloading, "_STAGE", "raise SystemExit('SyntaxError: line 3')")
    local, said = FakeLocal(), list[str]()

    reload(local, tmp_path, said, ["shared/agents/a.py"])

    assert local.reloaded == {}
    assert said == [
        "not reloaded, the old code still runs (shared/agents/a.py): SyntaxError: line 3"
    ]


def test_staged_code_replaces_the_functions_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage = "import json, sys; print(json.dumps({n: '/staged/' + n for n in sys.argv[2:]}))"
    monkeypatch.setattr(reloading, "_STAGE", stage)
    local, said = FakeLocal(), list[str]()

    reload(local, tmp_path, said, ["shared/agents/a.py", "shared/agents/b.py"])

    assert local.reloaded == {
        "Ratchet-ApiFunctionCE271BD4-4b": Path("/staged/api"),
        "Ratchet-StepExecutorFunction2B55D581-9a": Path("/staged/step_executor"),
    }
    assert said == ["reloaded api, step_executor (shared/agents/a.py and 1 more)"]
