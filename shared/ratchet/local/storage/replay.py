"""Brings a journal's state back into moto and writes the snapshot that replaces the journal."""

import base64
import json
from collections.abc import Iterator

from moto.dynamodb.models import dynamodb_backends

from ratchet.local.endpoint import Endpoint
from ratchet.local.errors import LocalStackError
from ratchet.local.json_types import JsonObject
from ratchet.local.moto_app import MotoApp
from ratchet.local.storage.secrets import SecretKeeper
from ratchet.local.storage.state import RetainedState
from ratchet.local.web import Response

_BATCH = 25
_BATCH_WRITE = "DynamoDB_20120810.BatchWriteItem"


def replay(state: RetainedState, secrets: SecretKeeper, app: MotoApp) -> None:
    """Repeats what the journal recorded.

    Raises:
        LocalStackError: the template no longer has the table or bucket that a record needs.
    """
    for record in state.dynamodb:
        _check(app.request("dynamodb", record["target"], record["body"]), record["target"])
    for record in state.objects.values():
        _check(app.put_object(record, base64.b64decode(record["body"])), record["path"])
    for record in secrets.others():
        body = {"Name": record["name"], "SecretString": record["value"]}
        _check(app.request("secretsmanager", "secretsmanager.CreateSecret", body), record["name"])
    for record in state.schedules.values():
        _check(app.put_schedule(record), record["name"])


def snapshot(state: RetainedState, secrets: SecretKeeper, endpoint: Endpoint) -> list[JsonObject]:
    """The shortest journal that leads to the state after a replay."""
    return [
        *_items(endpoint),
        *state.objects.values(),
        *secrets.created,
        *secrets.others(),
        *state.schedules.values(),
    ]


def _items(endpoint: Endpoint) -> Iterator[JsonObject]:
    backend = dynamodb_backends[endpoint.account][endpoint.region]
    for name, table in backend.tables.items():
        items = [item.to_json()["Attributes"] for item in table.all_items()]
        for start in range(0, len(items), _BATCH):
            puts = [{"PutRequest": {"Item": item}} for item in items[start : start + _BATCH]]
            body = {"RequestItems": {name: puts}}
            # Encoded here: moto hands out its own mutable values.
            yield json.loads(
                json.dumps(
                    {"service": "dynamodb", "target": _BATCH_WRITE, "body": body}, default=_base64
                )
            )


def _base64(value: object) -> str:
    """Binary attributes, which moto keeps decoded, as they go over the wire."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} is no attribute value")


def _check(response: Response, what: str) -> None:
    if not response.is_success:
        raise LocalStackError(
            f"the journal cannot be replayed at {what}: {response.body[:300].decode()!s}; deploy the "
            "template it was written with, or remove the state directory"
        )
