"""A tenant's token bucket as one number: when it would be full again (GCRA, https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm).

A request moves that time on by what one token takes to come back; a request that would move it further ahead of now
than a whole bucket takes is refused, and moves nothing.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestRate:
    """So many requests a second on average, and so many at once."""

    per_second: int
    burst: int

    @property
    def token_us(self) -> int:
        """Microseconds until one token is back; never 0, or nothing would ever be refused."""
        return max(1, 1_000_000 // self.per_second)

    @property
    def bucket_us(self) -> int:
        """Microseconds until an empty bucket is full."""
        return self.token_us * self.burst

    def latest_us(self, now_us: int) -> int:
        """The latest time to be full at which one more token can be taken."""
        return now_us + self.bucket_us - self.token_us

    def retry_after_seconds(self, full_at_us: int, now_us: int) -> int:
        """Whole seconds after which a token is there, given when the bucket would be full."""
        missing = full_at_us - self.latest_us(now_us)
        return max(1, -(-missing // 1_000_000))
