"""Ids that leave the table: of tasks, questions, events, deliveries, executions and tool calls. All are derived."""

import hashlib
import re

from ratchet.contracts.messages import TaskRef

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LAST_MS = 2**48 - 1  # a ULID has 48 bits of time


def tool_call_key(ref: TaskRef, step: int, index: int, name: str) -> str:
    """The idempotency key that a tool gets: the same on every attempt, different for every call."""
    text = f"{ref.tenant}\n{ref.task_id}\n{step}\n{index}\n{name}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def interrupt_id(ref: TaskRef, step: int, call_id: str) -> str:
    """The id of a question about one tool call: the same on every attempt."""
    text = f"{ref.tenant}\n{ref.task_id}\n{step}\n{call_id}"
    return f"int_{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def event_id(ref: TaskRef, event: str, step: int) -> str:
    """Stable id of what a step announced: the same on every try (`webhook-id`)."""
    return f"evt_{ref.task_id.removeprefix('task_')}_{step}_{event.replace('.', '_')}"


def event_type(event_id: str) -> str:
    """What an event of that id announces: the inverse of `event_id`, without the share that a warning is about."""
    return re.sub(r"_[0-9]+$", "", event_id.split("_", 3)[-1]).replace("_", ".", 1)


def delivery_id(event_id: str, channel: str) -> str:
    """What callers name one event's way to one channel by."""
    return f"{event_id}.{channel}"


def delivery_of(delivery_id: str) -> tuple[str, str]:
    """Event id and channel of a delivery id: the inverse of `delivery_id`; empty strings for what is none."""
    match = re.fullmatch(r"(evt_[A-Za-z0-9_]{1,120})\.([a-z]{1,20})", delivery_id)
    return (match[1], match[2]) if match else ("", "")


def execution_name(ref: TaskRef, generation: int) -> str:
    """The name of an execution: one per task and generation, so starting it twice starts it once."""
    return ref.task_id if generation == 1 else f"{ref.task_id}-g{generation}"


def is_task_id(text: str) -> bool:
    """Whether a caller's text can be a task id at all (else it is answered 404 without a read)."""
    return re.fullmatch(r"task_[0-9A-HJKMNP-TV-Z]{26}", text) is not None


def first_task_id(at_ms: int) -> str:
    """Where the ids of tasks that were made from that moment on begin; itself none of them."""
    value = min(max(at_ms, 0), _LAST_MS)
    return "task_" + "".join(_CROCKFORD[value >> shift & 31] for shift in range(45, -5, -5))
