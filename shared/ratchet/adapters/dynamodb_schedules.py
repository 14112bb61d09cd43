"""Schedules in the one table, all of a tenant's in one partition: the record, its request, and what is left of it.

The record is small, so that listing, counting and noting a run stay cheap whatever the goal is like.
"""

from typing import Any

from ratchet.adapters import dynamodb_items as items
from ratchet.adapters.dynamodb_table import Item, Refused, Table
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import ENDED_SCHEDULE_SECONDS
from ratchet.domain import codec, keys
from ratchet.domain.schedule import LastRun, Schedule, Timing
from ratchet.ports import Clock, IdempotencyClaim
from ratchet.schedule_ports import ScheduleCreated, SchedulePage

_NEW = "attribute_not_exists(pk)"
_TEXTS = ("name", "agent", "user_id")


class DynamoDbSchedules:
    """The ScheduleStore on AWS."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def create(self, schedule: Schedule, claim: IdempotencyClaim | None) -> ScheduleCreated:
        """Write the schedule and the claim, both or neither; with a known key, what that created."""
        new = [_record(schedule), _request(schedule)]
        puts = [{"Put": {"Item": item, "ConditionExpression": _NEW}} for item in new]
        claims = [] if claim is None else [{"Put": self._new_claim(schedule, claim)}]
        try:
            self._table.transact(*claims, *puts)
        except Refused:
            return self._created_before(schedule, claim)
        return ScheduleCreated(schedule, is_replay=False)

    def created_by(self, tenant: str, claim: IdempotencyClaim) -> ScheduleCreated | None:
        """What the caller's key has created before."""
        held = self._table.get(_claim_key(tenant, claim))
        if held is None or int(held["expires_at"]["N"]) < self._now():
            return None
        found = self.schedule(tenant, held["schedule_id"]["S"])
        return ScheduleCreated(found, True, held["body_sha256"]["S"])

    def schedule(self, tenant: str, schedule_id: str) -> Schedule | None:
        """The schedule; None if this tenant has none of that id (any more)."""
        wanted = [_key(kind, tenant, schedule_id) for kind in (keys.SCHEDULE, keys.REQUEST)]
        record, request = self._table.get_all(wanted)
        if record is None or request is None or self._is_over(record):
            return None
        return _read(record, tenant, str(codec.unpack(request["body"]["B"])["task"]))

    def list(self, tenant: str, *, limit: int, after: str | None = None) -> SchedulePage:
        """The tenant's schedules, newest first; the text of `task` is left empty."""
        request: dict[str, Any] = {
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :kind)",
            "ExpressionAttributeValues": {
                ":pk": {"S": keys.schedules_key(tenant)},
                ":kind": {"S": f"{keys.SCHEDULE}#"},
            },
            "ScanIndexForward": False,
            "Limit": limit + 1,  # one more tells whether there are more
            "ConsistentRead": True,
        }
        if after is not None:
            request["ExclusiveStartKey"] = _key(keys.SCHEDULE, tenant, after)
        found = next(self._table.query(request))["Items"]
        living = [_read(item, tenant) for item in found[:limit] if not self._is_over(item)]
        return SchedulePage(living, _id_of(found[limit - 1]) if len(found) > limit else None)

    def mark_armed(self, tenant: str, schedule_id: str) -> bool:
        """Note that EventBridge has it; False if it was deleted."""
        return self._table.update(
            {
                "Key": _key(keys.SCHEDULE, tenant, schedule_id),
                "UpdateExpression": "SET armed = :yes",
                "ConditionExpression": "attribute_exists(pk)",
                "ExpressionAttributeValues": {":yes": {"BOOL": True}},
            }
        )

    def note_run(self, tenant: str, schedule_id: str, run: LastRun) -> bool:
        """Note what came of a firing and count it; False if it, or a later one, is noted, or the schedule deleted."""
        texts = {"at": run.scheduled_at, "task": run.task_id, "code": run.code, "why": run.message}
        told = {name: {"S": text} for name, text in texts.items() if text is not None}
        return self._table.update(
            {
                "Key": _key(keys.SCHEDULE, tenant, schedule_id),
                "UpdateExpression": "SET last_run = :run, last_at = :at, armed = :yes ADD runs :one",
                "ConditionExpression": "attribute_exists(pk) AND "
                "(attribute_not_exists(last_at) OR last_at < :at)",
                "ExpressionAttributeValues": {
                    ":run": {"M": told},
                    ":at": {"S": run.scheduled_at},
                    ":yes": {"BOOL": True},
                    ":one": items.number(1),
                },
            }
        )

    def delete(
        self, schedule: Schedule, *, claim: IdempotencyClaim | None = None, kept_seconds: int = 0
    ) -> None:
        """Delete it, and with it the claim that made it if that is given; safe to repeat."""
        tenant, schedule_id = schedule.tenant, schedule.schedule_id
        kinds = (keys.SCHEDULE, keys.REQUEST)
        doomed = [_key(kind, tenant, schedule_id) for kind in kinds]
        writes: list[dict[str, Any]] = [{"Delete": {"Key": key}} for key in doomed]
        if claim is not None:
            mine = {
                "Key": _claim_key(tenant, claim),
                "ConditionExpression": "attribute_not_exists(pk) OR schedule_id = :mine",
                "ExpressionAttributeValues": {":mine": {"S": schedule_id}},
            }
            writes.append({"Delete": mine})
        if kept_seconds:
            left = _key(keys.DELETED, tenant, schedule_id)
            until = items.number(self._now() + kept_seconds)
            writes.append({"Put": {"Item": {**left, "expires_at": until}}})
        try:
            self._table.transact(*writes)
        except Refused:  # the key has expired and made another one meanwhile
            self.delete(schedule, kept_seconds=kept_seconds)

    def was_deleted(self, tenant: str, schedule_id: str) -> bool:
        """Whether this tenant had such a schedule a while ago."""
        left = self._table.get(_key(keys.DELETED, tenant, schedule_id))
        return left is not None and not self._is_over(left)

    def _created_before(
        self, schedule: Schedule, claim: IdempotencyClaim | None
    ) -> ScheduleCreated:
        """What holds the key; or this very request, sent again after its answer was lost."""
        if claim is not None:
            held = self.created_by(schedule.tenant, claim)
            if held is not None:
                ids = (held.schedule and held.schedule.schedule_id, schedule.schedule_id)
                return held if ids[0] != ids[1] else ScheduleCreated(schedule, is_replay=False)
        if self.schedule(schedule.tenant, schedule.schedule_id) is None:
            raise StoreUnavailable(f"{schedule.schedule_id} was refused without a reason")
        return ScheduleCreated(schedule, is_replay=False)

    def _new_claim(self, schedule: Schedule, claim: IdempotencyClaim) -> dict[str, Any]:
        item: Item = {
            **_claim_key(schedule.tenant, claim),
            "schedule_id": {"S": schedule.schedule_id},
            "body_sha256": {"S": claim.body_sha256},
            "expires_at": items.number(claim.expires_at),
        }
        return {
            "Item": item,
            "ConditionExpression": f"{_NEW} OR expires_at < :now",
            "ExpressionAttributeValues": {":now": items.number(self._now())},
        }

    def _is_over(self, item: Item) -> bool:
        """What TTL has yet to take is gone for us at once."""
        return "expires_at" in item and int(item["expires_at"]["N"]) < self._now()

    def _now(self) -> int:
        return self._clock.now_ms() // 1000


