"""What executors share about deployments, in the table of the checkpoints: numbers only, nothing of any tenant."""

from typing import TYPE_CHECKING, Any

from ratchet.adapters.dynamodb_items import key, number
from ratchet.adapters.dynamodb_table import Item, Refused, Table
from ratchet.domain import keys
from ratchet.domain.quota import OTHER, Line, Move
from ratchet.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

LINE, CIRCUIT = "LINE", "CIRCUIT"
_KEYS = ("pk", "sk")


class DynamoDbProviders:
    """A `ProviderState`: every method is one request."""

    def __init__(self, client: "DynamoDBClient", *, table: str, clock: Clock) -> None:
        self._table = Table(client, table, clock)

    def move(self, deployment: str, shard: int, move: Move) -> tuple[bool, Line]:
        """Move a line of its quota on; whether it was moved, and the line as it now stands.

        A move whose answer got lost is sent again by botocore and counts twice: quota is wasted, never overdrawn.
        """
        item = key(keys.provider_key(deployment, shard), LINE)
        moved, stands = self._change({"Key": item, **_expressions(move)})
        return moved, {k: int(v["N"]) for k, v in stands.items() if k not in _KEYS}

    def probe_at(self, deployment: str) -> int:
        """When a deployment that fails may be tried again; 0 while it works."""
        return _probe_at(self._table.get(key(keys.provider_key(deployment), CIRCUIT)) or {})

    def set_probe_at(self, deployment: str, at_ms: int, *, seen: int) -> int:
        """Change that time if it still is `seen`; the time that stands now."""
        unset = "attribute_not_exists(probe_at) OR " if not seen else ""
        _, stands = self._change(
            {
                "Key": key(keys.provider_key(deployment), CIRCUIT),
                "UpdateExpression": "SET probe_at = :at",
                "ConditionExpression": f"{unset}probe_at = :seen",
                "ExpressionAttributeValues": {":at": number(at_ms), ":seen": number(seen)},
            }
        )
        return _probe_at(stands)

    def _change(self, update: dict[str, Any]) -> tuple[bool, Item]:
        try:
            return True, self._table.update_returning(update)
        except Refused as refused:
            # DynamoDB Local refuses without showing what stands there.
            return False, refused.items[0] or self._table.get(update["Key"]) or {}


def _probe_at(item: Item) -> int:
    return int(item["probe_at"]["N"]) if "probe_at" in item else 0


def _expressions(move: Move) -> dict[str, Any]:
    """The move as an UpdateExpression and its condition: `Move.applied_to` says the same in Python."""
    sets, conditions = [], []
    values: Item = {}
    for kind, by in sorted(move.by.items()):
        if kind in move.restarts:
            sets.append(f"#{kind} = :{kind}")
            conditions.append(f"(attribute_not_exists(#{kind}) OR #{kind} < :now)")
            values |= {f":{kind}": number(move.now + by), ":now": number(move.now)}
        elif kind in move.follows:
            sets.append(f"#{kind} = #{OTHER[kind]} + :{kind}")
            conditions.append(f"(attribute_not_exists(#{kind}) OR #{kind} < #{OTHER[kind]})")
            values |= {f":{kind}": number(by)}
        else:
            sets.append(f"#{kind} = #{kind} + :{kind}")
            conditions.append(f"#{kind} BETWEEN :earliest AND :latest")
            values |= {
                f":{kind}": number(by),
                ":earliest": number(move.earliest),
                ":latest": number(move.latest),
            }
    return {
        "UpdateExpression": "SET " + ", ".join(sets),
        "ConditionExpression": " AND ".join(conditions),
        "ExpressionAttributeNames": {f"#{kind}": kind for kind in move.by},
        "ExpressionAttributeValues": values,
    }
