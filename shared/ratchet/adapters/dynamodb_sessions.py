"""Sessions: one item each, replaced whole under its revision, and a place for every task that ever came.

What changes in a session and on the head of its task is one transaction, so that neither can say what the other does
not. A change that was applied and whose answer was lost is refused when it is sent again, and found on the next read.
"""

from typing import Any

from ratchet.adapters import dynamodb_items as items
from ratchet.adapters import dynamodb_updates as updates
from ratchet.adapters.dynamodb_bodies import Bodies
from ratchet.adapters.dynamodb_table import Item, Refused, Table
from ratchet.contracts.errors import SessionMoved
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS, TTL_MARGIN_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.domain import codec, keys
from ratchet.domain.session import Move, Session
from ratchet.domain.session_codec import decode_session, encode_session
from ratchet.domain.task import Task
from ratchet.ports import Clock, Created, IdempotencyClaim
from ratchet.session_ports import SessionList, SessionPage

_KEPT_SECONDS = TERMINAL_RETENTION_SECONDS + TTL_MARGIN_SECONDS


class DynamoDbSessions:
    """The SessionStore on AWS. Part of the CheckpointStore there."""

    _table: Table
    _bodies: Bodies
    _clock: Clock

    def session(self, tenant: str, session_id: str) -> Session:
        """The session: one read request. One that is not stored has version 0, one that is over is empty."""
        found = self._table.get(_session_key(tenant, session_id))
        if found is None:
            return Session(tenant, session_id)
        return _read(found, tenant, session_id).at(now_ms=self._clock.now_ms())

    def create_in_session(
        self, task: Task, *, claim: IdempotencyClaim | None, due_at_ms: int, move: Move
    ) -> Created:
        """Write a queued task (and the claim) with its place in the session, atomically."""
        body = self._bodies.write(task.ref, codec.encode_task(task))
        head = items.new_head(task, body, due_at_ms=due_at_ms)
        claims = [] if claim is None else [{"Put": self._new_claim(task, claim)}]
        try:
            self._table.transact(
                *claims,
                {"Put": {"Item": head, "ConditionExpression": "attribute_not_exists(pk)"}},
                {"Put": _put(move)},
                {"Put": {"Item": _place(task)}},
            )
        except Refused as refused:
            return self._not_joined(task, claim, refused)
        digest = None if claim is None else claim.body_sha256
        return Created(task, items.read_state(head), is_replay=False, body_sha256=digest)

    def created_by(self, tenant: str, claim: IdempotencyClaim) -> Created | None:
        """What the caller's key has created before."""
        held = self._table.get(items.key(keys.idempotency_key(tenant, claim.key), "IDEMPOTENCY"))
        if held is None or int(held["expires_at"]["N"]) < self._clock.now_ms() // 1000:
            return None
        ref = TaskRef(tenant, held["task_id"]["S"])
        head = self._table.get(items.head_key(ref))
        if head is None or "erasing" in head:
            return None
        task = items.read_task(ref, head, self._bodies)
        return Created(task, items.read_state(head), True, held["body_sha256"]["S"])

    def move_session(self, move: Move) -> bool:
        """Change the session and the standing of a task together; False if either is not as it was read."""
        heads = []
        if move.tip is not None:
            pinned = move.pinned
            body = {} if pinned is None else self._write(pinned)
            heads = [{"Update": updates.stands(move, move.tip, body)}]
        try:
            self._table.transact({"Put": _put(move)}, *heads)
        except Refused:
            return False
        return True

    def stand_by(self, ref: TaskRef, *, due_at_ms: int) -> None:
        """Note that a queued task waits for its session; nothing once it holds the lock."""
        self._table.update(updates.stood_by(ref, due_at_ms))

    def list_sessions(self, tenant: str, *, limit: int, after: str | None = None) -> SessionList:
        """The tenant's sessions, in the order of their ids; those that are over are left out."""
        values = {":tenant": {"S": keys.sessions_key(tenant)}, ":after": {"S": after or " "}}
        request = {
            "IndexName": "by_tenant",
            "KeyConditionExpression": "tenant_key = :tenant AND task_id > :after",
            "ExpressionAttributeValues": values,
            "Limit": limit,
        }
        page = next(self._table.query(request))
        ids = [item["task_id"]["S"] for item in page["Items"]]
        wanted = [_session_key(tenant, session_id) for session_id in ids]
        found = self._table.get_all(wanted) if wanted else []
        now_ms = self._clock.now_ms()
        read = [
            _read(item, tenant, session_id)
            for item, session_id in zip(found, ids, strict=True)
            if item is not None
        ]
        living = tuple(session for session in read if not session.is_over(now_ms=now_ms))
        return SessionList(living, ids[-1] if "LastEvaluatedKey" in page else None)

    def session_tasks(
        self, session: Session, *, limit: int, before: int | None = None
    ) -> SessionPage:
        """The tasks of a session that came before number `before`, newest first: two read requests."""
        last = session.last_number if before is None else before - 1
        request = {
            "KeyConditionExpression": "pk = :pk AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":pk": {"S": keys.session_key(session.tenant, session.session_id)},
                ":first": {"S": keys.place_sort_key(0)},
                ":last": {"S": keys.place_sort_key(max(last, 0))},
            },
            "ScanIndexForward": False,
            "Limit": limit,
            "ConsistentRead": True,
        }
        page = next(self._table.query(request))
        places = page["Items"]
        refs = [TaskRef(session.tenant, place["task_id"]["S"]) for place in places]
        heads = self._table.get_all([items.head_key(ref) for ref in refs]) if refs else []
        now = self._clock.now_ms()
        living = [h for h in heads if h is not None and not items.is_expired(h, now)]
        is_last = "LastEvaluatedKey" not in page
        following = None if is_last else keys.place_number(places[-1]["sk"]["S"])
        return SessionPage(tuple(map(items.read_summary, living)), following)

    def erase_session(self, session: Session) -> bool:
        """Delete a session that nobody is in, and its places; False if it has changed since it was read."""
        request = {
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :place)",
            "ExpressionAttributeValues": {
                ":pk": {"S": keys.session_key(session.tenant, session.session_id)},
                ":place": {"S": keys.PLACE},
            },
            "ProjectionExpression": "pk, sk",
            "ConsistentRead": True,
        }
        found = [item for page in self._table.query(request) for item in page["Items"]]
        known = [i for i in found if keys.place_number(i["sk"]["S"]) <= session.last_number]
        self._table.delete(known)
        try:
            self._table.transact(
                {
                    "Delete": {
                        "Key": _session_key(session.tenant, session.session_id),
                        "ConditionExpression": "attribute_not_exists(pk) OR revision = :seen",
                        "ExpressionAttributeValues": {":seen": items.number(session.version)},
                    }
                }
            )
        except Refused:
            return False
        return True

    def _not_joined(self, task: Task, claim: IdempotencyClaim | None, refused: Refused) -> Created:
        """What the key or this very request made before; else the session has moved."""
        at = 0 if claim is None else 1
        if claim is not None and any(refused.failed[:2]):
            return self._created_before(task, claim, refused)
        if refused.failed[at]:
            head = refused.items[at] or self._table.get(items.head_key(task.ref))
            return self._created(task, head or {})
        raise SessionMoved("somebody else has changed the session; read it again")

    def _write(self, task: Task) -> Item:
        return self._bodies.write(task.ref, codec.encode_task(task))

    def _new_claim(self, task: Task, claim: IdempotencyClaim) -> Item:
        raise NotImplementedError

    def _created_before(self, task: Task, claim: IdempotencyClaim, refused: Refused) -> Created:
        raise NotImplementedError

    def _created(self, task: Task, stored: Item) -> Created:
        raise NotImplementedError


