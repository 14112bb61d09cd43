"""tenants: suspend a tenant and let it go on, with your AWS credentials."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli.operator import operating
from ratchet.cli.output import note, write_document
from ratchet.contracts.limits import SUSPENDED_LOOK_SECONDS, SUSPENSION_CACHE_SECONDS
from ratchet.contracts.names import Json

if TYPE_CHECKING:
    from ratchet.app.manage_tenants import ManageTenants
    from ratchet.domain.suspension import Suspension

app = typer.Typer(no_args_is_help=True, help="Tenants; needs your AWS credentials.")

Tenant = Annotated[str, typer.Argument(metavar="TENANT")]
Stack = Annotated[str, typer.Option(help="The deployment's CloudFormation stack.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def suspend(
    tenant: Tenant,
    *,
    reason: Annotated[str, typer.Option(help="Why; `ratchet tenants show` tells it.")] = "",
    stack: Stack = "Ratchet",
    as_json: AsJson = False,
) -> None:
    """Stop a tenant: no new tasks, no further steps, no announcements. Nothing is lost."""
    with _tenants(stack) as tenants:
        stands = tenants.suspend(tenant, reason=reason)
    _show(tenant, stands, as_json=as_json)
    note(f"Its steps begin no more within {SUSPENSION_CACHE_SECONDS} s.")


@app.command()
def resume(tenant: Tenant, *, stack: Stack = "Ratchet", as_json: AsJson = False) -> None:
    """Let a suspended tenant go on."""
    with _tenants(stack) as tenants:
        ended = tenants.resume(tenant)
    _show(tenant, None, as_json=as_json)
    if ended is not None:
        minutes = SUSPENDED_LOOK_SECONDS // 60
        note(f"Its tasks and announcements go on by themselves within {minutes} minutes.")


@app.command()
def show(tenant: Tenant, *, stack: Stack = "Ratchet", as_json: AsJson = False) -> None:
    """Whether a tenant is suspended, since when and why."""
    with _tenants(stack) as tenants:
        stands = tenants.suspension(tenant)
    _show(tenant, stands, as_json=as_json)


@contextmanager
def _tenants(stack: str) -> "Iterator[ManageTenants]":
    from ratchet.adapters.dynamodb_suspensions import DynamoDbSuspensions  # noqa: PLC0415
    from ratchet.adapters.system import SystemClock  # noqa: PLC0415
    from ratchet.app.manage_tenants import ManageTenants  # noqa: PLC0415

    with operating(stack, f"the tenants of stack {stack} cannot be reached") as operator:
        table = operator.outputs["TableName"]
        suspensions = DynamoDbSuspensions(operator.client("dynamodb"), table=table)
        yield ManageTenants(suspensions, SystemClock())


def _show(tenant: str, suspension: "Suspension | None", *, as_json: bool) -> None:
    if as_json:
        write_document({"tenant": tenant, **_told(suspension)})
    elif suspension is None:
        print(f"{tenant} is not suspended")
    else:
        since = _time(suspension.since_ms)
        print(f"{tenant} is suspended since {since}: {suspension.reason or 'no reason given'}")


def _told(suspension: "Suspension | None") -> dict[str, Json]:
    if suspension is None:
        return {"state": "active"}
    return {
        "state": "suspended",
        "since": _time(suspension.since_ms),
        "reason": suspension.reason,
        "erasable_from": _time(suspension.erasable_from_ms),
    }


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
