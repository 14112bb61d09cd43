"""Task lists, from the `by_tenant` index."""

from itertools import islice
from typing import Any

from ratchet.adapters.dynamodb_items import read_summary
from ratchet.adapters.dynamodb_table import Item, Table
from ratchet.domain import keys
from ratchet.domain.task import TaskState, is_over
from ratchet.ports import ListFilter, Page, TaskSummary

# A filter that few tasks pass examines at most 10 x 1,000 tasks in one call; `after` goes on from there.
_REQUESTS = 10
_EXAMINED_PER_REQUEST = 1_000


class DynamoDbListing:
    """Lists of tasks."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def page(
        self, tenant: str, *, where: ListFilter, limit: int, after: str | None, now_ms: int
    ) -> Page:
        """Newest first; shorter than `limit` only at the end, or when the filter examined its share."""
        tasks: list[TaskSummary] = []
        cursor: Item | None = None
        request = _request(tenant, where=where, limit=limit, after=after)
        for page in islice(self._table.query(request), _REQUESTS):
            for task in map(read_summary, page["Items"]):
                if len(tasks) == limit:
                    return Page(tuple(tasks), after=tasks[-1].task_id)
                if not _is_expired(task, now_ms):
                    tasks.append(task)
            cursor = page.get("LastEvaluatedKey")
        return Page(tuple(tasks), after=cursor["task_id"]["S"] if cursor else None)


def _request(tenant: str, *, where: ListFilter, limit: int, after: str | None) -> dict[str, Any]:
    names: dict[str, str] = {}
    values: Item = {":tenant": {"S": keys.tenant_key(tenant)}}
    condition = "tenant_key = :tenant"
    if after:
        condition += " AND task_id < :after"
        values[":after"] = {"S": after}
    wanted = {"status": where.status, "agent": where.agent, "user_id": where.user_id}
    filters: list[str] = []
    for name, value in wanted.items():
        if value is not None:
            filters.append(f"#{name} = :{name}")
            names[f"#{name}"] = name
            values[f":{name}"] = {"S": str(value)}
    request: dict[str, Any] = {
        "IndexName": "by_tenant",
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
        "ScanIndexForward": False,
        "Limit": _EXAMINED_PER_REQUEST if filters else limit + 1,
    }
    if filters:
        request["FilterExpression"] = " AND ".join(filters)
        request["ExpressionAttributeNames"] = names
    return request


def _is_expired(task: TaskSummary, now_ms: int) -> bool:
    return is_over(TaskState(task.status, task.updated_at_ms), now_ms=now_ms)
