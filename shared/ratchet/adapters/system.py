"""The machine's clock and its source of randomness: the one module that may ask for either."""

import secrets
import time

from ratchet.ports import Clock

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class SystemClock:
    """The time, as this machine has it."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class SystemChance:
    """Chance: the operating system's."""

    def hex(self, size: int) -> str:
        """So many random bytes, in hexadecimal."""
        return secrets.token_hex(size)


class UlidIds:
    """ULIDs (https://github.com/ulid/spec): 48 bits of time, 80 of chance. Not ordered within a millisecond."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def task_id(self) -> str:
        """`task_` and a ULID: sortable by creation."""
        return f"task_{self._ulid()}"

    def attempt_id(self) -> str:
        """Unique to one invocation."""
        return f"attempt_{self._ulid()}"

    def _ulid(self) -> str:
        value = self._clock.now_ms() << 80 | int.from_bytes(secrets.token_bytes(10))
        return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -5, -5))
