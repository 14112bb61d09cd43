"""The goals of semantic caches in DynamoDB: an item per goal, in the order in which they were asked."""

from ratchet.adapters.dynamodb_items import key, number
from ratchet.adapters.dynamodb_table import Item, Table
from ratchet.contracts.errors import DataMissing
from ratchet.contracts.limits import MAX_KNOWN_GOALS
from ratchet.domain import keys
from ratchet.domain.semantic_cache import GoalVector, KnownGoal
from ratchet.ports import Clock


class DynamoDbKnownGoals:
    """The KnownGoals on AWS."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def newest(self, tenant: str, scope: str) -> list[KnownGoal]:
        """The newest goals that have not expired.

        Raises:
            StoreUnavailable, ServiceRefused
            DataMissing: one of them cannot be read.
        """
        request = {
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": keys.goals_key(tenant, scope)}},
            "ScanIndexForward": False,  # ids of tasks begin with their time
            "Limit": MAX_KNOWN_GOALS,
        }
        # Of a query that is cut off at 1 MB the newest goals come first, and do.
        page = next(self._table.query(request))
        now_ms = self._clock.now_ms()
        return [goal for item in page["Items"] if (goal := _goal(item)).is_fresh(now_ms=now_ms)]

    def add(self, tenant: str, scope: str, goal: KnownGoal) -> None:
        """Keep a goal until it expires, in place of an earlier one of its task.

        Raises:
            StoreUnavailable, ServiceRefused
        """
        item = {
            **key(keys.goals_key(tenant, scope), goal.task_id),
            "vector": {"B": goal.vector.packed},
            "asked_at": number(goal.asked_at_ms),
            "expires_at": number(goal.expires_at),
        }
        self._table.put({"Item": item})


def _goal(item: Item) -> KnownGoal:
    try:
        return KnownGoal(
            task_id=item["sk"]["S"],
            vector=GoalVector(bytes(item["vector"]["B"])),
            asked_at_ms=int(item["asked_at"]["N"]),
            expires_at=int(item["expires_at"]["N"]),
        )
    except (KeyError, ValueError) as exc:
        raise DataMissing(f"a known goal lacks {exc}") from exc
