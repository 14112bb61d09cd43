"""Lines that say what is going on, with the seconds since the start."""

import sys
import time
from collections.abc import Callable
from typing import TextIO


class Stages:
    """Prints one line per stage, so that nobody stares at nothing."""

    def __init__(
        self, file: TextIO = sys.stdout, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = file
        self._monotonic = monotonic
        self._start = monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._monotonic() - self._start

    def say(self, text: str) -> None:
        """One line."""
        print(f"[{self.elapsed:6.1f} s] {text}", file=self._file, flush=True)
