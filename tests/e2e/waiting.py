"""Waiting for a condition: a test states what must become true, never how long it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
GIVE_UP_SECONDS = 60.0
_PAUSES_SECONDS = (0.02, 0.25)
"""The first, and the longest: asking takes time from what is waited for."""
_LONGER = 1.5


def wait_until(condition: Callable[[], T | None], what: str) -> T:
    """The condition's value as soon as it is truthy."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    pause, longest = _PAUSES_SECONDS
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened within {GIVE_UP_SECONDS:.0f} s: {what}")
        time.sleep(pause)
        pause = min(longest, pause * _LONGER)
