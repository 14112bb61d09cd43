"""Tenants' token buckets: one item each, taken from by conditional updates, so all sandboxes share them."""

from typing import TYPE_CHECKING, Any

from ratchet.adapters.dynamodb_items import key, number
from ratchet.adapters.dynamodb_table import Refused, Table
from ratchet.domain import keys
from ratchet.domain.request_rate import RequestRate
from ratchet.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


class DynamoDbTenantRates:
    """TenantRates on AWS: one write a request, or two while the bucket is not full."""

    def __init__(self, client: "DynamoDBClient", *, table: str, clock: Clock) -> None:
        self._table = Table(client, table, clock)
        self._clock = clock

    def take(self, tenant: str, rate: RequestRate) -> int | None:
        """Take one token; None if there was one, else the seconds until there is."""
        now_us = self._clock.now_ms() * 1000
        if self._begin(tenant, now_us + rate.token_us, now_us):
            return None
        place = {":token": number(rate.token_us), ":latest": number(rate.latest_us(now_us))}
        try:
            self._table.update_returning(
                {
                    "Key": _key(tenant),
                    "UpdateExpression": "SET full_at = full_at + :token",
                    "ConditionExpression": "full_at <= :latest",
                    "ExpressionAttributeValues": place,
                }
            )
        except Refused:
            item = self._table.get(_key(tenant)) or {}
            full_at = int(item.get("full_at", {"N": "0"})["N"])
            return rate.retry_after_seconds(full_at, now_us)
        return None

    def _begin(self, tenant: str, full_at_us: int, now_us: int) -> bool:
        """Take the first token of a full bucket, if it is full."""
        return self._table.update(
            {
                "Key": _key(tenant),
                "UpdateExpression": "SET full_at = :full",
                "ConditionExpression": "attribute_not_exists(pk) OR full_at < :now",
                "ExpressionAttributeValues": {":full": number(full_at_us), ":now": number(now_us)},
            }
        )


def _key(tenant: str) -> dict[str, Any]:
    return key(keys.tenant_rate_key(tenant), keys.RATE)
