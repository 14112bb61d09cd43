"""Lambda functions as the template describes them, and how an ARN or name finds one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

LATEST = "$LATEST"


class FunctionNotFound(LookupError):
    """No such function, version or alias."""


class Throttled(RuntimeError):
    """The function is at its reserved concurrency, or no sandbox became free in time."""


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """Everything a sandbox needs to run one function."""

    name: str
    arn: str
    handler: str
    runtime: str
    timeout: float
    memory: int
    environment: Mapping[str, str]
    code_dir: Path
    reserved: int | None = None
    version: str = LATEST
    dead_letter_arn: str | None = None


@dataclass(frozen=True, slots=True)
class AsyncPolicy:
    """What happens to asynchronous invocations (AWS::Lambda::EventInvokeConfig)."""

    retries: int = 2
    on_success_arn: str | None = None
    on_failure_arn: str | None = None


@dataclass(slots=True)
class _Entry:
    config: FunctionConfig
    versions: dict[str, FunctionConfig] = field(default_factory=dict)
    aliases: set[str] = field(default_factory=set)
    policy: AsyncPolicy = AsyncPolicy()


class FunctionRegistry:
    """The functions of the deployed template, by name."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._lock = Lock()

    def add(self, config: FunctionConfig) -> None:
        """Adds a function; its name must be new."""
        with self._lock:
            self._entries[config.name] = _Entry(config)

    def publish(self, reference: str) -> str:
        """Publishes the code as the next version and returns its number."""
        entry = self._entry(reference)
        with self._lock:
            number = str(len(entry.versions) + 1)
            entry.config = entry.versions[number] = replace(entry.config, version=number)
            return number

    def latest_version(self, reference: str) -> str | None:
        """The ARN of the version that was published last, if any was."""
        entry = self._entry(reference)
        return f"{entry.config.arn}:{len(entry.versions)}" if entry.versions else None

    def add_alias(self, reference: str, alias: str) -> str:
        """Makes ``alias`` a known qualifier and returns its ARN."""
        entry = self._entry(reference)
        with self._lock:
            entry.aliases.add(alias)
        return f"{entry.config.arn}:{alias}"

    def set_code_dir(self, name: str, code_dir: Path) -> FunctionConfig:
        """Points a function at other code."""
        entry = self._entry(name)
        with self._lock:
            entry.config = replace(entry.config, code_dir=code_dir)
            return entry.config

    def set_environment(self, name: str, environment: Mapping[str, str]) -> None:
        """Tells a function something else; its versions keep what they were told."""
        entry = self._entry(name)
        with self._lock:
            entry.config = replace(entry.config, environment=environment)

    def set_policy(self, reference: str, policy: AsyncPolicy) -> None:
        """Replaces the function's policy for asynchronous invocations."""
        self._entry(reference).policy = policy

    def config(self, reference: str, qualifier: str | None = None) -> FunctionConfig:
        """The function that a name or an ARN, with or without a qualifier, stands for.

        Raises:
            FunctionNotFound: unknown function or qualifier.
        """
        entry = self._entry(reference, qualifier)
        wanted = qualifier or split_reference(reference)[1]
        return entry.config if wanted is None else entry.versions.get(wanted, entry.config)

    def policy(self, reference: str) -> AsyncPolicy:
        """How asynchronous invocations of the function are retried and reported."""
        return self._entry(reference).policy

    def names(self) -> list[str]:
        """All function names, sorted."""
        return sorted(self._entries)

    def _entry(self, reference: str, qualifier: str | None = None) -> _Entry:
        name, inline = split_reference(reference)
        entry = self._entries.get(name)
        wanted = qualifier or inline
        if entry is None or wanted not in {None, LATEST, *entry.versions, *entry.aliases}:
            raise FunctionNotFound(reference if qualifier is None else f"{reference}:{qualifier}")
        return entry


def split_reference(reference: str) -> tuple[str, str | None]:
    """Name and qualifier of a function name, partial ARN or ARN."""
    _, found, tail = reference.rpartition(":function:")
    name, _, qualifier = (tail if found else reference).partition(":")
    return name, qualifier or None
