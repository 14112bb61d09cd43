"""The invariants of unsafe calls and of questions at the end of a story."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ratchet.contracts.limits import (
    DELIVERY_DELAYS_SECONDS,
    DELIVERY_JITTER_PERCENT,
    INTERRUPT_SECONDS,
)
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import EffectAnswer
from ratchet.delivery_log import DeliveryState
from ratchet.domain.delivery import MAX_TRIES
from ratchet.domain.identifiers import event_id
from ratchet.domain.steps import Paused, StepRecord
from ratchet.domain.task import History
from tests.simulation.brain import UNSAFE
from tests.simulation.doors import START_MS
from tests.simulation.ledger import Ledger
from tests.simulation.pauses import keys_in
from tests.simulation.visits import SKEW_MS

if TYPE_CHECKING:
    from tests.simulation.world import World

ASKED = "interrupt.requested"
SLACK_MS = 30 * 60_000  # stalled deliverers, hidden messages and late sweeps between two tries
BEFORE = "[ratchet:effect] called before the task ended: "
HAPPENED = "A person has looked: it happened"


def judge_effects(ledger: Ledger, ref: TaskRef, records: Sequence[StepRecord]) -> None:
    """The records of a task that succeeded, and the world, agree on what happened."""
    told = _told(ledger, ref, records)
    for record in records:
        number = record.number
        puts = sum(run.ok for run in record.result.tool_runs if run.name == "put")
        if puts > len(ledger.acted.get(("put", ref, number), ())):
            ledger.violate(f"I3: step {number} of {ref.task_id} tells of what did not happen")
        acted = sum(len(ledger.acted.get((name, ref, number), ())) for name in UNSAFE)
        if told[number] != acted and ref not in ledger.pauses.lied_to:
            ledger.violate(
                f"I3: the records of {ref.task_id} tell of {told[number]} unsafe effects of step {number}, "
                f"and the world has seen {acted}"
            )


def _told(ledger: Ledger, ref: TaskRef, records: Sequence[StepRecord]) -> Counter[int]:
    """For each step, how many unsafe calls of it the records say have happened, wherever they say so."""
    told: Counter[int] = Counter()
    for record in records:
        told[record.number] += sum(r.ok for r in record.result.tool_runs if r.name in UNSAFE)
        decision = record.result.decision
        if decision is not None and decision.answer == EffectAnswer.HAPPENED:
            told[ledger.pauses.questions[decision.interrupt_id].step] += 1
        for message in record.result.messages:
            text = message.content or ""
            if text.startswith(BEFORE) and ": error: " not in text:
                told[record.number - 1] += 1
            elif HAPPENED in text and message.role == "user":
                told[_step_of(ledger, ref, text) or record.number - 1] += 1
    return told


def _step_of(ledger: Ledger, ref: TaskRef, text: str) -> int | None:
    """The step of the call that a question in this text is about."""
    for question in ledger.pauses.questions.values():
        if question.ref == ref and question.key in keys_in(text):
            return question.step
    return None


def left_unanswered(world: "World", records: Sequence[StepRecord]) -> bool:
    """Whether a task may have ended, with the last of these records, because nobody said what became of a call."""
    asked, end = records[0].next, records[-1]
    if not isinstance(asked, Paused):
        return False
    decision = end.result.decision
    if decision is not None:
        return decision.answer == EffectAnswer.ABORT
    questions = [world.ledger.pauses.questions[i.id] for i in asked.interrupts]
    in_time_ms = INTERRUPT_SECONDS * 1000 - SKEW_MS
    came = all(any(v.after_ms < in_time_ms for v in q.visits) for q in questions)
    return not came and end.finished_at_ms >= asked.expires_at_ms


def judge_questions(ledger: Ledger, world: "World", history: History) -> None:
    """Every question that was open long enough was announced, or given up visibly."""
    ref = history.task.ref
    for record, after in zip(history.records, history.records[1:], strict=False):
        if not isinstance(record.next, Paused):
            continue
        wanted = event_id(ref, ASKED, record.number)
        log = world.store.twin.deliveries(ref, wanted)
        for receiver in ledger.receivers:
            if receiver.channel == "webhook" and history.task.webhook_url is None:
                continue
            state = log.get(receiver.channel, DeliveryState())
            calm_ms = START_MS + max(world.injector.last_fault_ms, receiver.down_until_ms)
            open_ms = after.finished_at_ms - max(record.finished_at_ms, calm_ms)
            is_late = open_ms > SLACK_MS + _wait_ms(state.tries) + world.story.max_skew_ms * 2
            arrived = any(event.id == wanted for event in receiver.arrived)
            if is_late and not arrived and state.tries < MAX_TRIES:
                ledger.violate(f"I8: {ref.task_id} asked, and {receiver.channel} was not told")


def _wait_ms(tries: int) -> int:
    longest = 1000 + 10 * DELIVERY_JITTER_PERCENT
    return DELIVERY_DELAYS_SECONDS[min(tries, MAX_TRIES - 1) - 1] * longest if tries else 0
