"""The usage ledger of InMemoryCheckpoints."""

import threading
from collections import defaultdict
from collections.abc import Iterator

from ratchet.contracts.errors import ServiceRefused
from ratchet.contracts.messages import TaskRef
from ratchet.domain import keys
from ratchet.domain.usage import NOTHING, Account, Amounts, Counted, Part, Row
from ratchet.testing.store_rows import Partition, sort_key

MAX_WRITES = 10  # as DynamoDB Local has it


class InMemoryUsage:
    """The UsageLedger without AWS."""

    _lock: threading.Lock
    _partitions: defaultdict[str, Partition]
    _counters: dict[tuple[str, str], Amounts]

    def counted(self, ref: TaskRef) -> Counted:
        """How far the task has been counted."""
        with self._lock:
            return self._partitions[keys.task_key(ref)].counted or Counted()

    def count(self, ref: TaskRef, part: Part) -> bool:
        """Add a part of a task to the counters, atomically with the note that it is; False if it does not follow."""
        if len(part.counters) + 1 > MAX_WRITES:
            raise ServiceRefused(f"a transaction takes {MAX_WRITES} writes")
        places = {
            (keys.usage_key(ref, counter.day), sort_key(keys.usage_sort_key(counter))): amounts
            for counter, amounts in part.counters.items()
        }
        with self._lock:
            partition = self._partitions[keys.task_key(ref)]
            if (partition.counted or Counted()).number != part.before.number:
                return False
            partition.counted = part.after
            for place, amounts in places.items():
                self._counters[place] = self._counters.get(place, NOTHING) + amounts
            return True

    def usage(
        self, tenant: str, account: Account, *, first_day: str, last_day: str
    ) -> Iterator[Row]:
        """What was counted on these days, in no order; a counter may come more than once."""
        first, last = keys.usage_range(account, first_day=first_day, last_day=last_day)
        partitions = set(keys.usage_partitions(tenant, first_day=first_day, last_day=last_day))
        with self._lock:
            counters = list(self._counters.items())
        for (pk, sk), amounts in counters:
            if pk in partitions and first <= sk <= last:
                yield keys.counter_of(sk), amounts
