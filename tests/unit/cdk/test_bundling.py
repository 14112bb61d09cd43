"""What goes into the zips and layers, on a small tree of its own."""

import json
import marshal
import shutil
import zipfile
from pathlib import Path
from types import CodeType

import pytest

from cdk import bundling

MANIFEST = [{"name": "research", "version": "1"}]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "a path with spaces")


def make_tree(root: Path) -> Path:
    for path, text in {
        "functions/__init__.py": "",
        "functions/api/__init__.py": "",
        "functions/api/handler.py": "KEYS = {'a', 'b', 'c'}\n\ndef lambda_handler(): return KEYS\n",
        "functions/step_executor/__init__.py": "",
        "functions/step_executor/handler.py": "def lambda_handler(): ...\n",
        "shared/agents/__init__.py": "",
        "shared/agents/research.py": "GOAL = 1\n",
        "shared/agents/prompts/research.md": "Be brief.",
        "shared/ratchet/__init__.py": "",
        "shared/ratchet/domain/cli.py": "",
        "shared/ratchet/capacity/__init__.py": "",
        "shared/ratchet/local/__init__.py": "",
        "shared/ratchet/cli/__init__.py": "",
        "shared/ratchet/testing/__init__.py": "",
        "shared/ratchet/__pycache__/old.cpython-310.pyc": "old",
    }.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


@pytest.fixture(autouse=True)
def _agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "_agents_manifest", lambda: MANIFEST)
    monkeypatch.setattr(bundling, "_default_models", lambda: "{}")


