"""keys: API keys of tenants, made and closed with your AWS credentials."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli.errors import CliError
from ratchet.cli.operator import operating
from ratchet.cli.output import console, note, write_document
from ratchet.contracts.access import AUTHORIZER_CACHE_SECONDS
from ratchet.contracts.names import Json, Scope

if TYPE_CHECKING:
    from ratchet.app.api_keys import ManageKeys, NewKey
    from ratchet.domain.api_keys import ApiKey

app = typer.Typer(no_args_is_help=True, help="API keys of tenants; needs your AWS credentials.")

_HOUR_MS = 3_600_000
Tenant = Annotated[str, typer.Argument(metavar="TENANT")]
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="From `ratchet keys list`.")]
Stack = Annotated[str, typer.Option(help="The deployment's CloudFormation stack.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def create(  # noqa: PLR0913 - its parameters are the options
    tenant: Tenant,
    *,
    scope: Annotated[
        list[Scope], typer.Option(help="What the key may do; may be given several times.")
    ] = [Scope.SUBMIT, Scope.READ],  # noqa: B006 - typer's own way; never written to
    name: Annotated[str, typer.Option(help="What the list calls the key.")] = "",
    user: Annotated[
        str | None, typer.Option(help="Whoever holds the key acts as this user.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="When it expires.")] = None,
    stack: Stack = "Ratchet",
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once."""
    lifetime = None if days is None else days * 24 * _HOUR_MS
    with _keys(stack) as keys:
        made = keys.create(tenant, frozenset(scope), name=name, user=user, lifetime_ms=lifetime)
    _show(made, as_json=as_json)


@app.command("list")
def list_keys(tenant: Tenant, *, stack: Stack = "Ratchet", as_json: AsJson = False) -> None:
    """The tenant's keys, with those that are closed."""
    from rich.table import Table  # noqa: PLC0415

    with _keys(stack) as keys:
        found = keys.list(tenant)
        now = keys.clock.now_ms()
    if as_json:
        write_document({"keys": [_told(key, now) for key in found]})
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    titles = ("id", "state", "scopes", "user", "name", "created", "expires")
    for title in titles:
        table.add_column(title, no_wrap=title != "name")
    for key in found:
        told = _told(key, now)
        table.add_row(*(str(told[title] or "-") for title in titles))
    console().print(table)


@app.command()
def revoke(key_id: KeyId, *, stack: Stack = "Ratchet", as_json: AsJson = False) -> None:
    """Close a key for good."""
    with _keys(stack) as keys:
        key, now = keys.revoke(key_id), keys.clock.now_ms()
    if as_json:
        write_document(_told(key, now))
    note(f"Key {key.id} of {key.tenant} is refused within {AUTHORIZER_CACHE_SECONDS} s.")


@app.command()
def rotate(
    key_id: KeyId,
    *,
    overlap_hours: Annotated[
        int, typer.Option(min=0, help="How long the old key still opens.")
    ] = 24,
    stack: Stack = "Ratchet",
    as_json: AsJson = False,
) -> None:
    """Make a key that may do the same, and show it, this once."""
    with _keys(stack) as keys:
        made = keys.rotate(key_id, overlap_ms=overlap_hours * _HOUR_MS)
    note(f"Key {key_id} still opens for {overlap_hours} h.")
    _show(made, as_json=as_json)


@contextmanager
def _keys(stack: str) -> "Iterator[ManageKeys]":
    from ratchet.adapters.dynamodb_api_keys import DynamoDbApiKeys  # noqa: PLC0415
    from ratchet.adapters.system import SystemChance, SystemClock  # noqa: PLC0415
    from ratchet.app.api_keys import ManageKeys  # noqa: PLC0415

    with operating(stack, f"the API keys of stack {stack} cannot be reached") as operator:
        if "ApiKeysSecretArn" not in operator.outputs:
            raise CliError(
                f"stack {stack} takes no API keys", "Deploy it with the context auth=api_key."
            )
        table = operator.outputs["TableName"]
        store = DynamoDbApiKeys(operator.client("dynamodb"), table=table)
        yield ManageKeys(store, SystemClock(), SystemChance())


def _show(made: "NewKey", *, as_json: bool) -> None:
    if as_json:
        write_document({"key": made.text, **_told(made.key, made.key.created_at_ms)})
        return
    print(made.text)
    note(
        f"Key {made.key.id} of {made.key.tenant}. It is not kept: this is the only time it is shown."
    )


def _told(key: "ApiKey", now_ms: int) -> dict[str, Json]:
    state = "revoked" if key.revoked_at_ms is not None else "expired"
    return {
        "id": key.id,
        "tenant": key.tenant,
        "state": "open" if key.is_open(now_ms) else state,
        "scopes": " ".join(sorted(key.scopes)),
        "user": key.user,
        "name": key.name,
        "created": _time(key.created_at_ms),
        "expires": _time(key.expires_at_ms),
    }


def _time(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
