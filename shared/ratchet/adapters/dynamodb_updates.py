"""How the head of a task changes, as the bodies of UpdateItem: what is set, and what must hold. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ratchet.adapters import dynamodb_items as items
from ratchet.adapters.dynamodb_table import Item
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS, TTL_MARGIN_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import TERMINAL_STATUSES, Standing, TaskStatus, WaitingFor
from ratchet.domain import keys
from ratchet.domain.session import Move
from ratchet.domain.slots import Place, Seat
from ratchet.domain.steps import End, StepRecord
from ratchet.domain.task import History
from ratchet.ports import DueTask, Reopening, Start

Update: TypeAlias = Mapping[str, Any]

_TERMINAL: Item = {f":{status.value}": {"S": status.value} for status in sorted(TERMINAL_STATUSES)}
_ENDED = f"#status IN ({', '.join(_TERMINAL)})"
_ASKING: Item = {":input_required": {"S": TaskStatus.INPUT_REQUIRED.value}}
_SETTLED = f"({_ENDED} OR #status = :input_required)"  # nothing happens until somebody decides
_QUEUED: Item = {":queued": {"S": TaskStatus.QUEUED.value}}
_WAITS = "#status = :queued AND attribute_not_exists(slot)"
_IN_LINE = ("waiting", "wait_rank", "waiting_for")
_HOLDING: Item = {":holds": {"S": Standing.HOLDS.value}}
_UNLOCKED = "(attribute_not_exists(session_id) OR session_standing = :holds)"
_AS_OPENED = "(opened_at = :opened OR attribute_not_exists(opened_at) AND created_at = :opened)"
_LATER = "(attribute_not_exists(#generation) OR #generation < :new_generation)"


def started(ref: TaskRef, start: Start) -> Update:
    """An execution runs the task, unless it has ended or paused or gone on since, or a later execution was started."""
    values = {
        "status": _text(TaskStatus.RUNNING),
        "updated_at": items.number(start.at_ms),
        "generation": items.number(start.generation),
        **items.due(ref, start.due_at_ms),
        **_version(start),
    }
    if start.restarts:
        values["restarts"] = items.number(start.restarts)
        values["restarted_at_step"] = items.number(start.at_step)
    optional = ("restarts", "restarted_at_step", "machine_version", *_IN_LINE)
    return _update(
        items.head_key(ref),
        values,
        remove=[name for name in optional if name not in values],
        only_if=f"NOT {_SETTLED} AND {_AS_OPENED} AND {_LATER} AND {_UNLOCKED}",
        given=_TERMINAL | _ASKING | _HOLDING | _opened(start),
    )


def _opened(start: Start) -> Item:
    return {":opened": items.number(start.opened_at_ms)}


def _version(start: Start) -> Item:
    return (
        {} if start.machine_version is None else {"machine_version": _text(start.machine_version)}
    )


def had_started(ref: TaskRef, start: Start) -> Update:
    """An execution was so fast that the task had ended or paused when its start was noted: note only which it was."""
    values = {"generation": items.number(start.generation), **_version(start)}
    return _update(
        items.head_key(ref),
        values,
        remove=[] if "machine_version" in values else ["machine_version"],
        only_if=f"attribute_exists(pk) AND {_SETTLED} AND {_LATER}",
        given=_TERMINAL | _ASKING,
    )


def started_before(ref: TaskRef, start: Start) -> Update:
    """The task was reopened before its start was noted, and that execution is not one of what follows.

    To mark it as running would let it pass those that wait for a slot, and nothing would run it. The generation is
    used up; the version is kept unless there is one, and an upgraded task has one: the current.
    """
    values = {"generation": items.number(start.generation)}
    noted = _update(
        items.head_key(ref),
        values,
        only_if=f"attribute_exists(pk) AND NOT {_SETTLED} AND NOT {_AS_OPENED} AND {_LATER}",
        given=_TERMINAL | _ASKING | _opened(start),
    )
    if start.machine_version is None:
        return noted
    kept = "machine_version = if_not_exists(machine_version, :version)"
    return {
        **noted,
        "UpdateExpression": f"{noted['UpdateExpression']}, {kept}",
        "ExpressionAttributeValues": {
            **noted["ExpressionAttributeValues"],
            ":version": _text(start.machine_version),
        },
    }


def settled(ref: TaskRef, record: StepRecord, *, due_at_ms: int) -> Update:
    """The task has ended or paused with this step, unless it had ended before."""
    following = record.next
    status = following.status if isinstance(following, End) else TaskStatus.INPUT_REQUIRED
    values = {
        "status": _text(status),
        "updated_at": items.number(record.finished_at_ms),
        "steps": items.number(record.number),
        "cost_microusd": items.number(record.totals.cost_microusd),
        **expiry(record),
        **items.due(ref, due_at_ms),
    }
    return _update(
        items.head_key(ref),
        values,
        remove=_IN_LINE,
        only_if=f"attribute_exists(pk) AND NOT {_ENDED}",
        given=_TERMINAL,
    )


def seated(ref: TaskRef, seat: Seat) -> Update:
    """A queued task has taken a slot, is out of the line, and must be started soon."""
    return _update(
        items.head_key(ref),
        {"slot": items.number(seat.shard), "due_at": items.number(seat.due_at_ms)},
        remove=_IN_LINE,
        only_if=_WAITS,
        given=_QUEUED,
    )


def parked(place: Place) -> Update:
    """A queued task stands in its tenant's line."""
    ref = TaskRef(place.candidate.tenant, place.candidate.task_id)
    values = {
        "waiting": _text(keys.tenant_key(ref.tenant)),
        "wait_rank": _text(keys.wait_rank(place.candidate)),
        "waiting_for": _text(place.waiting_for),
        "due_at": items.number(place.due_at_ms),
    }
    return _update(items.head_key(ref), values, only_if=_WAITS, given=_QUEUED)


