"""Suspended tenants in the one table: an item each, there as long as the suspension lasts."""

from typing import TYPE_CHECKING, Any

from ratchet.adapters.aws import AWS_ERRORS, error_code, store_error
from ratchet.domain import keys
from ratchet.domain.suspension import Suspension

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


class DynamoDbSuspensions:
    """Suspensions on AWS."""

    def __init__(self, client: "DynamoDBClient", *, table: str) -> None:
        self._client = client
        self._table = table

    def find(self, tenant: str, *, consistent: bool = False) -> Suspension | None:
        """The tenant's suspension; unless `consistent`, one of this second may be missing."""
        try:
            found = self._client.get_item(
                TableName=self._table, Key=_key(tenant), ConsistentRead=consistent
            )
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc
        item: dict[str, Any] | None = found.get("Item")
        if item is None:
            return None
        return Suspension(int(item["since"]["N"]), item["reason"]["S"])

    def begin(self, tenant: str, suspension: Suspension) -> Suspension:
        """Suspend the tenant unless it is; the suspension that stands."""
        item: dict[str, Any] = {
            **_key(tenant),
            "since": {"N": str(suspension.since_ms)},
            "reason": {"S": suspension.reason},
        }
        try:
            self._client.put_item(
                TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(pk)"
            )
        except AWS_ERRORS as exc:
            if error_code(exc) != "ConditionalCheckFailedException":
                raise store_error(exc) from exc
            return self.find(tenant, consistent=True) or suspension
        return suspension

    def end(self, tenant: str) -> None:
        """Let the tenant go on; nothing if it is not suspended."""
        try:
            self._client.delete_item(TableName=self._table, Key=_key(tenant))
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc


def _key(tenant: str) -> dict[str, Any]:
    return {"pk": {"S": keys.suspension_key(tenant)}, "sk": {"S": keys.SUSPENSION}}
