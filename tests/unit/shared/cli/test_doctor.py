import os
from pathlib import Path

import pytest

from ratchet.cli import doctor_checks
from ratchet.cli.config import DevFile
from ratchet.cli.doctor_checks import (
    Check,
    check_api,
    check_dev_stack,
    check_environment,
    check_model_key,
    check_node,
    check_packages,
    check_python,
)
from tests.unit.shared.cli.conftest import Command, FakeApi, ok

FINE = Check("Python", True, "3.11")
NEEDED = Check("Node.js", False, "not installed", "install it")
OPTIONAL = Check("AWS", False, "no credentials", "sign in", is_needed=False)


def play(monkeypatch: pytest.MonkeyPatch, *checks: Check) -> None:
    monkeypatch.setattr(doctor_checks, "run_checks", lambda: list(checks))


def test_each_line_says_how_to_fix_it(ratchet: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, FINE, NEEDED, OPTIONAL)

    done = ratchet("doctor")

    assert done.code == 1
    assert done.out == (
        "ok      Python: 3.11\n"
        "MISSING Node.js: not installed\n        -> install it\n"
        "not set AWS: no credentials\n        -> sign in\n"
    )


def test_only_what_is_needed_counts(ratchet: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, FINE, OPTIONAL)

    done = ratchet("doctor", "--json")

    assert done.code == 0
    assert done.json["ok"] is True
    assert [check["ok"] for check in done.json["checks"]] == [True, False]


@pytest.mark.parametrize(
    ("version", "fits"), [((3, 10), False), ((3, 11), True), ((3, 14), True), ((3, 15), False)]
)
def test_python_must_be_one_that_lambda_has(version: tuple[int, int], fits: bool) -> None:
    assert check_python(version).ok is fits


def test_packages_are_named_when_they_are_missing() -> None:
    assert check_packages("x", ("pydantic",)).ok
    assert "no-such-package" in check_packages("x", ("no-such-package",)).detail


def test_node_comes_from_its_wheel() -> None:
    assert check_node().ok


def test_outside_a_project_there_is_no_environment_to_check() -> None:
    assert check_environment().detail == "not in a checkout"


def test_model_key_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not check_model_key().is_needed
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    assert check_model_key().ok


def test_running_dev_stack_is_seen(tmp_path: Path) -> None:
    assert not check_dev_stack().ok
    DevFile("http://127.0.0.1:8484", "k", os.getpid()).write(tmp_path)
    assert check_dev_stack().ok


def test_api_is_asked(api: FakeApi) -> None:
    api.on("GET /v1/health", ok({"status": "ok", "version": "v1"}))

    assert check_api().detail == "http://api.test (from RATCHET_API_URL) answers v1, with a key"


def test_no_api_is_no_fault() -> None:
    assert not check_api().is_needed