def stands(move: Move, tip: History, body: Item) -> Update:
    """A task's standing in its session has changed, unless the task has since it was read."""
    values, removed = dict(body), {"body", "body_ref"} - set(body) if body else set()
    if move.due_at_ms is not None:
        values["due_at"] = items.number(move.due_at_ms)
    if move.standing is None:
        removed.add("session_standing")
    else:
        values["session_standing"] = _text(move.standing)
        removed.add("waiting_for")
    stood = tip.state.standing
    given = {
        ":seen": _text(tip.state.status),
        ":seen_at": items.number(tip.state.updated_at_ms),
        **({} if stood is None else {":stood": _text(stood)}),
    }
    as_seen = (
        "attribute_not_exists(session_standing)" if stood is None else "session_standing = :stood"
    )
    return _update(
        items.head_key(tip.task.ref),
        values,
        remove=sorted(removed),
        only_if=f"#status = :seen AND #updated_at = :seen_at AND attribute_not_exists(erasing) AND {as_seen}",
        given=given,
    )


def stood_by(ref: TaskRef, due_at_ms: int) -> Update:
    """A queued task waits for its session."""
    return _update(
        items.head_key(ref),
        {"waiting_for": _text(WaitingFor.SESSION), "due_at": items.number(due_at_ms)},
        only_if="#status = :queued AND session_standing = :waits",
        given={**_QUEUED, ":waits": _text(Standing.WAITS)},
    )


def unseated(ref: TaskRef, shard: int) -> Update:
    """An ended or paused task gives its slot back."""
    return _update(
        items.head_key(ref),
        {},
        remove=("slot",),
        only_if=f"{_SETTLED} AND #slot = :shard",
        given={**_TERMINAL, **_ASKING, ":shard": items.number(shard)},
    )


