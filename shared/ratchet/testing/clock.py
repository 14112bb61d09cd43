"""Time and identities that tests decide."""

import threading

_START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


class FakeClock:
    """Stands still until it is told to go on; sleeping is going on."""

    def __init__(self, start_ms: int = _START_MS) -> None:
        self._start_ms = start_ms
        self._elapsed_ms = 0.0

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self._start_ms + int(self._elapsed_ms)

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed_ms / 1000

    def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Go on by so many seconds."""
        self._elapsed_ms += seconds * 1000


class SequentialIds:
    """Ids in order: task_00000000000000000000000001, attempt-1, ..."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks = 0
        self._attempts = 0

    def task_id(self) -> str:
        """The next task id; it is a valid ULID."""
        with self._lock:
            self._tasks += 1
            return f"task_{self._tasks:026d}"

    def attempt_id(self) -> str:
        """The next attempt id."""
        with self._lock:
            self._attempts += 1
            return f"attempt-{self._attempts}"
