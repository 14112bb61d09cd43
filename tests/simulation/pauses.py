"""The books of what the tasks asked people, and what they were told."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import EffectAnswer, InterruptKind
from ratchet.domain.steps import Decision, End, Interrupt, Paused, StepRecord
from tests.simulation.story import Visit

_KEY = re.compile(r"idempotency key (\w+)")


def keys_in(text: str) -> list[str]:
    """The idempotency keys that a question names: what somebody looks for who wants to know."""
    return _KEY.findall(text)


@dataclass(slots=True)
class Question:
    """A question that was asked; `decision` once it is made."""

    ref: TaskRef
    interrupt: Interrupt
    step: int
    decision: Decision | None = None
    visits: tuple[Visit, ...] = ()  # of the people who come

    @property
    def answer(self) -> str | None:
        """What was decided."""
        return None if self.decision is None else self.decision.answer

    @property
    def key(self) -> str | None:
        """Of the call that it is about."""
        return next(iter(keys_in(self.interrupt.question)), None)


class Pauses:
    """What every task asked, in order."""

    def __init__(self, violate: Callable[[str], None]) -> None:
        self.questions: dict[str, Question] = {}
        self.on_asked: Callable[[Question], None] = _nobody
        self.on_decided: Callable[[TaskRef, Interrupt, Decision], None] = _nothing
        self.lied_to: set[TaskRef] = set()  # tasks whose records may be wrong, because somebody was
        self._violate = violate

    def added(self, ref: TaskRef, before: StepRecord | None, record: StepRecord) -> None:
        """A record was added: only a decision or an end follows a pause, and a decision follows only a pause."""
        asked = before.next if before is not None and isinstance(before.next, Paused) else None
        decision = record.result.decision
        if asked is None:
            if decision is not None:
                self._violate(f"I7: {ref.task_id} was decided when it asked nothing")
        elif decision is not None:
            self._decided(ref, asked, decision, record)
        elif not isinstance(record.next, End):
            self._violate(f"I7: {ref.task_id} went on without an answer")
        if isinstance(record.next, Paused):
            self._asks(ref, record.next, record.number)

    def about(self, ref: TaskRef, key: str) -> Question | None:
        """The question that was asked about that call."""
        return next((q for q in self.questions.values() if q.ref == ref and q.key == key), None)

    def _decided(self, ref: TaskRef, asked: Paused, decision: Decision, record: StepRecord) -> None:
        open_ = {interrupt.id: interrupt for interrupt in asked.interrupts}
        interrupt = open_.pop(decision.interrupt_id, None)
        question = self.questions.get(decision.interrupt_id)
        if interrupt is None or question is None or question.decision is not None:
            self._violate(f"I7: {decision.interrupt_id} of {ref.task_id} was decided twice")
            return
        question.decision = decision
        self.on_decided(ref, interrupt, decision)
        if decision.is_expiry:
            if record.finished_at_ms < interrupt.expires_at_ms or is_effect(interrupt):
                self._violate(f"I7: {interrupt.id} of {ref.task_id} was closed too early")
        elif interrupt.choices and decision.answer not in interrupt.choices:
            self._violate(f"I7: {ref.task_id} took {decision.answer!r} for an answer")
        left = record.next.interrupts if isinstance(record.next, Paused) else ()
        is_over = isinstance(record.next, End)
        if is_over != (is_effect(interrupt) and decision.answer == EffectAnswer.ABORT):
            self._violate(f"I7: {ref.task_id} did not do what {decision.answer!r} says")
        elif not is_over and {i.id for i in left} != set(open_):
            self._violate(f"I7: {ref.task_id} has lost a question, or asks it again")

    def _asks(self, ref: TaskRef, paused: Paused, number: int) -> None:
        if not paused.interrupts:
            self._violate(f"I7: {ref.task_id} waits, and asks nothing")
        for interrupt in paused.interrupts:
            if interrupt.id not in self.questions:
                question = Question(ref, interrupt, number)
                self.questions[interrupt.id] = question
                self.on_asked(question)
            elif self.questions[interrupt.id].decision is not None:
                self._violate(f"I7: {ref.task_id} asks {interrupt.id} again")


def is_effect(interrupt: Interrupt) -> bool:
    """Whether it asks what became of a call."""
    return interrupt.kind is InterruptKind.EFFECT_UNKNOWN


def _nobody(_: Question) -> None: ...


def _nothing(_ref: TaskRef, _about: Interrupt, _decision: Decision) -> None: ...
