"""What the use cases need to tell a tracing backend. Where no backend is set there is none, and nothing is built."""

from collections.abc import Sequence
from typing import Protocol

from ratchet.domain.spans import Span


class SpanSink(Protocol):
    """Takes finished spans to a backend."""

    def send(self, spans: Sequence[Span]) -> bool:
        """Whether they arrived. Bounded in time, never raises, and what is lost is lost: no task depends on it."""
        ...
