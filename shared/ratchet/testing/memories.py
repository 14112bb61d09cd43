"""Memory in memory: what DynamoDB answers, for tests and examples."""

from dataclasses import dataclass, field

from ratchet.contracts.errors import AttemptSuperseded
from ratchet.domain import memory_keys
from ratchet.domain.memory import Change, Done, Fact, Look, MemoryCall, Place, Shelf
from ratchet.domain.memory_codec import decode_fact, encode_fact
from ratchet.memory_ports import FactPage
from ratchet.ports import Clock
from ratchet.testing.store import InMemoryCheckpoints


@dataclass(frozen=True, slots=True)
class Row:
    """A fact as an item would hold it."""

    body: bytes
    write_id: str
    expires_at: int | None


@dataclass(slots=True)
class Drawer:
    """A namespace."""

    rows: dict[str, Row] = field(default_factory=dict)
    shelf: Shelf = field(default_factory=Shelf)


class InMemoryMemories:
    """The MemoryStore without AWS, beside the tasks whose calls change it. Tests may look at `drawers`."""

    def __init__(self, tasks: InMemoryCheckpoints, clock: Clock) -> None:
        self.drawers: dict[str, Drawer] = {}
        self._tasks = tasks
        self._clock = clock

    def look(self, place: Place, key: str, *, call: MemoryCall | None = None) -> Look:
        """The fact under a key, the shelf of its namespace, and what the call has done before."""
        with self._tasks.lock:
            drawer = self._drawer(place)
            row = drawer.rows.get(memory_keys.memory_sort_key(key))
            done = None if call is None else self._marks(call).get(_mark_of(call))
            stored = None if row is None else _read(key, row)
            return Look(place, key, stored, drawer.shelf, done)

    def change(self, change: Change) -> bool:
        """Write it, all or nothing; False if fact, shelf or mark are not as they were read.

        Raises:
            AttemptSuperseded: the step of the call is committed.
        """
        seen, call, done = change.seen, change.call, change.done
        with self._tasks.lock:
            drawer = self._drawer(seen.place)
            name = memory_keys.memory_sort_key(seen.key)
            if call is not None and not self._is_open(call):
                raise AttemptSuperseded(f"step {call.step} is committed, or its task is gone")
            row = drawer.rows.get(name)
            before = None if seen.stored is None else seen.stored.write_id
            is_same = (None if row is None else row.write_id) == before
            if not is_same or (change.moves_shelf and drawer.shelf != seen.shelf):
                return False
            if call is not None and done is not None:
                if _mark_of(call) in self._marks(call):
                    return False
                self._marks(call)[_mark_of(call)] = done
            self._write(drawer, name, change)
            return True

    def page(
        self, place: Place, *, prefix: str = "", limit: int, after: str | None = None
    ) -> FactPage:
        """The facts whose keys begin so and come after that one. What has expired is left out."""
        begin = memory_keys.memory_prefix(prefix)
        last = "" if after is None else memory_keys.memory_sort_key(after)
        now_ms = self._clock.now_ms()
        with self._tasks.lock:
            rows = self._drawer(place).rows
            named = sorted(n for n in rows if n.startswith(begin) and n > last)
            facts = [_read(memory_keys.memory_of(name), rows[name]) for name in named]
        living = [fact for fact in facts if not fact.is_over(now_ms=now_ms)]
        page = living[:limit]
        return FactPage(page, page[-1].key if len(living) > limit else None)

    def clear(self, place: Place) -> tuple[int, bool]:
        """Delete the whole namespace: how many facts that were, and that none came meanwhile."""
        with self._tasks.lock:
            gone = self.drawers.pop(_name(place), Drawer())
            return len(gone.rows), True

    def _drawer(self, place: Place) -> Drawer:
        return self.drawers.get(_name(place)) or Drawer()

    def _write(self, drawer: Drawer, name: str, change: Change) -> None:
        if change.fact is None:
            drawer.rows.pop(name, None)
        else:
            fact = change.fact
            drawer.rows[name] = Row(encode_fact(fact), fact.write_id, fact.expires_at)
        drawer.shelf = change.shelf if change.shelf.facts else Shelf()
        self.drawers[_name(change.seen.place)] = drawer
        if not drawer.rows and drawer.shelf == Shelf():
            del self.drawers[_name(change.seen.place)]

    def _marks(self, call: MemoryCall) -> dict[str, Done]:
        return self._tasks.partition(call.ref).remembered

    def _is_open(self, call: MemoryCall) -> bool:
        partition = self._tasks.partition(call.ref)
        is_there = partition.head is not None and not partition.head.is_erasing
        return is_there and call.step not in partition.steps


def _name(place: Place) -> str:
    return memory_keys.memory_key(place.tenant, str(place.namespace))


def _mark_of(call: MemoryCall) -> str:
    return memory_keys.remembered_sort_key(call.step, call.key)


def _read(key: str, row: Row) -> Fact:
    return decode_fact(row.body, key=key, write_id=row.write_id, expires_at=row.expires_at)
