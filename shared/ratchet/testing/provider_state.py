"""What executors share about deployments, in memory."""

import threading
from collections import Counter

from ratchet.domain.quota import Line, Move


class InMemoryProviders:
    """A `ProviderState`. `requests` counts what a table would have been asked, by kind."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._lines: dict[tuple[str, int], Line] = {}
        self._probes: dict[str, int] = {}

    def move(self, deployment: str, shard: int, move: Move) -> tuple[bool, Line]:
        """Move a line of its quota on; whether it was moved, and the line as it now stands."""
        with self._lock:
            self.requests["write"] += 1
            line = self._lines.get((deployment, shard), {})
            moved = move.applied_to(line)
            if moved is not None:
                self._lines[deployment, shard] = moved
            return moved is not None, line if moved is None else moved

    def probe_at(self, deployment: str) -> int:
        """When a deployment that fails may be tried again; 0 while it works."""
        with self._lock:
            self.requests["read"] += 1
            return self._probes.get(deployment, 0)

    def set_probe_at(self, deployment: str, at_ms: int, *, seen: int) -> int:
        """Change that time if it still is `seen`; the time that stands now."""
        with self._lock:
            self.requests["write"] += 1
            if self._probes.get(deployment, 0) == seen:
                self._probes[deployment] = at_ms
            return self._probes.get(deployment, 0)
