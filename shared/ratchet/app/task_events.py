"""The timeline of a task as events. They are read off its log, so they cost no writes and none can be missing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ratchet.app.cursors import Cursors, Listing
from ratchet.app.events import event_of, warnings_of
from ratchet.app.read_task import FIRST_PAUSE_SECONDS, longer, task_not_found
from ratchet.app.task_views import decision_view, is_step, parent_view, step_view
from ratchet.contracts.event_api import TaskEventListView, TaskEventView
from ratchet.contracts.limits import MAX_WAIT_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Json
from ratchet.domain.identifiers import event_id, is_task_id
from ratchet.domain.rfc3339 import timestamp
from ratchet.domain.steps import End, Paused, StepRecord
from ratchet.domain.task import History
from ratchet.ports import CheckpointStore, Clock, Event


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reader is: so many events of that record of the log; record 0 is the task's making."""

    number: int = 0
    events: int = 0

    def to_text(self) -> str:
        """As a cursor carries it."""
        return f"{self.number}.{self.events}"

    @classmethod
    def of(cls, text: str) -> "Place":
        """The inverse of `to_text`."""
        number, _, events = text.partition(".")
        return cls(int(number), int(events))


@dataclass(frozen=True, slots=True)
class TaskEvents:
    """The use case of `GET /v1/tasks/{task_id}/events`."""

    store: CheckpointStore
    clock: Clock
    cursors: Cursors

    def __call__(
        self, ref: TaskRef, *, after: str | None, limit: int, wait_seconds: float = 0
    ) -> TaskEventListView:
        """Up to `limit` events after the cursor; with `wait_seconds`, as soon as there is one, or none can come.

        Raises:
            TaskNotFound: this tenant has no such task.
            InvalidRequest: the cursor is not one of this task's events.
            DataMissing: what is stored of the task cannot be read.
        """
        listing = Listing(ref.tenant, "events", {"task_id": ref.task_id})
        place = Place() if after is None else Place.of(self.cursors.read(listing, after))
        history = self._news(ref, place, wait_seconds)
        found = list(_after(history, place))[:limit]
        reached = found[-1][0] if found else place
        return TaskEventListView(
            task_id=ref.task_id,
            status=history.state.status,
            events=[view for _, view in found],
            next_cursor=self.cursors.write(listing, reached.to_text()),
        )

    def _news(self, ref: TaskRef, place: Place, wait_seconds: float) -> History:
        """The task with the record that the place is in, and those after it, once there is an event after it."""
        deadline = self.clock.monotonic() + min(wait_seconds, MAX_WAIT_SECONDS)
        pause = FIRST_PAUSE_SECONDS
        while True:
            history = self._load(ref, place)
            left = deadline - self.clock.monotonic()
            is_over = history.state.status.is_terminal
            if left <= 0 or is_over or next(_after(history, place), None) is not None:
                return history
            self.clock.sleep(min(pause, left))
            pause = longer(pause)

    def _load(self, ref: TaskRef, place: Place) -> History:
        # One record more than the events need: whether a record is a step shows in the totals before it.
        earlier = max(place.number - 2, 0)
        history = self.store.load(ref, after=earlier) if is_task_id(ref.task_id) else None
        if history is None:
            raise task_not_found(ref)
        return history


def _after(history: History, place: Place) -> Iterator[tuple[Place, TaskEventView]]:
    """The events after the place, each with the place behind it."""
    if place.number == 0:
        yield from _numbered(0, [_created(history)], place)
    before: StepRecord | None = None
    for record in history.records:
        if record.number >= place.number:
            yield from _numbered(record.number, _events_of(history, record, before), place)
        before = record


def _numbered(
    number: int, events: list[TaskEventView], place: Place
) -> Iterator[tuple[Place, TaskEventView]]:
    seen = place.events if number == place.number else 0
    for index, view in enumerate(events[seen:], start=seen + 1):
        yield Place(number, index), view


def _created(history: History) -> TaskEventView:
    task = history.task
    parent = parent_view(task)
    data: dict[str, Json] = {
        "task_id": task.ref.task_id,
        "agent": task.agent,
        "agent_version": task.agent_version,
        "user_id": task.user_id,
        "metadata": dict(task.metadata),
        "session_id": task.session.session_id if task.session else None,
        "parent": parent.model_dump(mode="json") if parent else None,
    }
    return _view(history, "task.created", 0, at_ms=task.created_at_ms, data=data)


def _events_of(
    history: History, record: StepRecord, before: StepRecord | None
) -> list[TaskEventView]:
    """What happened with one record: what it did, what of the budget that used up, and how the task stands then."""
    alone = replace(history, records=(record,))
    events = [*_done(history, record, before), *map(_announced, warnings_of(alone))]
    if isinstance(record.next, End | Paused):
        events.append(_announced(event_of(alone)))
    return events


def _done(history: History, record: StepRecord, before: StepRecord | None) -> list[TaskEventView]:
    at_ms, number = record.finished_at_ms, record.number
    if before is not None and isinstance(before.next, End):
        return [_view(history, "task.resumed", number, at_ms=at_ms, data={"step": number})]
    if record.result.decision is not None:
        decided = decision_view(record, record.result.decision)
        data = decided.model_dump(mode="json")
        return [_view(history, "interrupt.decided", number, at_ms=at_ms, data=data)]
    if is_step(record, before):
        # Who rated the task shows in the steps before, which are not at hand: the timeline tells it.
        view = step_view(record, history.task, None)
        data = view.model_dump(mode="json", exclude={"complexity_source"})
        return [_view(history, "step.completed", number, at_ms=at_ms, data=data)]
    return []


def _view(
    history: History, type_: str, number: int, *, at_ms: int, data: dict[str, Json]
) -> TaskEventView:
    id_ = event_id(history.task.ref, type_, number)
    return TaskEventView(id=id_, type=type_, timestamp=timestamp(at_ms), data=data)


def _announced(event: Event) -> TaskEventView:
    return TaskEventView(id=event.id, **json.loads(event.body))
