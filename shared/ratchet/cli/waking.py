"""After a restart: the tables are there, the executions are not. The sweeper mends that, and need not wait for it."""

from typing import TYPE_CHECKING, Any

from ratchet.contracts.names import TaskStatus

if TYPE_CHECKING:
    from ratchet.local.stack import LocalStack

_OPEN = [status for status in TaskStatus if not status.is_terminal]


def wake_tasks(local: "LocalStack") -> int:
    """Make every open task due now and let the sweeper look at it; returns how many there are."""
    heads = _open_heads(local)
    for key in heads:
        local.client("dynamodb").update_item(
            TableName=local.outputs["TableName"],
            Key=key,
            UpdateExpression="SET due_at = :now",
            ConditionExpression="attribute_exists(due_at)",
            ExpressionAttributeValues={":now": {"N": "0"}},
        )
    if heads:
        sweeper = next(name for name in local.function_names() if "Sweeper" in name)
        local.client("lambda").invoke(FunctionName=sweeper, InvocationType="Event", Payload=b"{}")
    return len(heads)


def _open_heads(local: "LocalStack") -> list[dict[str, Any]]:
    names = {f":{status.name}": {"S": status.value} for status in _OPEN}
    pages = (
        local.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=local.outputs["TableName"],
            ProjectionExpression="pk, sk",
            FilterExpression=f"sk = :head AND #status IN ({', '.join(names)})",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":head": {"S": "TASK"}, **names},
        )
    )
    return [item for page in pages for item in page["Items"]]
