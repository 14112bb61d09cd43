"""What the one table holds of a tenant, found by a Scan: the only request that misses nothing.

Nobody lists the partitions of a tenant. An index over them would be a second write with every step, for a thing that
is done once in a tenant's life; a Scan is paid for when it is done. Only an operator's own credentials allow it: no
function may Scan.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ratchet.adapters import dynamodb_items as items
from ratchet.adapters.aws import AWS_ERRORS, store_error
from ratchet.adapters.dynamodb_slots import one_less
from ratchet.adapters.dynamodb_table import Item, Refused, Table
from ratchet.domain import keys
from ratchet.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

_FILTER = (
    "begins_with(pk, :own) OR (begins_with(pk, :pointers) AND tenant = :tenant) "
    "OR (pk = :admission AND sk = :note)"
)


class DynamoDbHoldings:
    """The TenantHoldings of the table: everything below the tenant's keys but its suspension, and what points there."""

    def __init__(self, client: "DynamoDBClient", *, table: str, clock: Clock) -> None:
        self._table = Table(client, table, clock)

    def erase(self, tenant: str) -> Mapping[str, int]:
        """Delete what one Scan finds of the tenant; how many items of each kind."""
        deleted: Counter[str] = Counter()
        for page in self._pages(tenant):
            found = [item for item in page if item["pk"]["S"] != keys.suspension_key(tenant)]
            seated = [item for item in found if "slot" in item]
            plain = [item for item in found if "slot" not in item]
            self._table.delete([_key(item) for item in plain])
            gone = [*plain, *(item for item in seated if self._unseated(item))]
            deleted.update(keys.kind_of(item["pk"]["S"], item["sk"]["S"]) for item in gone)
        return deleted

    def bytes(self) -> int:
        """How large the table is, as DynamoDB said within the last six hours: what one Scan reads."""
        try:
            described = self._table.client.describe_table(TableName=self._table.name)
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc
        return described["Table"].get("TableSizeBytes", 0)

    def _pages(self, tenant: str) -> Iterator[list[Item]]:
        values = {
            ":own": f"{keys.tenant_key(tenant)}#",
            ":pointers": f"{keys.API_KEY}#",
            ":tenant": tenant,
            ":admission": keys.ADMISSION,
            ":note": keys.waiting_sort_key(tenant),
        }
        request: dict[str, Any] = {
            "FilterExpression": _FILTER,
            "ExpressionAttributeValues": {name: {"S": value} for name, value in values.items()},
            "ProjectionExpression": "pk, sk, slot",
            "ConsistentRead": True,  # a pass that finds nothing must mean that there is nothing
        }
        return (list(page["Items"]) for page in self._table.scan(request))

    def _unseated(self, head: Item) -> bool:
        """Delete the head of a task with its slot, which the deployment counts; False if it has changed."""
        shard = int(head["slot"]["N"])
        try:
            self._table.transact(
                {
                    "Delete": {
                        "Key": _key(head),
                        "ConditionExpression": "slot = :slot",
                        "ExpressionAttributeValues": {":slot": items.number(shard)},
                    }
                },
                {"Update": one_less(keys.admission_key(shard))},
            )
        except Refused:
            return False
        return True


def _key(item: Item) -> Item:
    return {"pk": item["pk"], "sk": item["sk"]}
