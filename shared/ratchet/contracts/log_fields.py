"""The fields that a log record may have. What is not here is left out: ids, names and counts, no content.

A new field is a decision: it must hold nothing that a caller, a model or a tool has said.
"""

POWERTOOLS = frozenset(
    {
        *("level", "location", "message", "timestamp", "service", "sampling_rate", "cold_start"),
        *("function_name", "function_memory_size", "function_arn", "function_request_id"),
        *("xray_trace_id", "exception", "exception_name"),
    }
)
OURS = frozenset(
    {
        *("tenant", "task_id", "step", "message_id", "generation", "agent", "schedule_id"),  # which
        *("step_type", "model", "deployment", "tool", "channel", "ok", "error", "problem"),  # what
        *("cost_microusd", "lost_microusd", "lost_tokens"),  # how much
        *("ms", "seconds", "restarts", "count"),
        *("before", "after", "tasks", "items", "failed", "lag_ms", "waiting", "facts"),
        *("pinned", "version", "dropped"),
    }
)
ALLOWED_FIELDS = POWERTOOLS | OURS