def _session_key(tenant: str, session_id: str) -> Item:
    return items.key(keys.session_key(tenant, session_id), keys.SESSION)


def _read(item: Item, tenant: str, session_id: str) -> Session:
    body, version = item["body"]["B"], int(item["revision"]["N"])
    return decode_session(body, tenant=tenant, session_id=session_id, version=version)


def _put(move: Move) -> dict[str, Any]:
    """The session anew, if it is as it was read; TTL may have it once nobody is in it any more."""
    after, seen = move.after, move.before.version
    item: Item = {
        **_session_key(after.tenant, after.session_id),
        "revision": items.number(after.version),
        "body": {"B": encode_session(after)},
        "tenant_key": {"S": keys.sessions_key(after.tenant)},
        "task_id": {"S": after.session_id},
    }
    if not after.open:
        item["expires_at"] = items.number(after.updated_at_ms // 1000 + _KEPT_SECONDS)
    if not seen:
        return {"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "Item": item,
        "ConditionExpression": "revision = :seen",
        "ExpressionAttributeValues": {":seen": items.number(seen)},
    }


def _place(task: Task) -> Item:
    if task.session is None:
        raise ValueError(f"{task.ref.task_id} has no session")
    place = items.place_key(task.ref.tenant, task.session)
    return {**place, "task_id": {"S": task.ref.task_id}}