def reopened(tip: History, reopening: Reopening, body: Item) -> Update:
    """The task is queued again, unless somebody has reopened it, or begun to erase it, since `tip` was read."""
    ref = tip.task.ref
    values = {
        "status": _text(TaskStatus.QUEUED),
        "updated_at": items.number(reopening.at_ms),
        "opened_at": items.number(reopening.at_ms),
        **items.due(ref, reopening.due_at_ms),
        **body,
    }
    other_body = {"body", "body_ref"} - set(body) if body else ()
    ended_things = ("expires_at", "steps", "cost_microusd", "restarts", "restarted_at_step")
    if reopening.upgrade:
        values["machine_version"] = _text(items.CURRENT)  # see started_before
    return _update(
        items.head_key(ref),
        values,
        remove=(*ended_things, *other_body),
        only_if="#status = :seen AND #updated_at = :seen_at AND attribute_not_exists(erasing)",
        given={
            ":seen": _text(tip.state.status),
            ":seen_at": items.number(tip.state.updated_at_ms),
        },
    )


def kept(ref: TaskRef, number: int) -> Update:
    """A step of a reopened task: TTL must not take it."""
    return _update(
        items.step_key(ref, number), {}, remove=("expires_at",), only_if="attribute_exists(pk)"
    )


def due_again(ref: TaskRef, ended_at_ms: int, at_ms: int) -> Update:
    """Somebody should look again at a task that ended or paused then and has not gone on since."""
    return _update(
        items.head_key(ref),
        items.due(ref, at_ms),
        only_if=f"{_SETTLED} AND #updated_at = :ended_at AND attribute_not_exists(erasing)",
        given={**_TERMINAL, **_ASKING, ":ended_at": items.number(ended_at_ms)},
    )


def postponed(due: DueTask, until_ms: int) -> Update:
    """Somebody should look at it later, unless its time has been set anew."""
    return _update(
        items.head_key(due.ref),
        {"due_at": items.number(until_ms)},
        only_if="#due_at = :seen",
        given={":seen": items.number(due.due_at_ms)},
    )


def erasing(ref: TaskRef, head: Item, soon_ms: int) -> Update:
    """From now on the task cannot be read or reopened, and is due by then at the latest; refused if it just was."""
    due_at_ms = min(int(head["due_at"]["N"]), soon_ms)
    return _update(
        items.head_key(ref),
        {"erasing": {"BOOL": True}, **items.due(ref, due_at_ms)},
        only_if=f"{_ENDED} AND updated_at = :seen",
        given={**_TERMINAL, ":seen": head["updated_at"]},
    )


def expiry(record: StepRecord) -> Item:
    """When TTL may take what ended with this step, if it ended; readers and the sweeper come before it."""
    if not isinstance(record.next, End):
        return {}
    kept_seconds = TERMINAL_RETENTION_SECONDS + TTL_MARGIN_SECONDS
    return {"expires_at": items.number(record.finished_at_ms // 1000 + kept_seconds)}


def _update(
    key: Item,
    values: Item,
    *,
    remove: Sequence[str] = (),
    only_if: str,
    given: Item | None = None,
) -> Update:
    """SET these values and REMOVE those names; `only_if` may say #name and :new_name of each value, and `given`."""
    names = {name for name in (*values, *remove, "status", "updated_at") if f"#{name}" in only_if}
    names |= {*values, *remove}
    actions = []
    if values:
        actions.append("SET " + ", ".join(f"#{name} = :new_{name}" for name in values))
    if remove:
        actions.append("REMOVE " + ", ".join(f"#{name}" for name in remove))
    update: dict[str, Any] = {
        "Key": key,
        "UpdateExpression": " ".join(actions),
        "ConditionExpression": only_if,
        "ExpressionAttributeNames": {f"#{name}": name for name in sorted(names)},
    }
    expression_values = {f":new_{name}": value for name, value in values.items()} | (given or {})
    return (
        {**update, "ExpressionAttributeValues": expression_values} if expression_values else update
    )


def _text(value: str) -> Item:
    return {"S": str(value)}
