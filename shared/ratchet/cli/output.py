"""What commands write: one JSON document for programs, text for people. Notes and errors go to stderr."""

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from pydantic import BaseModel

from ratchet.cli.errors import CliError
from ratchet.contracts.names import Json

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 100


def console(file: TextIO | None = None) -> "Console":
    """A console as wide as the terminal, or 100 columns without escape codes when piped."""
    from ratchet.cli.plain_console import PlainConsole  # noqa: PLC0415 - 60 ms that --json need not pay

    stream = file or sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return PlainConsole(file=stream, width=width, highlight=False, emoji=False, markup=False)


def write_document(document: BaseModel | Mapping[str, Json]) -> None:
    """The one JSON document of a `--json` command."""
    data = document.model_dump(mode="json") if isinstance(document, BaseModel) else document
    print(json.dumps(data, indent=2, ensure_ascii=False))


def write_line(document: Mapping[str, Json]) -> None:
    """One line of a stream of JSON documents."""
    print(json.dumps(document, ensure_ascii=False), flush=True)


def write_text(text: str) -> None:
    """A text as it is; on a terminal, without what that would act on."""
    if sys.stdout.isatty():
        from ratchet.cli.plain_console import harmless  # noqa: PLC0415 - as above

        text = harmless(text)
    print(text)


def note(text: str) -> None:
    """A remark that is not part of the result."""
    print(text, file=sys.stderr, flush=True)


def report(error: CliError) -> None:
    """An error, and what to do about it."""
    note(f"Error: {error}")
    if error.hint:
        note(error.hint)


def dollars(amount: float) -> str:
    """An amount with the digits that matter: model calls cost fractions of a cent."""
    return f"${amount:,.2f}" if amount >= 1 or amount == round(amount, 2) else f"${amount:.6f}"


def duration(milliseconds: int) -> str:
    """A duration as people read it."""
    if milliseconds < 10_000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
