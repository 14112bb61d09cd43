"""What is remembered, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from ratchet.app.cursors import Cursors, Listing
from ratchet.app.memories import Memories
from ratchet.domain.memory import Fact, Place


@dataclass(frozen=True, slots=True)
class ListMemories:
    """The use case of `GET /v1/memory/{namespace}`."""

    memories: Memories
    cursors: Cursors

    def __call__(
        self, place: Place, *, prefix: str, limit: int, cursor: str | None
    ) -> tuple[Sequence[Fact], str | None]:
        """Facts in the order of their keys, and the cursor of the next page.

        Raises:
            InvalidRequest: the prefix begins no key, or the cursor is not one of this list.
        """
        filters = {"namespace": str(place.namespace), "prefix": prefix}
        listing = Listing(place.tenant, "memories", filters)
        after = None if cursor is None else self.cursors.read(listing, cursor)
        page = self.memories.page(place, prefix=prefix, limit=limit, after=after)
        following = None if page.after is None else self.cursors.write(listing, page.after)
        return page.facts, following
