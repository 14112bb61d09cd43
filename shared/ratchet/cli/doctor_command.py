"""doctor: what is there, what is missing, and how to get it."""

from typing import Annotated

import typer

from ratchet.cli.output import console, write_document
from ratchet.contracts.names import Json


def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
) -> None:
    """Check this machine; exit code 1 if something that is needed is missing."""
    from ratchet.cli.doctor_checks import run_checks  # noqa: PLC0415

    checks = run_checks()
    healthy = all(check.ok or not check.is_needed for check in checks)
    if as_json:
        listed: list[Json] = [check.to_json() for check in checks]
        write_document({"ok": healthy, "checks": listed})
    else:
        out = console()
        for check in checks:
            mark = "ok" if check.ok else "MISSING" if check.is_needed else "not set"
            style = "green" if check.ok else "red" if check.is_needed else "yellow"
            out.print(f"{mark:<8}", end="", style=style)
            out.print(f"{check.name}: {check.detail}", soft_wrap=True)
            if not check.ok:
                out.print(f"        -> {check.fix}", soft_wrap=True)
    if not healthy:
        raise typer.Exit(1)
