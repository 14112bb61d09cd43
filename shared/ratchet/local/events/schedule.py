"""Schedule expressions of EventBridge rules, and the thread that fires them."""

import re
from collections.abc import Callable
from threading import Event, Thread

from ratchet.local.errors import LocalStackError

_RATE = re.compile(r"^rate\((\d+) (minute|hour|day)s?\)$")
_MINUTES = {"minute": 1, "hour": 60, "day": 1440}


def parse_rate(expression: str) -> int:
    """The period of ``rate(...)`` in minutes.

    Raises:
        LocalStackError: any other kind of schedule.
    """
    match = _RATE.match(expression)
    if match is None or int(match[1]) < 1:
        raise LocalStackError(
            f"schedule {expression!r} is not supported locally: only rate(n minutes|hours|days) is"
        )
    return int(match[1]) * _MINUTES[match[2]]


class Ticker:
    """Calls every registered action once per period; a minute may be shortened for tests."""

    def __init__(self, *, minute_seconds: float) -> None:
        self._minute_seconds = minute_seconds
        self._actions: list[tuple[int, Callable[[], None]]] = []
        self._closing = Event()

    def add(self, every_minutes: int, action: Callable[[], None]) -> None:
        """Registers an action."""
        self._actions.append((every_minutes, action))

    def start(self) -> None:
        """Begins to tick, if there is anything to do."""
        if self._actions:
            Thread(target=self._run, daemon=True, name="schedule-ticker").start()

    def close(self) -> None:
        """Stops ticking."""
        self._closing.set()

    def _run(self) -> None:
        minute = 0
        while not self._closing.wait(self._minute_seconds):
            minute += 1
            for every, action in self._actions:
                if minute % every == 0:
                    action()
