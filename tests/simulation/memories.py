"""Memory in the simulation: its calls through the network, and what must hold of what is remembered."""

from collections import Counter
from collections.abc import Callable

from ratchet.contracts.errors import DataMissing
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import MemoryScope
from ratchet.domain import memory_keys
from ratchet.domain.memory import Change, Fact, Look, MemoryCall, Place
from ratchet.memory_ports import FactPage
from ratchet.ports import Clock
from ratchet.testing.memories import InMemoryMemories
from ratchet.testing.store import InMemoryCheckpoints
from tests.simulation.bodies import AWS
from tests.simulation.calls import Network


class MemoryCalls:
    """The MemoryStore of the simulation. It keeps its own books of what was written, and compares them at the end."""

    def __init__(
        self,
        network: Network,
        tasks: InMemoryCheckpoints,
        clock: Clock,
        violate: Callable[[str], None],
    ) -> None:
        self._network = network
        self._tasks = tasks
        self._twin = InMemoryMemories(tasks, clock)
        self._violate = violate
        self._made: Counter[MemoryCall] = Counter()
        self._books: dict[tuple[str, str], Fact] = {}  # by partition and key

    def look(self, place: Place, key: str, *, call: MemoryCall | None = None) -> Look:
        def effect() -> Look:
            return self._twin.look(place, key, call=call)

        return self._network.call("memory.look", effect, AWS)

    def change(self, change: Change) -> bool:
        def effect() -> bool:
            is_made = self._twin.change(change)
            if is_made:
                self._wrote(change)
            return is_made

        return self._network.call("memory.change", effect, AWS)

    def page(
        self, place: Place, *, prefix: str = "", limit: int, after: str | None = None
    ) -> FactPage:
        def effect() -> FactPage:
            page = self._twin.page(place, prefix=prefix, limit=limit, after=after)
            for fact in page.facts:
                self._read(place, fact)
            return page

        return self._network.call("memory.page", effect, AWS)

    def clear(self, place: Place) -> tuple[int, bool]:
        def effect() -> tuple[int, bool]:
            cleared = self._twin.clear(place)
            drawer = self._twin.drawers.get(_partition(place))
            left = {memory_keys.memory_of(name) for name in drawer.rows} if drawer else set()
            gone = [w for w in self._books if w[0] == _partition(place) and w[1] not in left]
            for where in gone:
                del self._books[where]
            return cleared

        return self._network.call("memory.clear", effect, AWS)

    def _wrote(self, change: Change) -> None:
        place, call, life = change.seen.place, change.call, self._network.life()
        if call is None:
            self._violate(f"I17: {change.seen.key} of {place.tenant} was changed without a mark")
            return
        self._made[call] += 1
        if self._made[call] > 1:
            self._violate(f"I17: a call of step {call.step} of {call.ref.task_id} was made twice")
        if life.subject != frozenset([call.ref]) or not self._is_of(call.ref, place):
            self._violate(f"I17: {call.ref} changed what {place} remembers")
        if call.step in self._tasks.partition(call.ref).steps:
            self._violate(f"I17: {call.ref.task_id} changed a memory after step {call.step}")
        where = _partition(place), change.seen.key
        if change.fact is None:
            self._books.pop(where, None)
        else:
            self._books[where] = change.fact

    def _read(self, place: Place, fact: Fact) -> None:
        """What is recalled was written by a task of the same tenant, and of the same user."""
        subject = self._network.life().subject
        readers = subject if isinstance(subject, frozenset) else frozenset()
        if not all(self._is_of(ref, place) for ref in readers):
            self._violate(f"I17: {readers} read what {place} remembers")
        writer = TaskRef(place.tenant, fact.source.task_id or "none")
        if not self._is_of(writer, place):
            self._violate(f"I17: {place} remembers what {writer} wrote")

    def _is_of(self, ref: TaskRef, place: Place) -> bool:
        head = self._tasks.partition(ref).head
        if head is None or ref.tenant != place.tenant:
            return False
        owners = {MemoryScope.USER: head.user_id, MemoryScope.AGENT: head.agent}
        return owners.get(place.namespace.scope, "") == place.namespace.owner

    def judge(self) -> None:
        """At the end the table has what was written last, each call that is told of was made, and no shelf is short."""
        kept = {
            (partition, memory_keys.memory_of(name)): row.write_id
            for partition, drawer in self._twin.drawers.items()
            for name, row in drawer.rows.items()
        }
        if kept != {where: fact.write_id for where, fact in self._books.items()}:
            self._violate(
                f"I17: memory holds {sorted(kept)}, and written was {sorted(self._books)}"
            )
        for partition, drawer in self._twin.drawers.items():
            if drawer.shelf.facts != len(drawer.rows):
                self._violate(f"I17: {partition} counts {drawer.shelf.facts}")
        made = Counter((call.ref, call.step) for call in self._made)
        for partition_ in list(self._tasks._partitions.values()):
            head = partition_.head
            if head is not None:
                self._judge_told(head.ref, made)

    def _judge_told(self, ref: TaskRef, made: Counter[tuple[TaskRef, int]]) -> None:
        try:
            history = self._tasks.load(ref)
        except DataMissing:  # of a story in which somebody empties the bucket
            return
        for record in history.records if history else ():
            texts = [m.content or "" for m in record.result.messages if m.role == "tool"]
            told = sum(text.startswith(("remembered under", "forgot ")) for text in texts)
            if told > made[ref, record.number]:
                self._violate(
                    f"I17: step {record.number} of {ref.task_id} tells of {told} changes of memory, "
                    f"and {made[ref, record.number]} were made"
                )


def _partition(place: Place) -> str:
    return memory_keys.memory_key(place.tenant, str(place.namespace))
