"""Task lists, from the `by_tenant` index."""

from itertools import islice
from typing import Any

from ratchet.adapters.dynamodb_items import read_summary
from ratchet.adapters.dynamodb_table import Item, Table
from ratchet.domain import identifiers, keys
from ratchet.domain.task import TaskState, is_over
from ratchet.task_list import ListFilter, Page, TaskSummary

# A filter that few tasks pass examines at most 10 x 1,000 tasks in one call; `after` goes on from there.
_REQUESTS = 10
_EXAMINED_PER_REQUEST = 1_000
_END = "~"  # sorts behind all ids and all that they hold


class DynamoDbListing:
    """Lists of tasks."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def page(
        self, tenant: str, *, where: ListFilter, limit: int, after: str | None, now_ms: int
    ) -> Page:
        """Newest first; shorter than `limit` only at the end, or when the filter examined its share."""
        first, last = identifiers.first_task_id(where.from_ms or 0), _last(where, after)
        if last < first:
            return Page((), None)
        tasks: list[TaskSummary] = []
        cursor: Item | None = None
        request = _request(tenant, where=where, limit=limit, between=(first, last))
        for page in islice(self._table.query(request), _REQUESTS):
            for task in map(read_summary, page["Items"]):
                if len(tasks) == limit:
                    return Page(tuple(tasks), after=tasks[-1].task_id)
                if not _is_expired(task, now_ms):
                    tasks.append(task)
            cursor = page.get("LastEvaluatedKey")
        return Page(tuple(tasks), after=cursor["task_id"]["S"] if cursor else None)


def _request(
    tenant: str, *, where: ListFilter, limit: int, between: tuple[str, str]
) -> dict[str, Any]:
    names: dict[str, str] = {}
    values: Item = {
        ":tenant": {"S": keys.tenant_key(tenant)},
        ":first": {"S": between[0]},
        ":last": {"S": between[1]},
    }
    wanted = {"status": where.status, "agent": where.agent, "user_id": where.user_id}
    filters: list[str] = []
    for name, value in wanted.items():
        if value is not None:
            filters.append(f"#{name} = :{name}")
            names[f"#{name}"] = name
            values[f":{name}"] = {"S": str(value)}
    request: dict[str, Any] = {
        "IndexName": "by_tenant",
        "KeyConditionExpression": "tenant_key = :tenant AND task_id BETWEEN :first AND :last",
        "ExpressionAttributeValues": values,
        "ScanIndexForward": False,
        "Limit": _EXAMINED_PER_REQUEST if filters else limit + 1,
    }
    if filters:
        request["FilterExpression"] = " AND ".join(filters)
        request["ExpressionAttributeNames"] = names
    return request


def _last(where: ListFilter, after: str | None) -> str:
    """No id comes after it that is wanted: BETWEEN takes in both ends, and neither end is to be taken in."""
    ends = [_END]
    if after:
        ends.append(f"{after[:-1]}{chr(ord(after[-1]) - 1)}{_END}")
    if where.until_ms is not None:
        ends.append(identifiers.first_task_id(where.until_ms))
    return min(ends)


def _is_expired(task: TaskSummary, now_ms: int) -> bool:
    return is_over(TaskState(task.status, task.updated_at_ms), now_ms=now_ms)
