"""tenants: suspend a tenant, let it go on, or erase it, with your AWS credentials."""

from collections.abc import Iterator, Mapping
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


@app.command()
def erase(
    tenant: Tenant,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    stack: Stack = "Ratchet",
    as_json: AsJson = False,
) -> None:
    """Delete everything of a suspended tenant, and say what. Safe to repeat; nothing brings it back."""
    from ratchet.cli.tenant_erasing import erasing  # noqa: PLC0415

    with operating(stack, f"{tenant} was not erased") as operator:
        erase_tenant, table_bytes = erasing(operator, stack)
        erase_tenant.check(tenant)
        note(f"Reads the whole table twice or more: {cost_of_passes(table_bytes)}.")
        if not yes:
            typer.confirm(f"Delete everything of {tenant} for good?", abort=True, err=True)
        done = erase_tenant(tenant, tell=lambda so_far: note(f"deleted: {_counted(so_far)}"))
        has_keys = "ApiKeysSecretArn" in operator.outputs
    if as_json:
        write_document(
            {"tenant": tenant, "passes": done.passes, "deleted": dict(sorted(done.deleted.items()))}
        )
    else:
        print(f"{tenant}: {_counted(done.deleted)} in {done.passes} passes")
    note(
        "It stays suspended until `ratchet tenants resume`. Backups of the table keep what they hold for 35 days, and "
        "logs, histories of executions and queues keep ids for their own time."
    )
    if has_keys:
        note("Keys of it in the deployment's own secret (ApiKeysSecretArn) are yours to take out.")


def cost_of_passes(table_bytes: int) -> str:
    """What two Scans of a table of that size cost."""
    from ratchet.domain.aws_bill import NANO, PRICES, Resource  # noqa: PLC0415

    units = 2 * -(-table_bytes // 4096)
    usd = PRICES[Resource.READ_UNITS].nanousd(units) / NANO
    return (
        f"{units:,} read units, about ${usd:,.2f}, and a write unit or more for each item deleted"
    )


def _counted(deleted: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {kind}" for kind, n in sorted(deleted.items())) or "nothing"


@contextmanager
def _tenants(stack: str) -> "Iterator[ManageTenants]":
    from ratchet.cli.tenant_erasing import managing  # noqa: PLC0415

    with operating(stack, f"the tenants of stack {stack} cannot be reached") as operator:
        yield managing(operator)


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
