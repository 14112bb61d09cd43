"""What the simulation asks of budget warnings: each share of a cap is announced, and once."""

from collections import Counter
from typing import TYPE_CHECKING

from ratchet.contracts.messages import TaskRef
from ratchet.delivery_log import DeliveryState
from ratchet.domain.delivery import MAX_TRIES
from ratchet.domain.identifiers import event_id
from ratchet.domain.steps import StepRecord

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger, Seen
    from tests.simulation.world import World


def ids_of(ref: TaskRef, records: list[StepRecord]) -> list[str]:
    """The ids of the events that these steps call for."""
    return [
        event_id(ref, f"budget.warning.{percent}", record.number)
        for record in records
        if record.warning is not None
        for percent in record.warning.percents
    ]


def judge_warnings(ledger: "Ledger", world: "World", ref: TaskRef, seen: "Seen") -> None:
    """No share of a cap is reached twice; of an ended task each was announced, or given up visibly."""
    shares = Counter(
        (record.warning.limit_microusd, percent)
        for record in seen.warned
        if record.warning is not None
        for percent in record.warning.percents
    )
    if any(times > 1 for times in shares.values()):
        ledger.violate(f"I2: {ref.task_id} has reached a share of its budget twice: {shares}")
    tip = world.store.twin.load_remains(ref)
    if tip is None or not tip.state.status.is_terminal or world.story.robbed_at_ms:
        return
    for wanted in ids_of(ref, seen.warned):
        log = world.store.twin.deliveries(ref, wanted)
        for receiver in ledger.receivers:
            if receiver.channel == "webhook" and tip.task.webhook_url is None:
                continue
            arrived = any(event.id == wanted for event in receiver.arrived)
            tries = log.get(receiver.channel, DeliveryState()).tries
            if not arrived and tries < MAX_TRIES:
                ledger.violate(
                    f"I8: {ref.task_id} has ended without {wanted} on {receiver.channel}"
                )
