"""schemathesis against the published OpenAPI document, over HTTP: every operation, all of its checks."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.figures import Tell
from tests.integration.api_server import KEY

ROOT = Path(__file__).parents[2]
CASES = 3_000
EXAMPLES = 85
"""Random cases of an operation; with those of the other phases more than 3,000 in all."""
SEED = 20261123
# What no schema can say is refused with these: a cursor that was not handed out, an agent that is not deployed, a key
# that came with another body, a question that is closed, a body that is too large as a whole. All checks stay on.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 403, 404, 409, 410, 413, 422]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 413, 422, 428]
"""


@pytest.fixture
def url() -> Iterator[str]:
    path = os.pathsep.join((str(ROOT / "shared"), str(ROOT)))
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.api_server"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield next(line.strip() for line in server.stdout if line.startswith("http://"))
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_every_published_operation_keeps_what_the_document_promises(
    url: str, tmp_path: Path, tell: Tell
) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG, encoding="utf-8")
    tool = Path(sys.executable).with_name("schemathesis")
    command = [str(tool), "--config-file", str(config)]
    command += ["run", f"{url}/v1/openapi.json", "-H", f"x-api-key: {KEY}", "--checks", "all"]
    command += ["--seed", str(SEED), "-n", str(EXAMPLES), "--no-color", "--no-shrink"]
    command += ["--continue-on-failure", "--suppress-health-check", "all"]
    command += ["--generation-database", "none", "--warnings", "off"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    counted = re.search(r"([\d,]+) generated", done.stdout)
    assert counted is not None, done.stdout + done.stderr
    cases = int(counted[1].replace(",", ""))
    operations = re.search(r"Tested: (\d+)", done.stdout)
    tell(
        f"schemathesis, seed {SEED}: {cases} cases of {operations and operations[1]} operations",
    )
    assert done.returncode == 0, done.stdout
    assert cases >= CASES
