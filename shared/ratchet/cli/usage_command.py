"""usage: what was used and spent, by day, model, agent, user or session."""

from typing import Annotated

import typer

from ratchet.cli.outcome import connect
from ratchet.cli.output import console, dollars, note, write_document
from ratchet.contracts.names import UsageBy
from ratchet.contracts.usage_report import UsageReportView, UsageSumView

_TITLES = ("steps", "input tokens", "cached", "output tokens", "cost")


def usage(
    *,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="First day (UTC), as 2026-11-22.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="Last day; today if not given.")
    ] = None,
    by: Annotated[UsageBy, typer.Option(help="What to sum up by.")] = UsageBy.DAY,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show steps, tokens and model dollars of finished work; without days, of the last thirty."""
    with connect() as client:
        report = client.usage(first=first, last=last, by=by.value)
    if as_json:
        write_document(report)
    elif report.groups:
        _print(report)
    else:
        note(f"Nothing was counted from {report.first_day} to {report.last_day}.")


def _print(report: UsageReportView) -> None:
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(report.by.value)
    for title in _TITLES:
        table.add_column(title, justify="right")
    for group in report.groups:
        table.add_row(group.key or "-", *_cells(group))
    if report.rest is not None:
        table.add_row("(others)", *_cells(report.rest))
    table.add_row("total", *_cells(report.total), style="bold")
    out = console()
    out.print(table)
    note("Tasks are counted when they end or ask a person; AWS's part is not in it.")


def _cells(together: UsageSumView) -> tuple[str, ...]:
    tokens = together.usage
    return (
        f"{together.steps:,}",
        f"{tokens.input_tokens:,}",
        f"{tokens.cached_tokens:,}",
        f"{tokens.output_tokens:,}",
        dollars(together.cost_usd),
    )
