"""What InMemoryCheckpoints notes beside the steps: unsafe tool calls and reservations."""

import threading
from collections import defaultdict
from dataclasses import replace

from ratchet.contracts.errors import AttemptSuperseded
from ratchet.contracts.messages import TaskRef
from ratchet.domain import codec, keys
from ratchet.domain.steps import StepPlan
from ratchet.ports import Begun, Intent, Reserved
from ratchet.testing.store_rows import (
    Effect,
    InMemoryPayloads,
    Partition,
    Plan,
    check_size,
    sort_key,
)


class InMemoryLedgers:
    """The effect ledger."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partitions: defaultdict[str, Partition] = defaultdict(Partition)
        self.payloads = InMemoryPayloads()

    def begin_effect(
        self, ref: TaskRef, plan: StepPlan, *, step: int, key: str, intent: Intent
    ) -> Intent:
        """Record the intent of an unsafe call unless there is one; returns the intent that stands."""
        name = sort_key(keys.effect_sort_key(step, key))
        body = self.payloads.write(ref, codec.encode_plan(plan))
        with self._lock:
            partition = self._partitions[keys.task_key(ref)]
            owned = partition.plans.get(step, Plan(plan.owner, body))
            if step in partition.steps or owned.owner != plan.owner:
                raise AttemptSuperseded(f"step {step} of {ref.task_id} is another's")
            effect = partition.effects.get(name)
            if effect is not None:
                return self._intent(effect)
            partition.plans[step] = Plan(plan.owner, body)
            partition.effects[name] = Effect(intent)
            return intent

    def begun_effects(self, ref: TaskRef, *, step: int) -> Begun | None:
        """What attempts at a step have begun, None if nothing."""
        prefix = keys.effect_sort_key(step, "")
        with self._lock:
            partition = self._partitions[keys.task_key(ref)]
            plan = partition.plans.get(step)
            if plan is None:
                return None
            return Begun(
                codec.decode_plan(plan.owner, self.payloads.read(plan.body)),
                {
                    name.removeprefix(prefix): self._intent(effect)
                    for name, effect in partition.effects.items()
                    if name.startswith(prefix)
                },
            )

    def adopt_plan(self, ref: TaskRef, plan: StepPlan, *, step: int, owner: str) -> bool:
        """Make `owner` the plan's: attempts before it begin no more effects and commit none. False if it cannot be."""
        with self._lock:
            partition = self._partitions[keys.task_key(ref)]
            stored = partition.plans.get(step)
            if step in partition.steps or stored is None:
                return False
            if stored.owner not in (plan.owner, owner):
                return False
            stored.owner = owner
            return True

    def retake_effect(
        self, ref: TaskRef, *, step: int, key: str, before: Intent, after: Intent
    ) -> bool:
        """Take over a call that surely has not happened, to make it, as the owner of the step's plan."""
        with self._lock:
            partition = self._partitions[keys.task_key(ref)]
            effect, plan = partition.effects.get(keys.effect_sort_key(step, key)), partition.plans
            if step in partition.steps or step not in plan or plan[step].owner != after.attempt_id:
                return False
            if effect is None or effect.body is not None:
                return False
            if effect.intent.attempt_id not in (before.attempt_id, after.attempt_id):
                return False
            effect.intent = after
            return True

    def end_effect(self, ref: TaskRef, *, step: int, key: str, intent: Intent) -> None:
        """Record the result of an unsafe call."""
        name = sort_key(keys.effect_sort_key(step, key))
        body = self.payloads.write(ref, {"result": intent.result, "ok": intent.ok})
        check_size(body, intent.attempt_id)
        with self._lock:
            effect = self._partitions[keys.task_key(ref)].effects.get(name)
            if effect is None or effect.intent.attempt_id != intent.attempt_id:
                raise AttemptSuperseded(f"call {key} of step {step} is another attempt's")
            effect.body = body

    def reserved(self, ref: TaskRef, *, step: int) -> Reserved | None:
        """What attempts at a step have reserved; None if none had to."""
        with self._lock:
            return self._partitions[keys.task_key(ref)].reserved.get(step)

    def reserve(self, ref: TaskRef, *, step: int, before: Reserved | None, after: Reserved) -> bool:
        """Replace what is reserved for a step; False if `before` stands no more, or the step's place is taken."""
        with self._lock:
            partition = self._partitions[keys.task_key(ref)]
            is_taken = step in partition.steps or step in partition.plans
            if is_taken or partition.reserved.get(step) not in (before, after):
                return False
            partition.reserved[step] = after
            return True

    def _intent(self, effect: Effect) -> Intent:
        if effect.body is None:
            return effect.intent
        result = self.payloads.read(effect.body)
        return replace(effect.intent, result=result["result"], ok=result["ok"])
