"""How announcements went, beside the steps of their task; and which webhooks want no more."""

from collections.abc import Mapping, Sequence
from typing import Any

from ratchet.adapters.dynamodb_items import key, number
from ratchet.adapters.dynamodb_table import Item, Table
from ratchet.contracts.messages import TaskRef
from ratchet.delivery_log import DeadDelivery, DeadPage, Delivery, DeliveryAttempt, DeliveryState
from ratchet.domain import keys

MAX_ATTEMPTS_KEPT = 20
MAX_DETAIL_CHARS = 500
_PREFIX = "DELIVERY#"
_FIRST_ROUND = "attribute_not_exists(earlier_tries)"
_COUNTED = "tries = if_not_exists(tries, :zero) + :plus, not_before = :wait"


class DynamoDbDeliveries:
    """The delivery log. Part of the CheckpointStore on AWS."""

    _table: Table

    def deliveries(self, ref: TaskRef, event_id: str) -> Mapping[str, DeliveryState]:
        """How announcing the event went so far, by channel; a channel without a try is absent."""
        found = self._logged(ref, keys.delivery_sort_key(event_id, ""))
        return {item["channel"]["S"]: _state(item) for item in found}

    def task_deliveries(self, ref: TaskRef) -> Sequence[Delivery]:
        """The delivery log of a task: one entry for each event and channel with a try."""
        return [_delivery(item) for item in self._logged(ref, _PREFIX)]

    def record_delivery(self, ref: TaskRef, attempt: DeliveryAttempt) -> None:
        """Add a try to the event's delivery log, which keeps the latest twenty; once arrived stays arrived."""
        ok = ":ok" if attempt.ok else "if_not_exists(ok, :ok)"
        # What arrived late is dead no more.
        unlisted = ["tenant_key", "task_id"] if attempt.ok else []
        counts = {
            ":zero": {"N": "0"},
            ":plus": {"N": "1"},
            ":wait": number(attempt.not_before_ms),
            ":ok": {"BOOL": attempt.ok},
        }
        appended = self._table.update(
            {
                "Key": _key(ref, attempt.event_id, attempt.channel),
                "UpdateExpression": f"SET ok = {ok}, {_COUNTED}, channel = :channel, "
                "attempts = list_append(if_not_exists(attempts, :none), :one)" + _removed(unlisted),
                "ConditionExpression": "attribute_not_exists(attempts) OR size(attempts) < :kept",
                "ExpressionAttributeValues": {
                    **counts,
                    ":channel": {"S": attempt.channel},
                    ":none": {"L": []},
                    ":one": {"L": [_log_line(attempt)]},
                    ":kept": {"N": str(MAX_ATTEMPTS_KEPT)},
                },
            }
        )
        if not appended:
            self._table.update(
                {
                    "Key": _key(ref, attempt.event_id, attempt.channel),
                    # An index past the end appends: the oldest makes room in the same write.
                    "UpdateExpression": f"SET ok = {ok}, {_COUNTED}, attempts[{MAX_ATTEMPTS_KEPT}] = :one"
                    + _removed(["attempts[0]", *unlisted]),
                    "ExpressionAttributeValues": {**counts, ":one": _log_line(attempt)},
                }
            )

    def give_up_delivery(
        self, ref: TaskRef, event_id: str, *, channel: str, earlier_tries: int
    ) -> bool:
        """List the delivery as dead. False if it is, it has arrived, or somebody has asked to send it again since.

        The two attributes put the entry into the index that lists a tenant's tasks, in a partition of its own.
        """
        return self._table.update(
            {
                "Key": _key(ref, event_id, channel),
                "UpdateExpression": "SET tenant_key = :dead, task_id = :place",
                "ConditionExpression": "ok = :no AND attribute_not_exists(tenant_key) AND "
                + ("earlier_tries = :earlier" if earlier_tries else _FIRST_ROUND),
                "ExpressionAttributeValues": {
                    ":dead": {"S": keys.dead_key(ref.tenant)},
                    ":place": {"S": keys.dead_sort_key(ref, event_id, channel)},
                    ":no": {"BOOL": False},
                    **({":earlier": number(earlier_tries)} if earlier_tries else {}),
                },
            }
        )

    def redeliver(self, ref: TaskRef, event_id: str, *, channel: str) -> bool:
        """Begin anew with a delivery, whether it has arrived, is dead or under way. False if it was never tried."""
        return self._table.update(
            {
                "Key": _key(ref, event_id, channel),
                "UpdateExpression": "SET ok = :no, earlier_tries = tries, not_before = :now REMOVE tenant_key, task_id",
                "ConditionExpression": "attribute_exists(tries)",
                "ExpressionAttributeValues": {":no": {"BOOL": False}, ":now": number(0)},
            }
        )

    def dead_deliveries(self, tenant: str, *, limit: int, after: str | None = None) -> DeadPage:
        """What a tenant's receivers did not get (eventually consistent)."""
        condition, values = "tenant_key = :dead", {":dead": {"S": keys.dead_key(tenant)}}
        if after:
            condition += " AND task_id < :after"
            values[":after"] = {"S": after}
        request: dict[str, Any] = {
            "IndexName": "by_tenant",
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": False,
            "Limit": limit + 1,
        }
        places: list[str] = []
        for page in self._table.query(request):
            places += [item["task_id"]["S"] for item in page["Items"]]
            if len(places) > limit:
                break
        found = tuple(DeadDelivery(*place.split("#")) for place in places[:limit])
        return DeadPage(found, places[limit - 1] if len(places) > limit else None)

    def disable_webhook(self, tenant: str, url: str, *, until_ms: int) -> None:
        """Note that a tenant's webhook wants nothing before that time."""
        self._table.update(
            {
                "Key": _webhook_key(tenant, url),
                "UpdateExpression": "SET gone_until = :until, expires_at = :end",
                "ExpressionAttributeValues": {
                    ":until": number(until_ms),
                    ":end": number(until_ms // 1000),
                },
            }
        )

    def enable_webhook(self, tenant: str, url: str) -> None:
        """Forget that a tenant's webhook wanted nothing."""
        self._table.update(
            {
                "Key": _webhook_key(tenant, url),
                "UpdateExpression": "SET gone_until = :never",
                "ConditionExpression": "attribute_exists(pk)",
                "ExpressionAttributeValues": {":never": number(0)},
            }
        )

    def webhook_disabled_until(self, tenant: str, url: str) -> int:
        """Up to when a tenant's webhook wants nothing, in milliseconds since the epoch; 0 if it does."""
        item = self._table.get(_webhook_key(tenant, url))
        return 0 if item is None else int(item["gone_until"]["N"])

    def _logged(self, ref: TaskRef, prefix: str) -> list[Item]:
        request = {
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
            "ExpressionAttributeValues": {
                ":pk": {"S": keys.task_key(ref)},
                ":prefix": {"S": prefix},
            },
            "ConsistentRead": True,
        }
        return [item for page in self._table.query(request) for item in page["Items"]]


def _key(ref: TaskRef, event_id: str, channel: str) -> Item:
    return key(keys.task_key(ref), keys.delivery_sort_key(event_id, channel))


def _webhook_key(tenant: str, url: str) -> Item:
    return key(keys.webhook_key(tenant, url), keys.WEBHOOK)


def _removed(names: Sequence[str]) -> str:
    return f" REMOVE {', '.join(names)}" if names else ""


def _log_line(attempt: DeliveryAttempt) -> Item:
    return {
        "M": {
            "ok": {"BOOL": attempt.ok},
            "at": number(attempt.at_ms),
            "detail": {"S": attempt.detail[:MAX_DETAIL_CHARS]},
        }
    }


def _state(item: Item) -> DeliveryState:
    """Entries of release 0.1.0 have neither `earlier_tries` nor `not_before`."""
    earlier, not_before = (
        int(item.get(n, number(0))["N"]) for n in ("earlier_tries", "not_before")
    )
    return DeliveryState(
        ok=item["ok"]["BOOL"],
        tries=int(item["tries"]["N"]) - earlier,
        last_at_ms=int(item["attempts"]["L"][-1]["M"]["at"]["N"]),
        not_before_ms=not_before,
        is_dead="tenant_key" in item,
        earlier_tries=earlier,
    )


def _delivery(item: Item) -> Delivery:
    channel = item["channel"]["S"]
    event_id = item["sk"]["S"].removeprefix(_PREFIX).removesuffix(f"#{channel}")
    lines = [line["M"] for line in item["attempts"]["L"]]
    attempts = (
        DeliveryAttempt(
            event_id, channel, line["ok"]["BOOL"], int(line["at"]["N"]), line["detail"]["S"]
        )
        for line in lines
    )
    return Delivery(event_id, channel, _state(item), tuple(attempts))
