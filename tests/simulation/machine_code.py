"""Our state machine's real definition, compiled: what the interpreter needs of each state."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cdk.components.asl import definition
from ratchet.contracts.routing import RoutingTable
from tests.simulation.intrinsics import intrinsic

ROUTING = RoutingTable.load(Path(__file__).parents[2] / "cdk" / "routing.yaml")
STEP_TIMEOUT_SECONDS = 300

Data = dict[str, Any]


class StatesRuntime(Exception):
    """A path that leads nowhere: the execution fails, and no Catch sees it."""


@dataclass(frozen=True, slots=True)
class Retrier:
    """One entry of `Retry`."""

    errors: frozenset[str]
    interval: float
    rate: float
    attempts: int
    longest: float


@dataclass(frozen=True, slots=True)
class Catcher:
    """One entry of `Catch`."""

    errors: frozenset[str]
    result_path: str | None
    next: str

    def takes(self, error: str) -> bool:
        """Whether it is for this error."""
        return bool(self.errors & {error, "States.ALL"})


@dataclass(frozen=True, slots=True)
class State:
    """One state; what its type does not use is empty."""

    name: str
    type: str
    next: str | None
    choices: tuple[tuple[Callable[[Data], bool], str], ...] = ()
    default: str | None = None
    seconds: Callable[[Data], Any] | None = None
    result: Any = None
    result_path: str | None = "$"
    resource: str = ""
    parameters: Callable[[Data, Data], Any] | None = None
    timeout_seconds: int = 0
    retry: tuple[Retrier, ...] = ()
    catch: tuple["Catcher", ...] = ()


def path_of(text: str) -> Callable[[Data], Any]:
    """`$.a.b` as a function."""
    names = text.removeprefix("$").strip(".").split(".")

    def read(data: Data) -> Any:
        value: Any = data
        for name in names:
            if not isinstance(value, dict) or name not in value:
                raise StatesRuntime(f"the path {text} is not in the state's input")
            value = value[name]
        return value

    return read


@cache
def machine() -> tuple[str, Mapping[str, State]]:
    """The first state's name, and all states."""
    source: Data = json.loads(
        json.dumps(definition(ROUTING, step_timeout_seconds=STEP_TIMEOUT_SECONDS))
    )
    return source["StartAt"], {n: _state(n, s) for n, s in source["States"].items()}


def _state(name: str, source: Data) -> State:
    return State(
        name=name,
        type=source["Type"],
        next=source.get("Next"),
        choices=tuple((_rule(c), c["Next"]) for c in source.get("Choices", ())),
        default=source.get("Default"),
        seconds=path_of(source["SecondsPath"]) if "SecondsPath" in source else None,
        result=source.get("Result"),
        result_path=source.get("ResultPath", "$"),
        resource=source.get("Resource", ""),
        parameters=_template(source["Parameters"]) if "Parameters" in source else None,
        timeout_seconds=source.get("TimeoutSeconds", 0),
        retry=tuple(_retrier(r) for r in source.get("Retry", ())),
        catch=tuple(
            Catcher(frozenset(c["ErrorEquals"]), c["ResultPath"], c["Next"])
            for c in source.get("Catch", ())
        ),
    )


def _retrier(source: Data) -> Retrier:
    return Retrier(
        frozenset(source["ErrorEquals"]),
        source["IntervalSeconds"],
        source["BackoffRate"],
        source["MaxAttempts"],
        source["MaxDelaySeconds"],
    )


def _rule(source: Data) -> Callable[[Data], bool]:
    if "And" in source:
        rules = [_rule(part) for part in source["And"]]
        return lambda data: all(rule(data) for rule in rules)
    read = path_of(source["Variable"])
    if "NumericGreaterThan" in source:
        most = source["NumericGreaterThan"]
        return lambda data: bool(read(data) > most)
    wanted = source["StringEquals"]
    return lambda data: bool(read(data) == wanted)


def _template(source: Any) -> Callable[[Data, Data], Any]:
    """`Parameters` as a function of the state's input and the context object."""
    if not isinstance(source, dict):
        return lambda _data, _context: source
    parts: list[tuple[str, Callable[[Data, Data], Any]]] = []
    for key, value in source.items():
        parts.append(_reference(key, value) if key.endswith(".$") else (key, _template(value)))
    return lambda data, context: {key: read(data, context) for key, read in parts}


def _reference(key: str, path: str) -> tuple[str, Callable[[Data, Data], Any]]:
    name = key.removesuffix(".$")
    if path.startswith("$$"):
        read = path_of(path[1:])
        return name, lambda _data, context: read(context)
    read = intrinsic(path, path_of) if path.startswith("States.") else path_of(path)
    return name, lambda data, _context: read(data)
