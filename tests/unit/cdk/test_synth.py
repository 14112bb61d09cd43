"""The direct synth, with the app's process played by a function."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from cdk import synth
from cdk.bundling import ROOT


class FakeApp:
    """Writes an assembly and remembers what it was told."""

    def __init__(self) -> None:
        self.contexts: list[Mapping[str, object]] = []

    def __call__(self, context: Mapping[str, object], out: Path) -> None:
        self.contexts.append(context)
        stack = {
            "type": "aws:cloudformation:stack",
            "properties": {"templateFile": "Ratchet.template.json"},
        }
        manifest = {"artifacts": {"assets": {"type": "cdk:asset-manifest"}, "Ratchet": stack}}
        (out / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path, text in {
        "cdk/cdk.json": '{"context": {"flag": true}}',
        "cdk/routing.yaml": "default: [a]",
        "functions/api/handler.py": "",
        "shared/ratchet/app/use.py": "",
        "shared/ratchet/local/stack.py": "",
        "pyproject.toml": "",
        "requirements.lock": "",
        "other.yaml": "default: [b]",
        "mine.yaml": "models: {}",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setattr(synth, "ROOT", tmp_path)
    monkeypatch.setattr(synth, "BUILD", tmp_path / ".build")
    monkeypatch.setattr(synth, "DEFAULT_OUT", tmp_path / ".build" / "cdk.out")
    return tmp_path


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> FakeApp:
    app = FakeApp()
    monkeypatch.setattr(synth, "_run_app", app)
    return app


def test_the_app_gets_the_context_of_cdk_json_and_what_was_asked(root: Path, app: FakeApp) -> None:
    synth.synthesize({"auth": "iam"})
    assert app.contexts == [{"flag": True, "auth": "iam"}]


def test_a_new_layer_makes_a_new_version_of_its_function() -> None:
    """Without the flag a version's id leaves its layers out, and executions keep the libraries of before."""
    told = json.loads((ROOT / "cdk" / "cdk.json").read_text(encoding="utf-8"))
    assert told["context"]["@aws-cdk/aws-lambda:recognizeLayerVersion"] is True


def test_nothing_is_done_when_nothing_changed(root: Path, app: FakeApp) -> None:
    assert synth.synthesize() == synth.synthesize() == root / ".build" / "cdk.out"
    assert len(app.contexts) == 1


@pytest.mark.parametrize(
    "path",
    [
        "cdk/routing.yaml",
        "functions/api/handler.py",
        "shared/ratchet/app/use.py",
        "requirements.lock",
        "shared/agents/prompt.md",
    ],
)
def test_every_input_counts(root: Path, app: FakeApp, path: str) -> None:
    synth.synthesize()
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text("changed")
    synth.synthesize()
    assert len(app.contexts) == 2


def test_another_context_is_another_template(root: Path, app: FakeApp) -> None:
    synth.synthesize()
    synth.synthesize({"auth": "iam"})
    assert len(app.contexts) == 2


def test_a_routing_table_elsewhere_counts_too(root: Path, app: FakeApp) -> None:
    synth.synthesize({"routing": "other.yaml"})
    (root / "other.yaml").write_text("default: [c]")
    synth.synthesize({"routing": "other.yaml"})
    assert len(app.contexts) == 2


def test_a_file_of_models_elsewhere_counts_too(root: Path, app: FakeApp) -> None:
    synth.synthesize({"models": "mine.yaml"})
    (root / "mine.yaml").write_text("models: {a: {}}")
    synth.synthesize({"models": "mine.yaml"})
    assert len(app.contexts) == 2


def test_what_no_function_carries_does_not_count(root: Path, app: FakeApp) -> None:
    synth.synthesize()
    (root / "shared/ratchet/local/stack.py").write_text("changed")
    synth.synthesize()
    assert len(app.contexts) == 1


def test_a_failed_synth_leaves_the_last_good_one(
    root: Path, app: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = synth.synthesize()
    before = (out / "manifest.json").read_text()

    def fails(_context: Mapping[str, object], _out: Path) -> None:
        raise synth.SynthError("no")

    monkeypatch.setattr(synth, "_run_app", fails)
    with pytest.raises(synth.SynthError):
        synth.synthesize({"auth": "iam"})
    assert (out / "manifest.json").read_text() == before


def test_the_command_prints_where_the_template_is(
    root: Path, app: FakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert synth.main(["-c", "auth=iam", "--check"]) == 0
    assert capsys.readouterr().out == f"Template: {root}/.build/cdk.out/Ratchet.template.json\n"
    assert app.contexts[0]["nag"] == "true"


def test_a_context_key_that_means_nothing_is_refused(
    root: Path, app: FakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        synth.main(["-c", "log_levl=DEBUG"])
    assert "log_levl" in capsys.readouterr().err


def test_findings_are_shown_without_stack_traces() -> None:
    output = "ERROR a finding\njsii.errors.JavaScriptError: at x\n  at y\nRuntimeError: failed\n"
    assert synth._readable(output) == "ERROR a finding\nRuntimeError: failed"
