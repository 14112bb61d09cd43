"""Waiting for a condition: tests state what must become true, never how long it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
GIVE_UP_SECONDS = 30.0


def eventually(condition: Callable[[], T]) -> T:
    """The condition's value as soon as it is truthy."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("the condition never became true")
