"""memory: what outlives tasks and sessions, read, written and deleted by namespace and key."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Annotated

import typer

from ratchet.cli.client import ApiClient
from ratchet.cli.errors import CliError
from ratchet.cli.outcome import connect
from ratchet.cli.output import console, note, write_document, write_text
from ratchet.cli.task_commands import AsJson
from ratchet.contracts import limits
from ratchet.contracts.memory_api import (
    DeletedMemoryView,
    DeletedNamespaceView,
    MemoryListView,
    MemoryView,
)
from ratchet.contracts.names import Json

app = typer.Typer(no_args_is_help=True, help="Memory: facts that outlive tasks and sessions.")

Namespace = Annotated[
    str, typer.Argument(metavar="NAMESPACE", help="user:ID, agent:NAME or tenant.")
]
Key = Annotated[str, typer.Argument(metavar="KEY")]
IfMatch = Annotated[
    str | None, typer.Option("--if-match", metavar="ETAG", help="Only if it has not changed.")
]
_FITS_A_PATH = re.compile(r"[A-Za-z0-9_.:@-]+")


@app.command("list")
def list_memories(
    namespace: Namespace,
    *,
    prefix: Annotated[str, typer.Option(help="Only keys that begin so.")] = "",
    query: Annotated[str, typer.Option(help="Words to look for; the best first.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = limits.DEFAULT_PAGE_SIZE,
    as_json: AsJson = False,
) -> None:
    """List what is remembered, or search it."""
    with connect() as client:
        found = _memories(client, namespace, {"prefix": prefix, "query": query}, limit)
    if as_json:
        write_document(found)
    else:
        _print(found)


@app.command()
def get(namespace: Namespace, key: Key, *, as_json: AsJson = False) -> None:
    """Print a value; with --json also its version, ETag, times and source."""
    with connect() as client:
        found = client.ask(MemoryView, "GET", _path(client, namespace, key))
    if as_json:
        write_document(found)
    else:
        write_text(_text(found.value))


@app.command()
def put(  # noqa: PLR0913 - its parameters are the options
    namespace: Namespace,
    key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A text, or JSON with --as-json.")],
    *,
    parse: Annotated[bool, typer.Option("--as-json", help="VALUE is JSON.")] = False,
    days: Annotated[int | None, typer.Option(min=1, help="For how long; else for ever.")] = None,
    if_match: IfMatch = None,
    as_json: AsJson = False,
) -> None:
    """Remember a value in place of what the key held."""
    body: dict[str, Json] = {"value": _parsed(value) if parse else value}
    if days is not None:
        body["ttl_seconds"] = days * 86_400
    with connect() as client:
        path = _path(client, namespace, key)
        found = client.ask(MemoryView, "PUT", path, json=body, headers=_condition(if_match))
    if as_json:
        write_document(found)
    else:
        note(f"{found.key}: version {found.version}, ETag {found.etag}")


@app.command()
def delete(
    namespace: Namespace,
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="Without: only with --all.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All of the namespace.")] = False,
    tasks: Annotated[
        bool, typer.Option("--tasks", help="With --all: the user's ended tasks too.")
    ] = False,
    if_match: IfMatch = None,
    as_json: AsJson = False,
) -> None:
    """Delete a memory, or with --all a namespace; it does not come back."""
    if (key is None) != everything or (tasks and not everything):
        raise CliError("Name a key, or say --all", "--tasks goes with --all.")
    with connect() as client:
        path = _path(client, namespace, key)
        if key is not None:
            headers = _condition(if_match)
            gone = client.ask(DeletedMemoryView, "DELETE", path, headers=headers)
            text = f"Deleted {key} of {gone.namespace}."
            _tell(gone, text, as_json=as_json)
            return
        query = {"tasks": "true"} if tasks else None
        cleared = client.ask(DeletedNamespaceView, "DELETE", path, query=query)
    _tell(cleared, _told(cleared), as_json=as_json)


def _tell(gone: DeletedMemoryView | DeletedNamespaceView, text: str, *, as_json: bool) -> None:
    if as_json:
        write_document(gone)
    else:
        note(text)


def _told(gone: DeletedNamespaceView) -> str:
    lines = [f"Deleted {gone.deleted_memories} memories of {gone.namespace}."]
    if gone.deleted_task_ids:
        lines.append(f"Deleted {len(gone.deleted_task_ids)} tasks, {gone.deleted_items} items.")
    if gone.deleted_schedules:
        lines.append(f"Deleted {gone.deleted_schedules} schedules.")
    if gone.open_task_ids:
        lines.append(f"These have not ended, so they stay: {' '.join(gone.open_task_ids)}")
    if not gone.is_complete:
        lines.append("There may be more tasks: send it again.")
    return "\n".join(lines)


def _memories(
    client: ApiClient, namespace: str, filters: Mapping[str, str], limit: int
) -> MemoryListView:
    found = MemoryListView(namespace=namespace, memories=[], next_cursor=None)
    while True:
        size = min(limit - len(found.memories), limits.MAX_PAGE_SIZE)
        query = {**filters, "limit": size, "cursor": found.next_cursor}
        page = client.ask(MemoryListView, "GET", _path(client, namespace), query=query)
        both = found.memories + page.memories
        found = MemoryListView(
            namespace=page.namespace, memories=both, next_cursor=page.next_cursor
        )
        if page.next_cursor is None or len(both) >= limit:
            return found


def _path(client: ApiClient, namespace: str, key: str | None = None) -> str:
    kind, _, owner = namespace.partition(":")
    if kind == "user" and owner and not _FITS_A_PATH.fullmatch(owner):
        # What a gateway decodes of a path is not what was encoded.
        namespace = f"user64:{base64.urlsafe_b64encode(owner.encode()).decode().rstrip('=')}"
    return client.path("memory", namespace, *([] if key is None else [key]))


def _condition(if_match: str | None) -> dict[str, str] | None:
    return None if if_match is None else {"If-Match": f'"{if_match}"'}


def _parsed(text: str) -> Json:
    try:
        value: Json = json.loads(text)
    except ValueError as exc:
        raise CliError(f"VALUE is no JSON: {exc}") from exc
    return value


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print(found: MemoryListView) -> None:
    from rich.table import Table  # noqa: PLC0415

    from ratchet.cli import timeline  # noqa: PLC0415

    if not found.memories:
        note(f"Nothing is remembered in {found.namespace}.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("key", "value", "written", "by"):
        table.add_column(title)
    for memory in found.memories:
        by = memory.source.task_id or memory.source.principal or "-"
        written = timeline.moment(memory.updated_at)
        table.add_row(memory.key, _text(memory.value), written, by)
    console().print(table)
    if found.next_cursor is not None:
        note("There are more; ask for them with --limit.")
