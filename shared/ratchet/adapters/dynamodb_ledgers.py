"""What is noted beside the steps: unsafe tool calls and reservations."""

from dataclasses import replace

from ratchet.adapters.dynamodb_bodies import Bodies
from ratchet.adapters.dynamodb_items import RESERVED, key, number, step_key
from ratchet.adapters.dynamodb_table import Item, Refused, Table
from ratchet.contracts.charge import Charge
from ratchet.contracts.errors import AttemptSuperseded
from ratchet.contracts.messages import TaskRef
from ratchet.domain import codec, keys
from ratchet.domain.steps import StepPlan
from ratchet.ports import Begun, Intent, Reserved


class DynamoDbLedgers:
    """The effect ledger and the reservations."""

    def __init__(self, table: Table, bodies: Bodies) -> None:
        self._table = table
        self._bodies = bodies

    def begin_effect(
        self, ref: TaskRef, plan: StepPlan, *, step: int, key: str, intent: Intent
    ) -> Intent:
        """Record the intent of an unsafe call unless there is one; returns the intent that stands.

        One transaction of the intent, the plan, and the place of the step, which is kept for a record of the attempt
        that owns the plan.

        Raises:
            AttemptSuperseded: the step is committed, or another attempt owns its plan.
        """
        item = {**_effect_key(ref, step, key), **_began(intent)}
        new = "attribute_not_exists(pk)"
        try:
            self._table.transact(
                {"Put": {"Item": item, "ConditionExpression": new}},
                {
                    "Put": {
                        "Item": {
                            **_plan_key(ref, step),
                            "attempt_id": {"S": plan.owner},
                            **self._bodies.write(ref, codec.encode_plan(plan)),
                        }
                    }
                },
                {
                    "Put": {
                        "Item": {**step_key(ref, step), RESERVED: {"S": plan.owner}},
                        "ConditionExpression": f"{new} OR {RESERVED} = :mine",
                        "ExpressionAttributeValues": {":mine": {"S": plan.owner}},
                    }
                },
            )
        except Refused as refused:
            if refused.failed[-1]:
                raise AttemptSuperseded(f"step {step} of {ref.task_id} is another's") from None
            stored = refused.items[0] or self._table.get(_effect_key(ref, step, key)) or item
            return self._intent(ref, stored)
        return intent

    def begun_effects(self, ref: TaskRef, *, step: int) -> Begun | None:
        """What attempts at a step have begun, None if nothing."""
        request = {
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
            "ExpressionAttributeValues": {
                ":pk": {"S": keys.task_key(ref)},
                ":prefix": {"S": keys.plan_sort_key(step)},
            },
            "ConsistentRead": True,
        }
        found = {i["sk"]["S"]: i for page in self._table.query(request) for i in page["Items"]}
        plan = found.pop(keys.plan_sort_key(step), None)
        if plan is None:
            return None
        prefix = keys.effect_sort_key(step, "")
        return Begun(
            codec.decode_plan(plan["attempt_id"]["S"], self._bodies.read(ref, plan)),
            {sk.removeprefix(prefix): self._intent(ref, item) for sk, item in found.items()},
        )

    def adopt_plan(self, ref: TaskRef, plan: StepPlan, *, step: int, owner: str) -> bool:
        """Make `owner` the plan's: attempts before it begin no more effects and commit none. False if it cannot be."""
        new = {":new": {"S": owner}}
        try:
            self._table.transact(
                {
                    "Update": {
                        "Key": _plan_key(ref, step),
                        "UpdateExpression": "SET attempt_id = :new",
                        "ExpressionAttributeValues": new,
                    }
                },
                {
                    "Update": {
                        "Key": step_key(ref, step),
                        "UpdateExpression": f"SET {RESERVED} = :new",
                        "ConditionExpression": f"{RESERVED} IN (:old, :new)",
                        "ExpressionAttributeValues": {":old": {"S": plan.owner}, **new},
                    }
                },
            )
        except Refused:
            return False
        return True

    def retake_effect(
        self, ref: TaskRef, *, step: int, key: str, before: Intent, after: Intent
    ) -> bool:
        """Take over a call that surely has not happened, to make it, as the owner of the step's plan."""
        began = _began(after)
        mine = {":attempt_id": began["attempt_id"]}
        try:
            self._table.transact(
                {
                    "Update": {
                        "Key": _effect_key(ref, step, key),
                        "UpdateExpression": "SET "
                        + ", ".join(f"{name} = :{name}" for name in began),
                        "ConditionExpression": "attempt_id IN (:before, :attempt_id) AND attribute_not_exists(v)",
                        "ExpressionAttributeValues": {
                            ":before": {"S": before.attempt_id},
                            **{f":{name}": value for name, value in began.items()},
                        },
                    }
                },
                {
                    "ConditionCheck": {
                        "Key": step_key(ref, step),
                        "ConditionExpression": f"{RESERVED} = :attempt_id",
                        "ExpressionAttributeValues": mine,
                    }
                },
            )
        except Refused:
            return False
        return True

    def end_effect(self, ref: TaskRef, *, step: int, key: str, intent: Intent) -> None:
        """Record the result of an unsafe call.

        Raises:
            AttemptSuperseded: the intent is another attempt's.
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
            raise AttemptSuperseded(f"call {key} of step {step} is another attempt's")

    def reserved(self, ref: TaskRef, *, step: int) -> Reserved | None:
        """What attempts at a step have reserved; None if none had to."""
        item = self._table.get(_spent_key(ref, step))
        if item is None:
            return None
        tokens = int(item["tokens"]["N"]) if "tokens" in item else 0
        return Reserved(Charge(int(item["microusd"]["N"]), tokens), item["attempt_id"]["S"])

    def reserve(self, ref: TaskRef, *, step: int, before: Reserved | None, after: Reserved) -> bool:
        """Replace what is reserved for a step; False if `before` stands no more, or the step's place is taken.

        A second sending of the same write finds its own outcome, and is no conflict.
        """
        is_mine, values = _is_reserved(after, "new")
        stands = "attribute_not_exists(pk)"
        if before is not None:
            stands, theirs = _is_reserved(before, "old")
            values |= theirs
        put = {
            "Item": {**_spent_key(ref, step), **_reserved(after)},
            "ConditionExpression": f"({stands}) OR ({is_mine})",
            "ExpressionAttributeValues": values,
        }
        is_open = {
            "Key": step_key(ref, step),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        try:
            self._table.transact({"Put": put}, {"ConditionCheck": is_open})
        except Refused:
            return False
        return True

    def _intent(self, ref: TaskRef, item: Item) -> Intent:
        begun = Intent(
            item["attempt_id"]["S"],
            call_id=item["call_id"]["S"] if "call_id" in item else "",
            dies_at_ms=int(item["dies_at"]["N"]) if "dies_at" in item else 0,
        )
        if "v" not in item:
            return begun
        result = self._bodies.read(ref, item)
        return replace(begun, result=result["result"], ok=result["ok"])


def _effect_key(ref: TaskRef, step: int, idempotency_key: str) -> Item:
    return key(keys.task_key(ref), keys.effect_sort_key(step, idempotency_key))


def _spent_key(ref: TaskRef, step: int) -> Item:
    return key(keys.task_key(ref), keys.spent_sort_key(step))


def _reserved(reserved: Reserved) -> Item:
    """Without tokens where there are none, as before tokens were reserved."""
    charge = reserved.charge
    tokens = {"tokens": number(charge.tokens)} if charge.tokens else {}
    return {
        "microusd": number(charge.microusd),
        "attempt_id": {"S": reserved.owner},
        **tokens,
    }


def _is_reserved(reserved: Reserved, called: str) -> tuple[str, Item]:
    """The condition that just this stands, and its values."""
    stored = _reserved(reserved)
    same = [f"{name} = :{called}_{name}" for name in stored]
    if "tokens" not in stored:
        same.append("attribute_not_exists(tokens)")
    return " AND ".join(same), {f":{called}_{name}": value for name, value in stored.items()}


def _plan_key(ref: TaskRef, step: int) -> Item:
    return key(keys.task_key(ref), keys.plan_sort_key(step))


def _began(intent: Intent) -> Item:
    return {
        "attempt_id": {"S": intent.attempt_id},
        "call_id": {"S": intent.call_id},
        "dies_at": number(intent.dies_at_ms),
    }
