"""models: what the routes lead to, what it costs, and since when we know."""

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli.errors import CliError
from ratchet.cli.output import console, note, write_document
from ratchet.cli.project import require_project
from ratchet.contracts.names import Complexity, Json, StepType
from ratchet.contracts.priced_models import Price, PricedModel, how_to_price

if TYPE_CHECKING:
    from ratchet.contracts.routing import RoutingTable

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_CLASSES = ("input", "cached_input", "cache_write", "output")


def models(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the models that no route leads to.")
    ] = False,
    routing: Annotated[
        Path | None, typer.Option(help="Another table than cdk/routing.yaml.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Another file than cdk/models.yaml.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the models that the routes lead to, with prices and abilities; exit code 1 if one has no price."""
    known, used = load_models(routing, file)
    listed = sorted({*used, *(known if everything else ())})
    priced = [known[name] for name in listed if name in known]
    missing = {name: how_to_price(name) for name in listed if name not in known}
    if as_json:
        write_document(
            {
                "models": [_to_json(model, used.get(model.name, [])) for model in priced],
                "unpriced": [
                    {"name": name, "routes": list[Json](used[name]), "fix": fix}
                    for name, fix in missing.items()
                ],
            }
        )
    else:
        _print(priced, used)
        for name, fix in missing.items():
            note(f"Error: {name} has no price; {fix}")
    if missing:
        raise typer.Exit(1)


def load_models(
    routing: Path | None = None, file: Path | None = None
) -> tuple[dict[str, PricedModel], dict[str, list[str]]]:
    """Every model of the project by name, and the routes that lead to each model.

    Raises:
        CliError: a file is absent or wrong.
    """
    from ratchet.contracts.model_file import known_models  # noqa: PLC0415
    from ratchet.contracts.routing import RoutingTable  # noqa: PLC0415

    table_file = routing or require_project() / "cdk" / "routing.yaml"
    try:
        known = known_models(file or require_project() / "cdk" / "models.yaml")
        table = RoutingTable.load(table_file)
    except OSError as exc:
        raise CliError(f"{table_file} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise CliError(str(exc), "`make synth` refuses it too.") from exc
    return known, _routes_by_model(table)


def _routes_by_model(table: "RoutingTable") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for step in StepType:
        for level in Complexity:
            route = table.route(step, level)
            for model in route.models:
                found.setdefault(model, []).append(route.name)
    return found


def _to_json(model: PricedModel, routes: list[str]) -> dict[str, Json]:
    data = {**model.to_json(), "price": _usd(model.price), "routes": list[Json](routes)}
    if model.long_prompt is not None:
        above = model.long_prompt.above_tokens
        data["long_prompt"] = {"above_tokens": above, "price": _usd(model.long_prompt.price)}
    return data


def _usd(price: Price) -> dict[str, Json]:
    """US dollars per million tokens."""
    return {name: getattr(price, name) / 1000 for name in _CLASSES}


def _print(priced: list[PricedModel], used: dict[str, list[str]]) -> None:
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("model", no_wrap=True)
    for title in ("input", "cached", "write", "output", "context", "max out"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("kind", "schema", "as of"):
        table.add_column(title, no_wrap=True)
    for model in priced:
        sizes = (f"{model.context_tokens:,}", f"{model.max_output_tokens:,}")
        abilities = (
            "embedding" if model.is_embedding else "reasoning" if model.is_reasoning else "plain",
            "strict" if model.has_json_schema else "-" if model.is_embedding else "in words",
        )
        table.add_row(model.name, *_row(model.price), *sizes, *abilities, model.as_of)
        if model.long_prompt is not None:
            above = f"  above {model.long_prompt.above_tokens // 1000}k"
            table.add_row(above, *_row(model.long_prompt.price))
    out = console()
    out.print(table)
    out.print("\nUS dollars per million tokens; output includes reasoning.")
    for model in priced:
        routes = ", ".join(used.get(model.name, [])) or "no route"
        out.print(f"{model.name}: price from {model.source}; {routes}", soft_wrap=True)


def _row(price: Price) -> list[str]:
    return [f"{Decimal(getattr(price, name)) / 1000:.3f}" for name in _CLASSES]
