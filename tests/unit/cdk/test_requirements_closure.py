"""Which locked packages a layer gets."""

from pathlib import Path

import pytest

from cdk import requirements_closure as closure

ROOT = Path(__file__).parents[3]
LOCK = """
# a comment
one==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via two
two==2.0 ; python_full_version < '3.0' \\
    --hash=sha256:cc
two==2.1 ; python_full_version >= '3.0' \\
    --hash=sha256:dd
windows-only==1.0 ; sys_platform == 'win32' \\
    --hash=sha256:ee
"""


def names(layer: str) -> set[str]:
    return {line.split("==")[0] for line in closure.layer_lines(ROOT, layer, "arm64")}


def test_the_lock_is_read_for_the_lambda_and_not_for_this_machine() -> None:
    pins = closure.read_lock(LOCK, closure.lambda_environment("arm64"))
    assert {name: pin.line for name, pin in pins.items()} == {
        "one": "one==1.0 --hash=sha256:aa --hash=sha256:bb",
        "two": "two==2.1 --hash=sha256:dd",
    }


def test_the_lambda_is_linux_on_its_own_machine() -> None:
    environment = closure.lambda_environment("arm64")
    assert environment["sys_platform"] == "linux"
    assert environment["platform_machine"] == "aarch64"


def test_base_carries_the_project_dependencies_and_what_they_need() -> None:
    assert {"pydantic", "pydantic-core", "aws-lambda-powertools"} <= names("base")


@pytest.mark.parametrize("extra", ["llm", "webhooks"])
def test_no_package_is_carried_twice(extra: str) -> None:
    assert names(extra)
    assert not names(extra) & names("base")


@pytest.mark.parametrize("layer", ["base", "llm", "webhooks"])
def test_the_sdk_of_the_runtime_is_never_carried(layer: str) -> None:
    assert not names(layer) & {"boto3", "botocore", "s3transfer", "aws-xray-sdk"}


@pytest.mark.parametrize("layer", ["base", "llm", "webhooks"])
def test_every_line_is_pinned_by_hash(layer: str) -> None:
    lines = closure.layer_lines(ROOT, layer, "arm64")
    assert all("--hash=sha256:" in line and ";" not in line for line in lines)


def test_an_unknown_extra_is_refused() -> None:
    with pytest.raises(closure.ClosureError, match="no extra 'gpu'"):
        closure.layer_lines(ROOT, "gpu", "arm64")


def make_project(root: Path, dependency: str, lock: str) -> Path:
    (root / "pyproject.toml").write_text(
        f'[project]\ndependencies = ["{dependency}"]\n[project.optional-dependencies]\n'
    )
    (root / "requirements.lock").write_text(lock)
    return root


def test_a_dependency_that_is_not_locked_is_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path, "pydantic", "")
    with pytest.raises(closure.ClosureError, match="make lock"):
        closure.layer_lines(project, "base", "arm64")


def test_an_environment_that_is_older_than_the_lock_is_refused(tmp_path: Path) -> None:
    project = make_project(tmp_path, "pydantic", "pydantic==0.1 \\\n    --hash=sha256:aa\n")
    with pytest.raises(closure.ClosureError, match="install the lock again"):
        closure.layer_lines(project, "base", "arm64")


def test_a_package_that_only_lambda_has_is_taken_as_it_is_locked(tmp_path: Path) -> None:
    project = make_project(tmp_path, "linux-thing", "linux-thing==1.0 \\\n    --hash=sha256:aa\n")
    assert closure.layer_lines(project, "base", "arm64") == ["linux-thing==1.0 --hash=sha256:aa"]
