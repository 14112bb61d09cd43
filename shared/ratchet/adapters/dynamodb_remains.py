"""Reading what is left of a task whose bodies are gone or damaged."""

from dataclasses import replace

from ratchet.adapters import dynamodb_items as items
from ratchet.adapters.dynamodb_bodies import Bodies
from ratchet.adapters.dynamodb_table import Item, Table
from ratchet.contracts.errors import DataMissing
from ratchet.contracts.messages import TaskRef
from ratchet.domain import keys
from ratchet.domain.remains import lost_record, lost_task
from ratchet.domain.steps import StepRecord, Totals
from ratchet.domain.task import History, Task
from ratchet.ports import Clock


class DynamoDbRemains:
    """The last resort of readers. Part of the CheckpointStore on AWS."""

    _table: Table
    _bodies: Bodies
    _clock: Clock

    def load_remains(self, ref: TaskRef) -> History | None:
        """The task with its last step as far as they can be read; stand-ins for what cannot."""
        request = items.task_range(ref, first=keys.STEP_PREFIX)
        found = [item for page in self._table.query(request) for item in page["Items"]]
        if not found or found[-1]["sk"]["S"] != keys.HEAD:
            return None
        *below, head = found
        if items.is_gone(head, self._clock.now_ms()):
            return None
        steps = [item for item in below if not items.is_reservation(item)]
        records = [self._last(ref, head, steps)] if steps else []
        return items.history(self._task(ref, head), head, records)

    def _task(self, ref: TaskRef, head: Item) -> Task:
        try:
            return items.read_task(ref, head, self._bodies)
        except DataMissing:
            summary = items.read_summary(head)
            lost = lost_task(
                ref,
                agent=summary.agent,
                user_id=summary.user_id,
                created_at_ms=summary.created_at_ms,
            )
            return replace(lost, session=items.read_place(head))

    def _last(self, ref: TaskRef, head: Item, steps: list[Item]) -> StepRecord:
        try:
            return items.read_record(ref, steps[-1], self._bodies)
        except DataMissing as exc:
            number = keys.step_number(steps[-1]["sk"]["S"])
            return lost_record(number, items.read_state(head), self._totals(ref, steps[:-1]), exc)

    def _totals(self, ref: TaskRef, steps: list[Item]) -> Totals:
        for item in reversed(steps):
            try:
                return items.read_record(ref, item, self._bodies).totals
            except DataMissing:
                continue
        return Totals()
