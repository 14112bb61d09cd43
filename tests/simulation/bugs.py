"""What a planted bug is: patches for tests only, none in the product."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

Patch = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Bug:
    """A planted bug; `nets_off` are the nets that hide it.

    `stories` says where to look: scenarios and kept plans; everywhere, if none.
    """

    name: str
    patches: tuple[Patch, ...]
    nets_off: tuple[str, ...] = ()
    stories: tuple[str, ...] = ()


def swap(target: object, name: str, value: Any) -> Patch:
    """Put something else in its place."""
    return lambda: patch.object(target, name, value)


def wrap(target: Any, name: str, around: Callable[..., Any]) -> Patch:
    """Call `around(original, *arguments)` in its place."""
    original = getattr(target, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    return lambda: patch.object(target, name, wrapped)
