"""A sandbox's start is paid by the task that waits for it: the collector only runs again when everything is built.

Importing and wiring make hundreds of thousands of objects that live as long as the sandbox; looking through them again
and again for garbage is a quarter of a cold start (`make bench ARGS=cold-start`).
"""

import functools
import gc
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def begin() -> None:
    """Called by the package `functions`, before anything heavy is imported."""
    gc.disable()


def once(factory: Callable[[], T]) -> Callable[[], T]:
    """Cache what a function is made of; making it is the end of the start, and what lives by then is no garbage."""

    @functools.cache
    def build() -> T:
        try:
            return factory()
        finally:
            gc.freeze()
            gc.enable()

    return build
