"""Examples of the bodies that callers send, as the OpenAPI document shows them."""

from collections.abc import Mapping
from typing import Any

BODIES: Mapping[str, Any] = {
    "submitTask": {
        "goal": "Order A-1001 arrived broken, please refund it.",
        "agent": "support",
        "session_id": "chat-42",
        "limits": {"max_cost_usd": 0.25},
        "metadata": {"order": "A-1001"},
    },
    "submitBatch": {
        "tasks": [
            {"goal": "Order A-1001 arrived broken, please refund it.", "agent": "support"},
            {"goal": "Where is order A-1002?", "agent": "support", "priority": 7},
        ]
    },
    "createSchedule": {
        "schedule_expression": "cron(0 9 ? * MON-FRI *)",
        "timezone": "Europe/Berlin",
        "name": "morning report",
        "task": {"goal": "Sum up what customers wrote since yesterday.", "agent": "support"},
    },
    "resumeTask": {"limits": {"max_cost_usd": 0.5}},
    "forkTask": {"step": 2, "instruction": "Look at the invoice first."},
    "decideInterrupt": {"decision": "approve"},
    "putMemory": {"value": "Prefers short answers."},
}