def _key(kind: str, tenant: str, schedule_id: str) -> Item:
    return items.key(keys.schedules_key(tenant), keys.schedule_sort_key(kind, schedule_id))


def _claim_key(tenant: str, claim: IdempotencyClaim) -> Item:
    return items.key(keys.idempotency_key(tenant, claim.key), "IDEMPOTENCY")


def _id_of(item: Item) -> str:
    return str(item["sk"]["S"]).partition("#")[2]


def _expiry(schedule: Schedule) -> Item:
    ends_ms = schedule.timing.ends_ms
    if ends_ms is None:
        return {}
    return {"expires_at": items.number(ends_ms // 1000 + ENDED_SCHEDULE_SECONDS)}


def _record(schedule: Schedule) -> Item:
    timing = schedule.timing
    texts = {name: getattr(schedule, name) for name in _TEXTS}
    numbers = {"start": timing.start_ms, "end": timing.end_ms}
    return {
        **_key(keys.SCHEDULE, schedule.tenant, schedule.schedule_id),
        "created_at": items.number(schedule.created_at_ms),
        "expression": {"S": timing.expression},
        "timezone": {"S": timing.timezone},
        **{name: {"S": text} for name, text in texts.items() if text is not None},
        **{name: items.number(ms) for name, ms in numbers.items() if ms is not None},
        **_expiry(schedule),
    }


def _request(schedule: Schedule) -> Item:
    return {
        **_key(keys.REQUEST, schedule.tenant, schedule.schedule_id),
        "body": {"B": codec.pack({"task": schedule.task})},
        **_expiry(schedule),
    }


def _read(item: Item, tenant: str, task: str = "") -> Schedule:
    texts = {name: item[name]["S"] for name in _TEXTS if name in item}
    start, end = (int(item[name]["N"]) if name in item else None for name in ("start", "end"))
    return Schedule(
        tenant=tenant,
        schedule_id=_id_of(item),
        created_at_ms=int(item["created_at"]["N"]),
        timing=Timing(item["expression"]["S"], item["timezone"]["S"], start, end),
        task=task,
        is_armed="armed" in item,
        runs=int(item["runs"]["N"]) if "runs" in item else 0,
        last_run=_read_run(item["last_run"]["M"]) if "last_run" in item else None,
        **texts,
    )


def _read_run(told: Item) -> LastRun:
    def text(name: str) -> str | None:
        return told[name]["S"] if name in told else None

    return LastRun(told["at"]["S"], text("task"), text("code"), text("why"))