def sources(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_function_carries_its_own_code_and_the_runtime_part_of_ratchet(root: Path) -> None:
    assert sources(bundling.stage_function("api", root=root)) == {
        "functions/__init__.py",
        "functions/api/__init__.py",
        "functions/api/handler.py",
        "ratchet/__init__.py",
        "ratchet/domain/cli.py",
        "ratchet_agents.json",
        "ratchet_models.json",
    }


def test_only_step_executor_carries_the_agents_with_their_data_files(root: Path) -> None:
    staged = sources(bundling.stage_function("step_executor", root=root))
    assert {name for name in staged if name.startswith("agents/")} == {
        "agents/__init__.py",
        "agents/research.py",
        "agents/prompts/research.md",
    }
    assert "ratchet_agents.json" not in staged


def test_api_carries_the_manifest_of_the_agents(root: Path) -> None:
    staged = bundling.stage_function("api", root=root)
    assert json.loads((staged / "ratchet_agents.json").read_text(encoding="utf-8")) == MANIFEST


def test_who_prices_and_who_refuses_the_unpriced_carries_the_models(root: Path) -> None:
    for name in ("api", "step_executor"):
        staged = bundling.stage_function(name, root=root, models='{"models": []}')
        assert (staged / "ratchet_models.json").read_text(encoding="utf-8") == '{"models": []}'


def test_what_was_deleted_does_not_stay_staged(root: Path) -> None:
    bundling.stage_function("api", root=root)
    (root / "shared/ratchet/domain/cli.py").unlink()
    assert "ratchet/domain/cli.py" not in sources(bundling.stage_function("api", root=root))


def test_every_module_comes_with_bytecode_that_is_never_checked_against_its_source(
    root: Path,
) -> None:
    staged = bundling.stage_function("api", root=root)
    modules = list(staged.rglob("*.py"))
    compiled = [path.read_bytes() for path in staged.rglob("*.pyc")]
    assert len(compiled) == len(modules)
    assert {code[4:8] for code in compiled} == {(1).to_bytes(4, "little")}  # PEP 552


def test_bytecode_names_the_path_in_lambda_and_not_the_one_here(root: Path) -> None:
    staged = bundling.stage_function("api", root=root)
    (compiled,) = (staged / "functions/api/__pycache__").glob("handler.*.pyc")
    code = marshal.loads(compiled.read_bytes()[16:])
    assert isinstance(code, CodeType)
    assert code.co_filename == "/var/task/functions/api/handler.py"
    assert str(root).encode() not in compiled.read_bytes()


def test_the_same_sources_give_the_same_bytes_wherever_they_are(root: Path, tmp_path: Path) -> None:
    elsewhere = make_tree(tmp_path / "elsewhere")
    assert contents(bundling.stage_function("api", root=root)) == contents(
        bundling.stage_function("api", root=elsewhere)
    )


def test_a_function_is_packed_into_the_same_bytes_wherever_its_sources_are(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundling, "FUNCTIONS", ("api",))
    elsewhere = make_tree(tmp_path / "elsewhere")
    archives = [bundling.archive_functions(root=r, models="{}")["api"] for r in (root, elsewhere)]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with zipfile.ZipFile(archives[0]) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
        assert len(packed) == len(archive.namelist())
    assert packed == contents(bundling.stage_function("api", root=root, models="{}"))


def test_code_that_does_not_compile_is_named(root: Path) -> None:
    (root / "functions/api/handler.py").write_text("def broken(:\n", encoding="utf-8")
    with pytest.raises(bundling.BundlingError, match=r"handler\.py"):
        bundling.stage_function("api", root=root)


def test_a_function_that_does_not_exist_is_refused(root: Path) -> None:
    with pytest.raises(bundling.BundlingError, match="sweeper"):
        bundling.stage_function("sweeper", root=root)


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_the_runtime_follows_the_interpreter(minor: int) -> None:
    assert bundling.runtime_version((3, minor)) == f"3.{minor}"


@pytest.mark.parametrize("version", [(3, 10), (3, 15), (4, 12)])
def test_an_interpreter_that_lambda_lacks_is_refused(version: tuple[int, int]) -> None:
    with pytest.raises(bundling.BundlingError, match=r"one of 3\.11, 3\.12, 3\.13, 3\.14"):
        bundling.runtime_version(version)


def test_wheels_for_a_newer_glibc_are_not_taken_for_python_3_11() -> None:
    assert bundling.pip_platforms("arm64", "3.11") == [
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
    ]
    assert bundling.pip_platforms("x86_64", "3.12")[0] == "manylinux_2_28_x86_64"


class Pip:
    """Plays pip: writes what a wheel would, and counts."""

    def __init__(self) -> None:
        self.runs: list[list[str]] = []

    def __call__(self, lines: list[str], target: Path, _architecture: str, *, cache: Path) -> None:
        self.runs.append(lines)
        for path in (
            "pkg/__init__.py",
            "pkg/tests/test_pkg.py",
            "bin/pkg",
            "pkg-1.dist-info/RECORD",
        ):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text("", encoding="utf-8")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    pip = Pip()
    monkeypatch.setattr(bundling, "_pip_install", pip)
    monkeypatch.setattr(bundling, "layer_lines", lambda _root, _layer, _arch: ["pkg==1"])
    return pip


def test_a_layer_is_trimmed_of_scripts_tests_and_records(root: Path, pip: Pip) -> None:
    assert sources(bundling.build_layer("base", root=root)) == {"python/pkg/__init__.py"}


def test_a_layer_is_packed_into_the_same_bytes_whenever_that_is(root: Path, pip: Pip) -> None:
    packed = bundling.archive_of(bundling.build_layer("base", root=root))
    with zipfile.ZipFile(packed) as archive:
        assert "python/pkg/__init__.py" in archive.namelist()
    first = packed.read_bytes()
    shutil.rmtree(packed.parent)
    bundling.build_layer("base", root=root)
    assert packed.read_bytes() == first


def test_a_layer_is_installed_once_for_the_same_inputs(root: Path, pip: Pip) -> None:
    first = bundling.build_layer("base", root=root)
    assert bundling.build_layer("base", root=root) == first
    assert len(pip.runs) == 1


def test_a_layer_is_installed_again_when_the_lock_changes(
    root: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundling.build_layer("base", root=root)
    monkeypatch.setattr(bundling, "layer_lines", lambda _root, _layer, _arch: ["pkg==2"])
    bundling.build_layer("base", root=root)
    assert pip.runs == [["pkg==1"], ["pkg==2"]]


def test_each_architecture_has_layers_of_its_own(root: Path, pip: Pip) -> None:
    arm = bundling.build_layer("base", architecture="arm64", root=root)
    intel = bundling.build_layer("base", architecture="x86_64", root=root)
    assert arm != intel
    assert bundling.build_layer("base", architecture="arm64", root=root) == arm
    assert len(pip.runs) == 2


def test_an_interrupted_installation_is_not_taken_for_a_layer(
    root: Path, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_args: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bundling, "_pip_install", dies)
    with pytest.raises(KeyboardInterrupt):
        bundling.build_layer("base", root=root)
    monkeypatch.setattr(bundling, "_pip_install", pip)
    bundling.build_layer("base", root=root)
    assert len(pip.runs) == 1


def test_a_failing_pip_is_quoted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["no-such-package-of-ours==0 --hash=sha256:" + "0" * 64]
    monkeypatch.setattr(bundling, "layer_lines", lambda _root, _layer, _arch: lines)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(bundling.BundlingError, match="no-such-package-of-ours"):
        bundling.build_layer("base", root=root)


def test_an_agent_whose_goals_cannot_be_embedded_is_not_bundled(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = [{"name": "frugal", "embedding_model": "dream-7"}]
    monkeypatch.setattr(bundling, "_agents_manifest", lambda: agents)
    with pytest.raises(bundling.BundlingError, match="agent 'frugal': 'dream-7'"):
        bundling.stage_function("api", root=root, models='{"models": []}')
