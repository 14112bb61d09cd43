"""SQS: thread safety, and no linear work per message."""

import time
from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Any

from moto.sqs.models import Message, SQSBackend

from ratchet.local.patches.patch import Original, Patch

_LOCKED = (
    "send_message",
    "send_message_batch",
    "delete_message",
    "delete_message_batch",
    "change_message_visibility",
    "change_message_visibility_batch",
    "purge_queue",
    "get_queue_attributes",
    "create_queue",
    "delete_queue",
)
_WAKE_UP_SECONDS = 0.5


def install() -> list[Patch]:
    """Installs the patches of this module."""
    lock = RLock()
    safety = Patch("sqs-locking", "two consumers can receive one message at the same time")
    receive = SQSBackend.receive_message
    safety.replace(SQSBackend, "receive_message", _receiving(receive, lock))
    for name in _LOCKED:
        safety.replace(SQSBackend, name, _locked(getattr(SQSBackend, name), lock))
    speed = Patch("sqs-speed", "every poll looks up the queue and the clock for every message")
    speed.replace(SQSBackend, "is_message_valid_based_on_retention_period", _is_retained)
    speed.replace(Message, "visible", property(lambda self: _now_ms() > self.visible_at))
    speed.replace(Message, "delayed", property(lambda self: _now_ms() < self.delayed_until))
    return [safety, speed]


def _locked(original: Original, lock: RLock) -> Callable[..., Any]:
    @wraps(original)
    def locked(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return original(*args, **kwargs)

    return locked


def _receiving(original: Original, lock: RLock) -> Callable[..., Any]:
    """Looks under the lock, waits outside it."""

    def receive_message(
        self: Any,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> Any:
        end = time.monotonic() + wait_seconds_timeout
        while True:
            with lock:
                messages = original(
                    self, queue_name, count, 0, visibility_timeout, message_attribute_names
                )
            left = end - time.monotonic()
            if messages or left <= 0:
                return messages
            self.get_queue(queue_name).wait_for_messages(min(left, _WAKE_UP_SECONDS))

    return receive_message


def _is_retained(self: Any, queue_name: str, message: Any) -> bool:
    period_ms = self.get_queue(queue_name).message_retention_period * 1000
    return bool(_now_ms() - (message.sent_timestamp or 0) < period_ms)


def _now_ms() -> float:
    return time.time() * 1000
