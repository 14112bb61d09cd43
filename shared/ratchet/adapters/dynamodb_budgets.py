"""Tenants' daily budgets in DynamoDB: one counter a day, and what each task has been given, beside its steps."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ratchet.adapters.dynamodb_items import key, number
from ratchet.adapters.dynamodb_table import Item, Refused, Table
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.messages import Allowance, TaskRef
from ratchet.domain import keys
from ratchet.domain.allowance import Move
from ratchet.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


class DynamoDbTenantBudgets:
    """The TenantBudgets on AWS."""

    def __init__(self, client: "DynamoDBClient", *, table: str, clock: Clock) -> None:
        self._table = Table(client, table, clock)

    def allowance(self, ref: TaskRef) -> Allowance | None:
        """What the task has been given; None if nothing."""
        item = self._table.get(_allowance_key(ref))
        if item is None:
            return None
        return Allowance(item["day"]["S"], int(item["microusd"]["N"]), item["attempt_id"]["S"])

    def move(self, ref: TaskRef, move: Move) -> Allowance | None:
        """Change the task's allowance and the day that it is of; what stands now."""
        if move.cap_microusd is not None and move.microusd > max(0, move.cap_microusd):
            return move.before
        try:
            self._table.transact({"Put": _put(ref, move)}, {"Update": _update(ref, move)})
        except Refused:
            # One of both conditions: what stands tells which, and whether it was this very move, sent before.
            return self.allowance(ref)
        return move.after

    def given_microusd(self, tenant: str, day: str) -> int:
        """What was given away of a day so far."""
        item = self._table.get(key(keys.tenant_budget_key(tenant), day))
        return 0 if item is None else int(item["microusd"]["N"])


def _allowance_key(ref: TaskRef) -> Item:
    return key(keys.task_key(ref), keys.ALLOWANCE)


def _put(ref: TaskRef, move: Move) -> dict[str, Any]:
    before, after = move.before, move.after
    put: dict[str, Any] = {
        "Item": {
            **_allowance_key(ref),
            "day": {"S": after.day},
            "microusd": number(after.ceiling_microusd),
            "attempt_id": {"S": after.owner},
        }
    }
    if before is None:
        return {**put, "ConditionExpression": "attribute_not_exists(pk)"}
    return {
        **put,
        "ConditionExpression": "#day = :day AND microusd = :old AND attempt_id = :theirs",
        "ExpressionAttributeNames": {"#day": "day"},
        "ExpressionAttributeValues": {
            ":day": {"S": before.day},
            ":old": number(before.ceiling_microusd),
            ":theirs": {"S": before.owner},
        },
    }


def _update(ref: TaskRef, move: Move) -> dict[str, Any]:
    midnight = datetime.fromisoformat(move.after.day).replace(tzinfo=UTC)
    values = {
        ":more": number(move.microusd),
        ":none": number(0),
        ":then": number(int(midnight.timestamp()) + TERMINAL_RETENTION_SECONDS),
    }
    update: dict[str, Any] = {
        "Key": key(keys.tenant_budget_key(ref.tenant), move.after.day),
        "UpdateExpression": "SET microusd = if_not_exists(microusd, :none) + :more, expires_at = :then",
        "ExpressionAttributeValues": values,
    }
    if move.cap_microusd is not None and move.microusd > 0:
        values[":most"] = number(move.cap_microusd - move.microusd)
        update["ConditionExpression"] = "attribute_not_exists(microusd) OR microusd <= :most"
    return update
