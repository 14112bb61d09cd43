"""What is announced of a task: the same id and the same bytes whenever an event is built."""

import json

from ratchet.app.decision_links import LinkBook
from ratchet.contracts.limits import MAX_EVENT_BYTES
from ratchet.contracts.names import InterruptKind, Json, TaskStatus
from ratchet.domain.approvals import value_of
from ratchet.domain.identifiers import event_id
from ratchet.domain.rfc3339 import timestamp
from ratchet.domain.steps import BudgetWarning, End, Interrupt, Paused, StepRecord
from ratchet.domain.task import History, Task
from ratchet.ports import Event

_SHORT_QUESTION_CHARS = 200
"""Sixteen questions of these, and what stands around them, stay below the limit of an event."""


def warnings_of(history: History) -> list[Event]:
    """The announcements of the shares of its budget that the task has reached."""
    return [
        _warning_event(history.task, record, record.warning, percent)
        for record in history.records
        if record.warning is not None
        for percent in record.warning.percents
    ]


def _warning_event(task: Task, record: StepRecord, warned: BudgetWarning, percent: int) -> Event:
    type_ = "budget.warning"
    data: dict[str, Json] = {
        "task_id": task.ref.task_id,
        "agent": task.agent,
        "user_id": task.user_id,
        "metadata": dict(task.metadata),
        "percent": percent,
        "step": record.number,
        "cost_usd": record.totals.cost_microusd / 1e6,
        "max_cost_usd": warned.limit_microusd / 1e6,
    }
    return Event(
        event_id(task.ref, f"{type_}.{percent}", record.number),
        type_,
        _envelope(type_, record.finished_at_ms, data),
        _attributes(task, type_, TaskStatus.RUNNING),
    )


def event_of(tip: History, book: LinkBook | None = None) -> Event:
    """The announcement of a task as of its end or pause; the same bytes whenever it is built.

    With a book, a question comes with links that answer it; theirs are the same as long as the root key is.
    """
    match tip.next:
        case End() as end:
            return _terminal_event(tip, end)
        case Paused() as paused:
            return _interrupt_event(tip, paused, book)
        case _:
            raise TypeError(f"{tip.task.ref.task_id} goes on")


def _interrupt_event(tip: History, paused: Paused, book: LinkBook | None) -> Event:
    task, last = tip.task, tip.records[-1]
    type_, status = "interrupt.requested", TaskStatus.INPUT_REQUIRED
    data: dict[str, Json] = {
        "task_id": task.ref.task_id,
        "status": status.value,
        "agent": task.agent,
        "user_id": task.user_id,
        "metadata": dict(task.metadata),
        "interrupts": [],
    }
    asked = [_asked(interrupt) | _links(task, interrupt, book) for interrupt in paused.interrupts]
    short = [_shortened(one) for one in asked]
    unlinked = [{name: one[name] for name in one if name != "links"} for one in short]
    for told in (asked, short, unlinked):
        listed: list[Json] = [*told]
        body = _envelope(type_, last.finished_at_ms, {**data, "interrupts": listed})
        if len(body) <= MAX_EVENT_BYTES:
            break
    return Event(
        event_id(task.ref, type_, last.number), type_, body, _attributes(task, type_, status)
    )


def _asked(interrupt: Interrupt) -> dict[str, Json]:
    asked: dict[str, Json] = {
        "id": interrupt.id,
        "kind": interrupt.kind.value,
        "question": interrupt.question,
        "choices": list(interrupt.choices),
        "expires_at": timestamp(interrupt.expires_at_ms),
    }
    if interrupt.call is not None and interrupt.kind is InterruptKind.APPROVAL:
        asked |= {"tool": interrupt.call.tool, "arguments": value_of(interrupt.call.arguments)}
    return asked


def _links(task: Task, interrupt: Interrupt, book: LinkBook | None) -> dict[str, Json]:
    links = {} if book is None else book.of(task.ref, interrupt)
    return {"links": dict(links)} if links else {}


def _shortened(asked: dict[str, Json]) -> dict[str, Json]:
    """What fits however much is asked: GET /v1/interrupts shows the rest."""
    question = str(asked["question"])[:_SHORT_QUESTION_CHARS]
    kept = {name: value for name, value in asked.items() if name not in ("arguments", "choices")}
    return {**kept, "question": question, "shortened": True}


def _attributes(task: Task, type_: str, status: TaskStatus) -> dict[str, str]:
    return {
        "type": type_,
        "status": status.value,
        "agent": task.agent,
        "tenant": task.ref.tenant,
    }


def end_type(end: End) -> str:
    """The type of the event that announces an end."""
    return f"task.{end.status.value}"


def _terminal_event(tip: History, end: End) -> Event:
    task = tip.task
    type_ = end_type(end)
    finished_ms = tip.records[-1].finished_at_ms
    data: dict[str, Json] = {
        "task_id": task.ref.task_id,
        "status": end.status.value,
        "agent": task.agent,
        "user_id": task.user_id,
        "metadata": dict(task.metadata),
        "result": end.output,
        "error": None
        if end.failure is None
        else {"code": end.failure.code, "message": end.failure.message},
        "steps": tip.totals.steps,
        "cost_usd": tip.totals.cost_microusd / 1e6,
    }
    body = _envelope(type_, finished_ms, data)
    if len(body) > MAX_EVENT_BYTES:
        body = _envelope(type_, finished_ms, {**data, "result": None, "result_omitted": True})
    attributes = _attributes(task, type_, end.status)
    return Event(event_id(task.ref, type_, tip.records[-1].number), type_, body, attributes)


def _envelope(type_: str, at_ms: int, data: dict[str, Json]) -> bytes:
    envelope = {"type": type_, "timestamp": timestamp(at_ms), "data": data}
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
