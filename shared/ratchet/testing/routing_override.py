"""The routing override in memory."""

from ratchet.contracts.errors import StoreUnavailable


class InMemoryRoutingOverride:
    """Holds one table; `is_down` makes every read fail, `reads` counts them."""

    def __init__(self) -> None:
        self.is_down = False
        self.reads = 0
        self._table: str | None = None

    def read(self) -> str | None:
        """The table that was written last.

        Raises:
            StoreUnavailable: it is down.
        """
        self.reads += 1
        if self.is_down:
            raise StoreUnavailable("the override is down")
        return self._table

    def write(self, table: str | None) -> None:
        """Put a table there, or take away the one that is."""
        self._table = table
