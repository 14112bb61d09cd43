import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from ratchet import Agent
from tests.unit.shared.cli.conftest import Command

ROOT = Path(__file__).parents[4]
WRITTEN = [Path("shared/agents/order_desk.py"), Path("tests/unit/agents/test_order_desk.py")]


def test_agent_and_test_are_written(ratchet: Command) -> None:
    done = ratchet("new", "order-desk")

    assert done.code == 0
    assert "wrote shared/agents/order_desk.py" in done.out
    for path in WRITTEN:
        ast.parse(path.read_text())


def test_written_agent_works(ratchet: Command) -> None:
    ratchet("new", "order-desk")
    spec = importlib.util.spec_from_file_location("order_desk", WRITTEN[0])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert isinstance(module.order_desk, Agent)
    assert module.order_desk.name == "order-desk"
    assert list(module.order_desk.toolbox) == ["count_words"]


def test_written_code_passes_our_own_rules(ratchet: Command) -> None:
    ratchet("new", "order-desk")
    Path("shared/ratchet").mkdir()  # so that ruff knows it as our own
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]

    for verb in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *verb, *config, *map(str, WRITTEN)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def test_the_files_go_where_the_project_looks_for_them(
    ratchet: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("cdk", "functions", "shared/agents"):
        Path(folder).mkdir(parents=True)
    Path("cdk/app.py").touch()
    found = Path.cwd()
    monkeypatch.chdir("shared/agents")

    assert ratchet("new", "order-desk").code == 0
    assert all((found / path).is_file() for path in WRITTEN)


def test_json_names_the_files(ratchet: Command) -> None:
    assert ratchet("new", "desk", "--dir", "team/agents", "--json").json == {
        "agent": "desk",
        "files": ["team/agents/desk.py", "tests/unit/agents/test_desk.py"],
    }


@pytest.mark.parametrize("taken", [0, 1])
def test_nothing_is_overwritten(ratchet: Command, taken: int) -> None:
    WRITTEN[taken].parent.mkdir(parents=True)
    WRITTEN[taken].write_text("mine")

    done = ratchet("new", "order-desk")

    assert done.code == 1
    assert "exists already" in done.err
    assert WRITTEN[taken].read_text() == "mine"
    assert not WRITTEN[1 - taken].exists()


@pytest.mark.parametrize(
    "name", ["Desk", "1desk", "class", "a/b", "../x", "", "a.b", "count-words", "d" * 65]
)
def test_names_that_cannot_be_agents_are_refused(ratchet: Command, name: str) -> None:
    done = ratchet("new", "--", name)

    assert done.code == 1
    assert "cannot name an agent" in done.err
