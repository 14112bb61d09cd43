"""The root key in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class InMemorySigningKeys:
    """`SigningKeys` that a test replaces at will: what was there is the one before."""

    stored: list[str] = field(default_factory=lambda: ["a root key of tests"])
    read: list[str] | None = None  # what this sandbox goes by until it looks afresh

    def replace(self, root: str) -> None:
        """Put another root key in force; who has read the old one does not know yet."""
        self.read = self.read or self.stored
        self.stored = [root, self.stored[0]]

    def roots(self, *, fresh: bool = False) -> Sequence[str]:
        """The root key in force, then the one before it."""
        if self.read is None or fresh:
            self.read = self.stored
        return self.read
