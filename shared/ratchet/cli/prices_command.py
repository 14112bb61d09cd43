"""prices: an entry of models.yaml with a model's list price; and the price list of a release, written anew."""

import textwrap
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.adapters.system import SystemClock
from ratchet.cli.errors import CliError
from ratchet.cli.output import note, write_document
from ratchet.contracts.names import Json

if TYPE_CHECKING:
    from ratchet.cli.library_prices import Dollars, LibraryPrice

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_CLASSES = ("input", "cached_input", "cache_write", "output")
_ASSUMED_CONTEXT, _ASSUMED_OUTPUT = 128_000, 8_192


def prices(
    names: Annotated[list[str] | None, typer.Argument(metavar="MODEL...")] = None,
    *,
    provider: Annotated[
        str | None, typer.Option(help="Whose price: azure, groq, ... (default: the maker's).")
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write Ratchet's own price list anew.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print entries for cdk/models.yaml, with the list prices that the library genai-prices knows."""
    from ratchet.cli.library_prices import LibraryPrice  # noqa: PLC0415 - 150 ms

    if not names and not update:
        raise CliError("no model is named", "For example:  ratchet prices claude-sonnet-4-5")
    today = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).date()
    entries = {
        name: _entry(LibraryPrice(name, today, provider=provider), today) for name in names or ()
    }
    written = str(_update(today)) if update else None
    if as_json:
        write_document({"models": dict[str, Json](entries), "written": written})
        return
    if written:
        note(f"wrote {written}")
    if entries:
        print(_yaml(entries))


def _entry(price: "LibraryPrice", day: date) -> dict[str, Json]:
    context = price.context_tokens or _ASSUMED_CONTEXT
    entry: dict[str, Json] = {
        "price": _usd(price.short),
        "context_tokens": context,
        "max_output_tokens": min(_ASSUMED_OUTPUT, context),
        "is_reasoning": False,
        "has_json_schema": False,
    }
    if price.long is not None:
        above, dollars = price.long
        entry["long_prompt"] = {"above_tokens": above, "price": _usd(dollars)}
    return {**entry, "source": f"{price.source} ({price.provider})", "as_of": day.isoformat()}


def _usd(dollars: "Dollars") -> dict[str, Json]:
    return {name: float(usd) for name, usd in zip(_CLASSES, dollars, strict=True)}


def _yaml(entries: dict[str, dict[str, Json]]) -> str:
    import yaml  # noqa: PLC0415

    text = yaml.safe_dump(entries, sort_keys=False, default_flow_style=None, width=120)
    check = (
        "# Check sizes and abilities: the library knows prices and, of some models, the context.\n"
    )
    return f"{check}models:\n{textwrap.indent(text, '  ').rstrip()}"


def _update(day: date) -> Path:
    from ratchet.cli.library_prices import written_list  # noqa: PLC0415
    from ratchet.contracts import price_list  # noqa: PLC0415

    path = Path(price_list.__file__)
    path.write_text(written_list(path.read_text(encoding="utf-8"), day), encoding="utf-8")
    return path
