"""Handlers load from what they carry alone, as in a sandbox: their zip, their layers, Lambda's boto3."""

import json
import platform
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from cdk.bundling import FUNCTIONS, build_layer
from tests.infra.template import Synthesized

MACHINE = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine())
RUNTIME_SDK = ("boto3", "botocore", "s3transfer", "urllib3", "python-dateutil", "six", "jmespath")
EXTRAS = {"step_executor": ["llm"], "deliverer": ["webhooks"]}
# What a handler imports only when it is first used.
LATER = {"step_executor": "import openai", "deliverer": "import standardwebhooks"}

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or MACHINE is None, reason="the layers hold Linux binaries"
)


@pytest.fixture(scope="module")
def runtime_sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runtime")
    for name in RUNTIME_SDK:
        for file in distribution(name).files or []:
            top = file.parts[0]
            if top != ".." and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return folder


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_loads_from_what_it_carries(
    keyed: Synthesized, runtime_sdk: Path, function: str
) -> None:
    layers = [
        build_layer(layer, architecture=str(MACHINE))
        for layer in ["base", *EXTRAS.get(function, [])]
    ]
    paths = [
        keyed.code_of(function),
        *(layer / "python" for layer in layers),
        runtime_sdk,
    ]
    code = (
        f"import sys; sys.path[:0] = {json.dumps([str(path) for path in paths])}\n"
        f"import functions.{function}.handler\n{LATER.get(function, '')}\n"
        "print(functions.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(paths[0]))
