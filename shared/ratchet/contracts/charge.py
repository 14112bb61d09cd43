"""What model calls are charged: dollars and tokens side by side, since a task's limits cap both. Pure values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Charge:
    """Micro-dollars, and input and output tokens together. Nothing of either is falsy."""

    microusd: int = 0
    tokens: int = 0

    def __bool__(self) -> bool:
        return bool(self.microusd or self.tokens)

    def __add__(self, other: "Charge") -> "Charge":
        return Charge(self.microusd + other.microusd, self.tokens + other.tokens)

    def beyond(self, other: "Charge") -> "Charge":
        """What of it the other does not cover; never less than nothing."""
        return Charge(
            max(0, self.microusd - other.microusd),
            max(0, self.tokens - other.tokens),
        )

    def at_least(self, other: "Charge") -> "Charge":
        """The larger of both, in dollars and in tokens."""
        return Charge(
            max(self.microusd, other.microusd),
            max(self.tokens, other.tokens),
        )


NO_CHARGE = Charge()
