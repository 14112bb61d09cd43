"""What a planted bug is: patches for tests only, none in the product. Each knows whether anything met it."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
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


_OWN_ERRORS = (AttributeError, LookupError, NameError, TypeError)


def _arose_in(error: BaseException, files: set[str]) -> bool:
    """Whether it was raised there, and not by the code that is called from there."""
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    return frame.f_code.co_filename in files


@dataclass(eq=False, slots=True)
class Plant:
    """Something put in the place of something else. Of a number nobody can tell whether it was looked at."""

    label: str
    is_callable: bool
    is_met: bool = False
    misfit: str = ""
    """How it fell over itself: it does not fit any more what it takes the place of."""

    def marked(self, value: Any) -> Any:
        """The value; whoever calls it leaves a mark."""
        if isinstance(value, property):
            return property(self._marking(value.fget))
        return self._marking(value) if self.is_callable else value

    def _marking(self, called: Any) -> Any:
        codes = [getattr(f, "__code__", None) for f in (called, getattr(called, "around", None))]
        files = {__file__, *(code.co_filename for code in codes if code is not None)}

        def marked(*args: Any, **kwargs: Any) -> Any:
            self.is_met = True
            try:
                return called(*args, **kwargs)
            except _OWN_ERRORS as exc:
                if _arose_in(exc, files):
                    self.misfit = repr(exc)
                raise

        return marked


_in_force: list[Plant] = []


@contextmanager
def planted(target: object, name: str, value: Any) -> Iterator[None]:
    """Put something else in its place."""
    plant = Plant(f"{_called(target)}.{name}", callable(value) or isinstance(value, property))
    with patch.object(target, name, plant.marked(value)):
        _in_force.append(plant)
        try:
            yield
        finally:
            _in_force.remove(plant)


@contextmanager
def all_planted(bug: Bug) -> Iterator[list[Plant]]:
    """Plant all of a bug; those of its plants that can tell whether they were met."""
    before = list(_in_force)
    with ExitStack() as stack:
        for plant in bug.patches:
            stack.enter_context(plant())
        yield [p for p in _in_force if p not in before and p.is_callable]


def swap(target: object, name: str, value: Any) -> Patch:
    """Put something else in its place."""
    return lambda: planted(target, name, value)


def wrap(target: Any, name: str, around: Callable[..., Any]) -> Patch:
    """Call `around(original, *arguments)` in its place."""
    original = getattr(target, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    vars(wrapped)["around"] = around  # whose file is the bug's
    return lambda: planted(target, name, wrapped)


def _called(target: object) -> str:
    return str(getattr(target, "__name__", type(target).__name__))
