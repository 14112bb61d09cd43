"""Hand spans to the backend, if it takes them."""

from ratchet.domain.spans import Span
from ratchet.observability import logger, spans_lost
from ratchet.tracing_ports import SpanSink


def send_spans(sink: SpanSink, *spans: Span) -> None:
    """Send them, and say so in the log when they did not arrive."""
    if not sink.send(spans):
        logger.warning("spans lost", extra={"count": len(spans)})
        spans_lost(len(spans))
