"""Times as the API and its events write them."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def milliseconds(moment: datetime) -> int:
    """Since the epoch, of a moment that names its time zone."""
    return int((moment - _EPOCH) / timedelta(milliseconds=1))
