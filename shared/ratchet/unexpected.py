"""Errors that nobody raised on purpose: where they happened, without what they were about."""

import functools
import traceback
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ratchet.contracts.errors import RatchetError, UnexpectedError

F = TypeVar("F", bound=Callable[..., Any])


def places(error: BaseException) -> str:
    """The error's class and where it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    return "\n".join(
        [type(error).__name__, *(f"  {f.filename}:{f.lineno} in {f.name}" for f in frames)]
    )


def without_content(handler: F) -> F:
    """A handler whose bugs reach the runtime, and so logs and Step Functions, without what they were about.

    What Ratchet raises on purpose says nothing of content, and goes through as it is.
    """

    @functools.wraps(handler)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except RatchetError:
            raise
        except Exception as bug:  # noqa: BLE001 - the edge: whatever it is, its text stays here
            raise UnexpectedError(places(bug)) from None

    return cast("F", guarded)
