"""A `SpanSink` that keeps what it is told."""

from collections.abc import Sequence

from ratchet.domain.spans import Span


class RecordedSpans:
    """Takes everything, unless it `is_down`."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.is_down = False

    def send(self, spans: Sequence[Span]) -> bool:
        """Keep them."""
        if self.is_down:
            return False
        self.spans += spans
        return True

    def named(self, start: str) -> list[Span]:
        """Those whose names begin so."""
        return [span for span in self.spans if span.name.startswith(start)]
