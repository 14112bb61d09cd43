"""The `due` index: which tasks somebody should look at, and when."""

from collections.abc import Sequence

from ratchet.adapters import dynamodb_updates as updates
from ratchet.adapters.dynamodb_items import number
from ratchet.adapters.dynamodb_table import Table
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TaskStatus
from ratchet.domain import keys
from ratchet.ports import DueTask


class DynamoDbAgenda:
    """What is due. Part of the CheckpointStore on AWS."""

    _table: Table

    def due_tasks(self, shard: str, *, now_ms: int, limit: int) -> Sequence[DueTask]:
        """What someone should look at by now, longest due first: one read request."""
        request = {
            "IndexName": "due",
            "KeyConditionExpression": "due = :shard AND due_at <= :now",
            "ExpressionAttributeValues": {":shard": {"S": shard}, ":now": number(now_ms)},
            "Limit": limit,
        }
        page = next(self._table.query(request))
        return [
            DueTask(
                ref=keys.ref_of(item["pk"]["S"]),
                status=TaskStatus(item["status"]["S"]),
                due_at_ms=int(item["due_at"]["N"]),
            )
            for item in page["Items"]
        ]

    def postpone(self, due: DueTask, *, until_ms: int) -> bool:
        """Look again at that time; False if the task changed since it was found."""
        return self._table.update(updates.postponed(due, until_ms))

    def due_again(self, ref: TaskRef, *, ended_at_ms: int, at_ms: int) -> None:
        """Look again at a task that ended then; nothing if it has been resumed, and perhaps ended again, since."""
        self._table.update(updates.due_again(ref, ended_at_ms, at_ms))
