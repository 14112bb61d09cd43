"""Read, write, list, search and delete what is remembered, for callers of the API and for tools alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ratchet.contracts import limits
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.request_errors import InvalidRequest, MemoryFull, MemoryNotFound
from ratchet.domain.memory import (
    Change,
    Done,
    Expected,
    Fact,
    Look,
    MemoryCall,
    Note,
    Place,
    best,
    removed,
    written,
)
from ratchet.domain.memory_keys import is_memory_key
from ratchet.memory_ports import FactPage, MemoryStore
from ratchet.observability import logger
from ratchet.ports import Clock

T = TypeVar("T")
MAX_RACES = 10
"""How often somebody else may change a namespace before a request is given up."""
_ANY = Expected()


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that changes a memory, and what it has been asked to do."""

    of: MemoryCall
    done: Done


class DoneBefore(Exception):
    """The tool call has changed a memory before; `done` says how, which may be another way than now."""

    def __init__(self, done: Done) -> None:
        super().__init__(f"{done.key} of {done.namespace} was changed before")
        self.done = done


@dataclass(frozen=True, slots=True)
class Memories:
    """The use cases of memory. All may raise StoreUnavailable: the same request may be sent again."""

    store: MemoryStore
    clock: Clock

    def read(self, place: Place, key: str) -> Fact:
        """The fact under a key.

        Raises:
            MemoryNotFound: there is none, or not any more.
        """
        _check_key(key)
        fact = self.store.look(place, key).living(now_ms=self.clock.now_ms())
        if fact is None:
            raise _missing(place, key)
        return fact

    def write(
        self,
        place: Place,
        key: str,
        note: Note,
        *,
        expected: Expected = _ANY,
        call: Call | None = None,
    ) -> Fact:
        """Remember a note in place of what was there.

        Raises:
            MemoryChanged: what was there is not what was expected.
            MemoryFull, MemoryTooLarge: nothing was written.
            DoneBefore: the call has done what it was asked to do.
        """
        _check_key(key)
        note.check()

        def attempt(look: Look) -> Fact | None:
            stored = look.living(now_ms=self.clock.now_ms())
            if stored is not None and stored.write_id == note.write_id:
                return stored  # written by this very request, whose answer was lost
            expected.check(stored)
            change = self._written(look, note)
            return change.fact if self._change(change, call) else None

        return self._until_done(place, key, call, attempt)

    def delete(
        self, place: Place, key: str, *, expected: Expected = _ANY, call: Call | None = None
    ) -> Fact | None:
        """Delete the fact under a key; it, or None if there was none.

        Raises:
            MemoryChanged: what was there is not what was expected.
            DoneBefore: the call has done what it was asked to do.
        """
        _check_key(key)
        doomed: list[Fact] = []

        def attempt(look: Look) -> tuple[Fact | None] | None:
            if doomed and (look.stored is None or look.stored.write_id != doomed[0].write_id):
                return (doomed[0],)  # gone by now, whether this request or another one did it
            fact = look.living(now_ms=self.clock.now_ms())
            expected.check(fact)
            if fact is None:
                return (None,)
            doomed[:] = [fact]
            return (fact,) if self._change(removed(look), call) else None

        return self._until_done(place, key, call, attempt)[0]

    def remove(self, place: Place, key: str, *, expected: Expected = _ANY) -> Fact:
        """Delete the fact that is under a key, for who takes it to be there.

        Raises:
            MemoryNotFound: there is none.
            MemoryChanged: what is there is not what was expected.
        """
        gone = self.delete(place, key, expected=expected)
        if gone is None:
            raise _missing(place, key)
        return gone

    def page(self, place: Place, *, prefix: str, limit: int, after: str | None = None) -> FactPage:
        """Facts in the order of their keys.

        Raises:
            InvalidRequest: the prefix begins no key.
        """
        if prefix:
            _check_key(prefix)
        return self.store.page(place, prefix=prefix, limit=limit, after=after)

    def search(self, place: Place, query: str, *, prefix: str, limit: int) -> Sequence[Fact]:
        """The facts that hold words of the query, best first; see `domain.memory.best`."""
        if prefix:
            _check_key(prefix)
        return best(self.all(place, prefix=prefix), query)[:limit]

    def all(self, place: Place, *, prefix: str = "") -> list[Fact]:
        """Every fact of a namespace, which has few enough."""
        found: list[Fact] = []
        after = None
        while True:
            page = self.store.page(place, prefix=prefix, limit=limits.MAX_MEMORIES, after=after)
            found += page.facts
            if page.after is None:
                return found
            after = page.after

    def clear(self, place: Place) -> int:
        """Delete all of a namespace; how many facts that were."""
        gone = 0
        for _ in range(MAX_RACES):
            facts, is_empty = self.store.clear(place)
            gone += facts
            if is_empty:
                logger.info("memory cleared", extra={"facts": gone})
                return gone
        raise StoreUnavailable("others kept writing to the namespace")

    def _written(self, look: Look, note: Note) -> Change:
        now_ms = self.clock.now_ms()
        try:
            return written(look, note, now_ms=now_ms)
        except MemoryFull:
            # The shelf also counts what has expired.
            return written(look, note, now_ms=now_ms, held=len(self.all(look.place)))

    def _change(self, change: Change, call: Call | None) -> bool:
        if call is not None:
            change = Change(change.seen, change.fact, change.shelf, call.of, call.done)
        return self.store.change(change)

    def _until_done(
        self, place: Place, key: str, call: Call | None, attempt: Callable[[Look], T | None]
    ) -> T:
        for _ in range(MAX_RACES):
            look = self.store.look(place, key, call=None if call is None else call.of)
            if look.done is not None:
                raise DoneBefore(look.done)
            if (done := attempt(look)) is not None:
                return done
        raise StoreUnavailable("others kept changing the memory")


def _check_key(key: str) -> None:
    if not is_memory_key(key):
        raise InvalidRequest(
            f"{key[:40]!r} is no key: use 1 to 128 letters, digits, _ . : @ and -, beginning with a letter or digit"
        )


def _missing(place: Place, key: str) -> MemoryNotFound:
    return MemoryNotFound(f"nothing is remembered under {key!r} in {place.namespace}")
