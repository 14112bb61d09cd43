"""Which pinned and hashed lines of requirements.lock a Lambda layer needs."""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# The Lambda runtime has its own copy; a second one would only slow the cold start.
PROVIDED_BY_RUNTIME = frozenset({"boto3", "botocore", "s3transfer"})
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}


class ClosureError(RuntimeError):
    """The lock, pyproject.toml and the virtual environment do not fit together."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One entry of the lock."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def line(self) -> str:
        """The entry without its marker, which pip would evaluate for the building machine."""
        name = f"{self.requirement.name}{self.requirement.specifier}"
        return " ".join([name, *(f"--hash={digest}" for digest in self.hashes)])


def read_lock(text: str, environment: Mapping[str, str]) -> dict[str, Pin]:
    """The entries that apply to `environment`, by canonical name."""
    pins: dict[str, Pin] = {}
    for line in text.replace("\\\n", " ").splitlines():
        head, *digests = re.split(r"\s+--hash=", line.strip())
        if not head or head.startswith("#"):
            continue
        requirement = Requirement(head)
        if requirement.marker is None or requirement.marker.evaluate(dict(environment)):
            pins[canonicalize_name(requirement.name)] = Pin(requirement, tuple(digests))
    return pins


def lambda_environment(architecture: str) -> dict[str, str]:
    """PEP 508 marker values of a Lambda sandbox that runs the interpreter we build with."""
    return {
        **{key: str(value) for key, value in default_environment().items()},
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": MACHINES[architecture],
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def layer_lines(root: Path, layer: str, architecture: str) -> list[str]:
    """Requirement lines of a layer: `base` is the project itself, others an extra less `base`.

    Raises:
        ClosureError: a needed package is not locked, or is installed in another version.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    environment = lambda_environment(architecture)
    pins = read_lock((root / "requirements.lock").read_text(encoding="utf-8"), environment)
    names = _closure(project["dependencies"], pins, environment)
    if layer != "base":
        extra = project["optional-dependencies"].get(layer)
        if extra is None:
            raise ClosureError(f"pyproject.toml has no extra {layer!r}")
        names = _closure(extra, pins, environment) - names
    return sorted(pins[name].line for name in names)


def _closure(
    specs: Iterable[str], pins: Mapping[str, Pin], environment: Mapping[str, str]
) -> set[str]:
    found: set[str] = set()
    visited: set[tuple[str, str]] = set()
    todo = [Requirement(spec) for spec in specs]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in PROVIDED_BY_RUNTIME:
            continue
        if name not in pins:
            raise ClosureError(f"{name} is not in requirements.lock; run `make lock`")
        found.add(name)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in visited:
                visited.add((name, extra))
                todo.extend(_requires(name, extra, pins[name], environment))
    return found


def _requires(
    name: str, extra: str, pin: Pin, environment: Mapping[str, str]
) -> Iterator[Requirement]:
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return  # only for Lambda's platform, so not installed here; what it needs is unknown
    if installed.version not in pin.requirement.specifier:
        raise ClosureError(
            f"{name} {installed.version} is installed but requirements.lock has "
            f"{pin.requirement.specifier}; install the lock again"
        )
    for spec in installed.requires or ():
        requirement = Requirement(spec)
        if requirement.marker is None or requirement.marker.evaluate(
            {**environment, "extra": extra}
        ):
            yield requirement
