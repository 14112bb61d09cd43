"""Examples of what callers are answered, as the OpenAPI document shows them: one story, told in order."""

from collections.abc import Mapping, Sequence
from typing import Any

from ratchet.contracts.request_errors import (
    BadCredentials,
    IdempotencyKeyReused,
    InvalidRequest,
    RequestError,
    ScopeMissing,
    ServiceUnavailable,
    SessionBusy,
    TaskNotFound,
    TooManyRequests,
)

_TASK, _OTHER = "task_01KB5Q4ZJ8R3N6W2E9T7Y5C1HD", "task_01KB5Q50C4M8X2K7V1P9S3D6GA"
_SUMMARY = {
    "task_id": _TASK,
    "status": "succeeded",
    "agent": "support",
    "user_id": "ann",
    "created_at": "2026-11-23T09:30:00.120Z",
    "updated_at": "2026-11-23T09:30:21.480Z",
}
_USAGE = {
    "input_tokens": 5210,
    "cached_tokens": 3072,
    "output_tokens": 412,
    "reasoning_tokens": 128,
    "cache_write_tokens": 0,
}
_NOTHING = dict.fromkeys(_USAGE, 0)
_QUEUED: dict[str, Any] = {
    **_SUMMARY,
    "status": "queued",
    "agent_version": "4f1c9a27be03",
    "goal": "Order A-1001 arrived broken, please refund it.",
    "metadata": {"order": "A-1001"},
    "updated_at": _SUMMARY["created_at"],
    "progress": {"steps": 0, "next_step": "planning"},
    "limits": {
        "max_cost_usd": 0.25,
        "max_steps": 50,
        "max_tokens": 1000000,
        "deadline_seconds": 3600,
    },
    "interrupts": [],
    "result": None,
    "error": None,
    "usage": _NOTHING,
    "cost_usd": 0.0,
    "session_id": "chat-42",
}
_QUESTION = {
    "id": "int_7d2c41f0a9b85e367d2c41f0",
    "task_id": _TASK,
    "kind": "approval",
    "question": (
        'The agent wants to call \'refund\' with {"order_id":"A-1001","amount_usd":129.9}. May it?'
    ),
    "choices": ["approve", "reject", "edit"],
    "expires_at": "2026-11-30T09:30:12.900Z",
    "tool": "refund",
    "arguments": {"order_id": "A-1001", "amount_usd": 129.9},
}
_WAITING = {
    **_QUEUED,
    "status": "input_required",
    "updated_at": "2026-11-23T09:30:12.900Z",
    "progress": {"steps": 2, "next_step": "tool_dispatch"},
    "interrupts": [_QUESTION],
    "usage": {**_USAGE, "input_tokens": 3020, "output_tokens": 230},
    "cost_usd": 0.0041,
}
_DONE = {
    **_QUEUED,
    **_SUMMARY,
    "progress": {"steps": 4, "next_step": None},
    "result": "Order A-1001 was paid back: $129.90.",
    "usage": _USAGE,
    "cost_usd": 0.0077,
    "cost": {
        "models_usd": 0.0077,
        "aws_usd": 0.0004,
        "total_usd": 0.0081,
        "aws": {"Step Functions": 0.0003, "Lambda": 0.0001},
    },
}
_BATCH = {
    "batch_id": "batch_01KB5Q4ZJ8R3N6W2E9T7Y5C1HE",
    "created_at": "2026-11-23T09:30:00.120Z",
    "total": 2,
    "statuses": {"queued": 2},
    "erased": 0,
    "is_over": False,
    "cost_usd": 0.0,
    "tasks": [
        {**_SUMMARY, "task_id": task_id, "status": "queued", "updated_at": _SUMMARY["created_at"]}
        for task_id in (_TASK, _OTHER)
    ],
}
_SUM = {"steps": 4, "usage": _USAGE, "cost_usd": 0.0077}

ANSWERS: Mapping[str, Any] = {
    "submitTask": _QUEUED,
    "getTask": _DONE,
    "listTasks": {"tasks": [_SUMMARY], "next_cursor": None},
    "cancelTask": {
        **_WAITING,
        "status": "cancelled",
        "progress": {"steps": 2, "next_step": None},
        "interrupts": [],
        "error": {"code": "cancelled", "message": "cancelled by the caller"},
    },
    "listInterrupts": {"interrupts": [_QUESTION], "next_cursor": None},
    "decideInterrupt": {**_WAITING, "status": "queued", "interrupts": []},
    "submitBatch": _BATCH,
    "getBatch": _BATCH | {"statuses": {"queued": 1, "succeeded": 1}, "cost_usd": 0.0077},
    "getUsage": {
        "first_day": "2026-11-01",
        "last_day": "2026-11-23",
        "by": "model",
        "groups": [{"key": "gpt-4o-mini", **_SUM}],
        "rest": None,
        "total": _SUM,
    },
}
"""By operation: of a request that went well."""


PROBLEMS: Mapping[str, Sequence[RequestError]] = {
    "4XX": (
        InvalidRequest("limits.max_steps: 90 is above the agent's own limit of 50; ask for less"),
        TaskNotFound(f"there is no task '{_OTHER}'; GET /v1/tasks lists yours"),
        SessionBusy(f"{_TASK} has not ended; wait for it, or cancel it first", _TASK),
        IdempotencyKeyReused(
            "this Idempotency-Key came with another request before; use a new key for a new task"
        ),
    ),
    "401": (BadCredentials("send your API key in the x-api-key header"),),
    "403": (ScopeMissing("POST /v1/tasks needs the scope submit; yours: read"),),
    "429": (TooManyRequests("your tenant may make 50 requests a second", 2),),
    "503": (ServiceUnavailable("send the same request again in a moment"),),
}
"""By status of the answer: what it is when a request does not go well."""
