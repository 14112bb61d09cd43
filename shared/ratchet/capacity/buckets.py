"""Token buckets, computed instead of stepped: a refill is arithmetic, not an event."""


class Bucket:
    """Refills by `rate` a second up to `burst`."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self._burst = burst
        self._level = burst
        self._at = 0.0

    def shortage(self, now: float, amount: float) -> float:
        """Seconds until it holds so much; 0 if it does. A larger amount than the burst waits for a full bucket."""
        self._level = min(self._burst, self._level + (now - self._at) * self.rate)
        self._at = now
        return max((min(amount, self._burst) - self._level) / self.rate, 0.0)

    def reserve(self, now: float, amount: float) -> float:
        """Take it in any case, and say how long to wait before using it: first come, first served."""
        wait = self.shortage(now, amount)
        self._level -= amount
        return wait

    def take(self, now: float, amount: float) -> bool:
        """Take it if it is there, else nothing."""
        if self.shortage(now, amount) > 0:
            return False
        self._level -= amount
        return True


class ProviderLimits:
    """Requests and tokens a minute of one model, both of which a call needs.

    A minute's quota refills continuously, so a burst larger than some seconds' worth is refused.
    """

    def __init__(self, rpm: float, tpm: float, *, share: float, burst_seconds: float) -> None:
        requests, tokens = rpm * share / 60, tpm * share / 60
        self._requests = Bucket(requests, max(requests * burst_seconds, 1.0))
        self._tokens = Bucket(tokens, max(tokens * burst_seconds, 1.0))

    def reserve(self, now: float, tokens: int) -> float:
        """Seconds to wait before the call may be made."""
        return max(self._requests.reserve(now, 1), self._tokens.reserve(now, tokens))

    def refused(self, now: float, tokens: int) -> float:
        """0 if the call is accepted, else the seconds that the 429 asks to wait."""
        wait = max(self._requests.shortage(now, 1), self._tokens.shortage(now, tokens))
        if wait <= 0:
            self._requests.take(now, 1)
            self._tokens.take(now, tokens)
        return wait
