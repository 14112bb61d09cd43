"""What is noted beside the steps: unsafe tool calls, and how announcing an event went."""

from collections.abc import Mapping

from ratchet.adapters.dynamodb_bodies import Bodies
from ratchet.adapters.dynamodb_items import key
from ratchet.adapters.dynamodb_table import Item, Table
from ratchet.contracts.errors import EffectOutcomeUnknown
from ratchet.contracts.messages import TaskRef
from ratchet.domain import keys
from ratchet.ports import DeliveryAttempt, DeliveryState, Intent

MAX_ATTEMPTS_KEPT = 20
MAX_DETAIL_CHARS = 500


class DynamoDbLedgers:
    """The effect ledger and the delivery log."""

    def __init__(self, table: Table, bodies: Bodies) -> None:
        self._table = table
        self._bodies = bodies

    def begin_effect(self, ref: TaskRef, *, step: int, key: str, attempt_id: str) -> Intent:
        """Record the intent of an unsafe call unless there is one; returns the intent that stands."""
        intent = {**_effect_key(ref, step, key), "attempt_id": {"S": attempt_id}}
        stored = self._table.put_new(intent)
        return Intent(attempt_id) if stored is None else self._intent(ref, stored)

    def end_effect(self, ref: TaskRef, *, step: int, key: str, intent: Intent) -> None:
        """Record the result of an unsafe call.

        Raises:
            EffectOutcomeUnknown: the intent is another attempt's.
        """
        body = self._bodies.write(ref, {"result": intent.result, "ok": intent.ok})
        held = self._table.update(
            {
                "Key": _effect_key(ref, step, key),
                "UpdateExpression": "SET " + ", ".join(f"{name} = :{name}" for name in body),
                "ConditionExpression": "attempt_id = :attempt_id",
                "ExpressionAttributeValues": {
                    ":attempt_id": {"S": intent.attempt_id},
                    **{f":{name}": value for name, value in body.items()},
                },
            }
        )
        if not held:
            raise EffectOutcomeUnknown(f"call {key} of step {step} was begun by another attempt")

    def deliveries(self, ref: TaskRef, event_id: str) -> Mapping[str, DeliveryState]:
        """How announcing the event went so far, by channel; a channel without a try is absent."""
        request = {
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
            "ExpressionAttributeValues": {
                ":pk": {"S": keys.task_key(ref)},
                ":prefix": {"S": keys.delivery_sort_key(event_id, "")},
            },
            "ConsistentRead": True,
        }
        return {
            item["channel"]["S"]: DeliveryState(
                ok=item["ok"]["BOOL"],
                tries=int(item["tries"]["N"]),
                last_at_ms=int(item["attempts"]["L"][-1]["M"]["at"]["N"]),
            )
            for page in self._table.query(request)
            for item in page["Items"]
        }

    def record_delivery(self, ref: TaskRef, attempt: DeliveryAttempt) -> None:
        """Add a try to the event's delivery log, which keeps the latest twenty; once arrived stays arrived."""
        sk = keys.delivery_sort_key(attempt.event_id, attempt.channel)
        ok = ":ok" if attempt.ok else "if_not_exists(ok, :ok)"
        tries = "tries = if_not_exists(tries, :zero) + :plus"
        counts = {":zero": {"N": "0"}, ":plus": {"N": "1"}}
        values = {
            **counts,
            ":ok": {"BOOL": attempt.ok},
            ":channel": {"S": attempt.channel},
            ":none": {"L": []},
            ":one": {"L": [_log_line(attempt)]},
            ":kept": {"N": str(MAX_ATTEMPTS_KEPT)},
        }
        appended = self._table.update(
            {
                "Key": key(keys.task_key(ref), sk),
                "UpdateExpression": f"SET ok = {ok}, {tries}, channel = :channel, "
                "attempts = list_append(if_not_exists(attempts, :none), :one)",
                "ConditionExpression": "attribute_not_exists(attempts) OR size(attempts) < :kept",
                "ExpressionAttributeValues": values,
            }
        )
        if not appended:
            self._table.update(
                {
                    "Key": key(keys.task_key(ref), sk),
                    # An index past the end appends: the oldest makes room in the same write.
                    "UpdateExpression": f"SET ok = {ok}, {tries}, attempts[{MAX_ATTEMPTS_KEPT}] = :one "
                    "REMOVE attempts[0]",
                    "ExpressionAttributeValues": {
                        **counts,
                        ":ok": values[":ok"],
                        ":one": _log_line(attempt),
                    },
                }
            )

    def _intent(self, ref: TaskRef, item: Item) -> Intent:
        attempt_id = item["attempt_id"]["S"]
        if "v" not in item:
            return Intent(attempt_id)
        result = self._bodies.read(ref, item)
        return Intent(attempt_id, result["result"], result["ok"])


def _effect_key(ref: TaskRef, step: int, idempotency_key: str) -> Item:
    return key(keys.task_key(ref), keys.effect_sort_key(step, idempotency_key))


def _log_line(attempt: DeliveryAttempt) -> Item:
    return {
        "M": {
            "ok": {"BOOL": attempt.ok},
            "at": {"N": str(attempt.at_ms)},
            "detail": {"S": attempt.detail[:MAX_DETAIL_CHARS]},
        }
    }
