"""What a Lambda sandbox has on its path, made in a temporary folder: staged code, layers, and the runtime's own boto3.

Code is staged anew by `cdk.bundling`, so it is never out of date. Layers are those of `.build/layers` for this
machine's architecture when they were built with this Python, else links to the virtual environment's packages.
"""

import json
import platform
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cdk import bundling
from ratchet.contracts.limits import STEPS_PER_EXECUTION
from ratchet.contracts.settings import (
    ApiSettings,
    AuthorizerSettings,
    DelivererSettings,
    DispatcherSettings,
    SchedulerSettings,
    Settings,
    StepExecutorSettings,
    SweeperSettings,
)

ROOT = bundling.ROOT
CHILD = Path(__file__).with_name("cold_child.py")
EAGER = Path(__file__).with_name("eager_handler.py")
EAGER_PACKAGES = ("boto3", "openai", "aws-lambda-powertools", "aws-xray-sdk", "pydantic")
RUNTIME_PACKAGES = ("boto3",)
LAYER_PACKAGES = {
    "base": ("aws-lambda-powertools", "pydantic"),
    "llm": ("openai",),
    "webhooks": ("standardwebhooks",),
}
LAYERS_OF = {"step_executor": ("base", "llm"), "deliverer": ("base", "webhooks")}
FACTORIES = {
    "api": "functions.api.wiring:wiring",
    "authorizer": "functions.authorizer.handler:api_keys",
    "deliverer": "functions.deliverer.handler:announce_task",
    "dispatcher": "functions.dispatcher.handler:dispatch_task",
    "scheduler": "functions.scheduler.wiring:run_schedule",
    "sweeper": "functions.sweeper.handler:sweep_tasks",
    "step_executor": "functions.step_executor.handler:execute_step",
}
_ARN = "arn:aws:sns:us-east-1:123456789012:bench"
_MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:bench"
_QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/bench"
SETTINGS: dict[str, Settings] = {
    "api": ApiSettings(
        "table",
        "bucket",
        _QUEUE,
        _QUEUE,
        _MACHINE,
        "support",
        0,
        0,
        _ARN,
        512,
        "arm64",
        "{}",
        "off",
        "group",
        _ARN,
        _ARN,
        _ARN,
        "",
    ),
    "authorizer": AuthorizerSettings(_ARN, "table", ""),
    "deliverer": DelivererSettings("table", "bucket", 0, 0, 0, _QUEUE, _ARN, _ARN, "", "none"),
    "dispatcher": DispatcherSettings("table", "bucket", 0, 0, 0, _MACHINE),
    "scheduler": SchedulerSettings(
        "table", "bucket", _QUEUE, _QUEUE, _MACHINE, "support", 0, 0, "group"
    ),
    "sweeper": SweeperSettings("table", "bucket", 0, 0, 0, _QUEUE, _QUEUE, _MACHINE),
    "step_executor": StepExecutorSettings(
        "table",
        "bucket",
        "https://api.openai.com/v1",
        _ARN,
        "{}",
        30,
        STEPS_PER_EXECUTION,
        600,
        "none",
    ),
}
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_SESSION_TOKEN": "bench",
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
    "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    "POWERTOOLS_METRICS_NAMESPACE": "Bench",
    "POWERTOOLS_TRACE_DISABLED": "true",
}


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A handler with everything that it imports."""

    paths: tuple[Path, ...]
    env: dict[str, str]
    handler: str
    factory: str

    def command(self, *options: str, event: object = None) -> list[str]:
        """What starts it in a process of its own."""
        specification = {
            "paths": [str(path) for path in self.paths],
            "env": self.env,
            "handler": self.handler,
            "factory": self.factory,
            "event": event,
        }
        return [sys.executable, "-I", "-S", *options, str(CHILD), json.dumps(specification)]


@dataclass(frozen=True, slots=True)
class Sandboxes:
    """All of ours and the eager one, under one temporary folder."""

    ours: dict[str, Sandbox]
    eager: Sandbox
    code: dict[str, Path]
    layers: dict[str, Path]
    are_layers_built: bool

    @classmethod
    def create(cls, folder: Path) -> "Sandboxes":
        """Stage every function and find its layers."""
        folder.mkdir()
        built = built_layers(host_architecture())
        layers = built or {
            name: link_packages(folder / "layers" / name, packages)
            for name, packages in LAYER_PACKAGES.items()
        }
        runtime = link_packages(folder / "runtime", RUNTIME_PACKAGES)
        eager = link_packages(folder / "eager", EAGER_PACKAGES)
        (eager / EAGER.name).symlink_to(EAGER)
        code = {name: stage_only(name, folder) for name in FACTORIES}
        ours = {
            name: Sandbox(
                (code[name], *(layers[layer] for layer in LAYERS_OF.get(name, ("base",))), runtime),
                {**ENVIRONMENT, **SETTINGS[name].to_env(), "POWERTOOLS_SERVICE_NAME": name},
                f"functions.{name}.handler",
                factory,
            )
            for name, factory in FACTORIES.items()
        }
        theirs = Sandbox((eager,), ENVIRONMENT, "eager_handler", "eager_handler:wiring")
        return cls(ours, theirs, code, layers, built is not None)


def stage_only(function: str, root: Path) -> Path:
    """The function's code, staged under `root` and not under .build, which `make synth` may be reading."""
    for name in ("functions", "shared"):
        if not (root / name).exists():
            (root / name).symlink_to(ROOT / name)
    return bundling.stage_function(function, root=root)


def host_architecture() -> str:
    """This machine's, in Lambda's words."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def built_layers(architecture: str) -> dict[str, Path] | None:
    """The layers' import folders under .build, if all of them hold bytecode of this Python."""
    tag = sys.implementation.cache_tag
    found = {}
    for layer in LAYER_PACKAGES:
        python = ROOT / ".build" / "layers" / architecture / layer / "python"
        if next(python.glob(f"*/__pycache__/*.{tag}.pyc"), None) is None:
            return None
        found[layer] = python
    return found


def link_packages(folder: Path, packages: Iterable[str]) -> Path:
    """A folder with links to these distributions of the virtual environment and all that they need."""
    folder.mkdir(parents=True)
    site = Path(sysconfig.get_paths()["purelib"])
    for name in sorted(closure(packages)):
        files = distribution(name).files or ()
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            (folder / top).symlink_to(site / top)
    return folder


def closure(packages: Iterable[str]) -> set[str]:
    """The distributions and, transitively, what they require on this machine without extras."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in packages]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for line in distribution(name).requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    return found
