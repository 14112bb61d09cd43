"""Values of the planning commands' options, written as text: `NAME=1`, `NAME:1`, and tables in files."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ratchet.capacity.errors import CapacityError
from ratchet.capacity.estimate import ProviderLimit
from ratchet.capacity.scenario import Load
from ratchet.cli.errors import CliError
from ratchet.cli.project import find_project
from ratchet.contracts.errors import UnpricedModel
from ratchet.contracts.model_file import known_models
from ratchet.contracts.names import StepType
from ratchet.contracts.routing import RoutingTable
from ratchet.domain.admission import LimitRules
from ratchet.domain.models import ModelCatalogue, built_in

ROUTING = Path("cdk") / "routing.yaml"


@contextmanager
def as_cli_errors() -> Iterator[None]:
    """Say what to do about figures that make no sense and models without a price.

    Raises:
        CliError
    """
    try:
        yield
    except CapacityError as exc:
        raise CliError(str(exc), "`--help` lists the options with their defaults.") from exc
    except UnpricedModel as exc:
        raise CliError(str(exc)) from exc


def routing_table(path: Path | None) -> tuple[Path, RoutingTable]:
    """The table of a file; of the project around this folder when none is given.

    Raises:
        CliError: there is no such file, or it is no routing table.
    """
    found = path or (find_project() or Path()) / ROUTING
    try:
        return found, RoutingTable.load(found)
    except OSError as exc:
        hint = "Name a routing table:  --routing FILE" if path is None else ""
        raise CliError(f"{found} cannot be read: {exc.strerror}", hint) from exc
    except ValueError as exc:
        raise CliError(f"{found} is not a routing table: {exc}") from exc


def catalogue() -> ModelCatalogue:
    """The models of the project around this folder, its own ones included; without a project those of this release.

    Raises:
        CliError: its models.yaml is wrong.
    """
    if (project := find_project()) is None:
        return built_in()
    try:
        return ModelCatalogue(known_models(project / "cdk" / "models.yaml").values())
    except (OSError, ValueError) as exc:
        raise CliError(str(exc), "`make synth` refuses it too.") from exc


def pairs(option: str, given: Iterable[str]) -> dict[str, float]:
    """`NAME=NUMBER` as often as it was given.

    Raises:
        CliError: one is not of that form.
    """
    found: dict[str, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            name = ""
        if not name or not math.isfinite(found[name.strip()]):
            raise CliError(f"{option} {text!r} is not NAME=NUMBER")
    return found


def step_mix(text: str | None) -> dict[StepType, float]:
    """`planning=1,tool_dispatch=20,...`.

    Raises:
        CliError: a name is no step type.
    """
    weights = pairs("--mix", text.split(",") if text else ())
    known = {step.value: step for step in StepType}
    unknown = sorted(set(weights) - set(known))
    if unknown:
        raise CliError(
            f"--mix: no step type {', '.join(unknown)}", f"There are: {', '.join(known)}."
        )
    return {known[name]: weight for name, weight in weights.items()}


def providers(given: Iterable[str]) -> tuple[ProviderLimit, ...]:
    """`MODEL=RPM:TPM` as often as it was given.

    Raises:
        CliError: one is not of that form, or a limit is not above 0.
    """
    found = []
    for text in given:
        model, _, bounds = text.rpartition("=")
        rpm, _, tpm = bounds.partition(":")
        try:
            limit = ProviderLimit(model, float(rpm), float(tpm))
        except ValueError:
            limit = ProviderLimit("", 0, 0)
        if not limit.model or not all(0 < n < math.inf for n in (limit.rpm, limit.tpm)):
            raise CliError(
                f"--provider {text!r} is not MODEL=RPM:TPM",
                "For example:  --provider gpt-4o=10000:30000000",
            )
        found.append(limit)
    return tuple(found)


def limit_rules(minimum: int | None, maximum: int | None) -> LimitRules:
    """Within what the deployment's limit moves; a maximum below the usual minimum lowers that, too.

    Raises:
        CapacityError: no limit can move so.
    """
    usual = LimitRules()
    most = max(usual.maximum, minimum or 0) if maximum is None else maximum
    try:
        return LimitRules(min(usual.minimum, most) if minimum is None else minimum, most)
    except ValueError as exc:
        raise CapacityError(f"--min-running and --max-running: {exc}") from exc


def loads(given: Iterable[str]) -> tuple[Load, ...]:
    """`NAME:TASKS[@START[+OVER]]` as often as it was given; times in seconds.

    Raises:
        CliError: one is not of that form.
        CapacityError: a number makes no sense.
    """
    return tuple(map(_load, given))


def _load(text: str) -> Load:
    name, _, rest = text.rpartition(":")
    tasks, _, times = rest.partition("@")
    start, _, over = times.partition("+")
    try:
        return Load(name, int(tasks), float(start or 0), float(over or 0))
    except CapacityError:
        raise
    except ValueError:
        raise CliError(
            f"--tenant {text!r} is not NAME:TASKS[@START[+OVER]]",
            "For example:  --tenant big:10000 --tenant quiet:10@60+30 (10 tasks from second 60 on, over 30 s)",
        ) from None
