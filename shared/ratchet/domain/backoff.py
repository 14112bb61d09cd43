"""How long to wait for a model that cannot answer now."""

MAX_WAIT_SECONDS = 300
_FIRST = 2


def wait_seconds(waits: int, *, retry_after: float | None = None) -> int:
    """Whole seconds to wait before try number `waits + 1`; the provider's own wish comes first.

    Doubles from 2 s. There is no jitter: the state machine spreads executions by their own start times, and the same
    step must decide the same way on every attempt.
    """
    if retry_after is not None:
        return max(1, -(-int(min(retry_after, MAX_WAIT_SECONDS) * 1000) // 1000))
    return int(min(_FIRST * 2 ** min(waits, 10), MAX_WAIT_SECONDS))


def outage_wait_seconds(waited: int) -> int:
    """Whole seconds to wait for a model that is out, after having waited so many for it: 2, 4, 8 ..."""
    return min(waited + _FIRST, MAX_WAIT_SECONDS)
