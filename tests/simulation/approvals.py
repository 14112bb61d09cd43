"""The books of approved calls: what people let happen, what the agents did, and whether they had to ask first."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import InterruptKind
from ratchet.domain.steps import Decision, End, Interrupt, Paused, StepRecord, StepResult
from ratchet.domain.task import History

ALWAYS = "buy"  # never called without a person's approval
WARY = "mail"  # nor this one, once a page has been read
STRANGE = "page"
EDIT = 500
"""What somebody adds to the argument of a call; it does not change the round that the argument stands for."""

Deed = tuple[str, int]  # a tool and its argument


def deed_of(interrupt: Interrupt) -> Deed:
    """What a question says that the agent wants to do."""
    text = interrupt.question.split(" with ", 1)[1].rsplit(". May it?", 1)[0]
    return interrupt.question.split("'")[1], int(json.loads(text)["n"])


def edited(interrupt: Interrupt) -> dict[str, Any]:
    """The arguments that somebody puts in place of those of the question."""
    text = interrupt.question.split(" with ", 1)[1].rsplit(". May it?", 1)[0]
    arguments: dict[str, Any] = json.loads(text)
    return {**arguments, "n": arguments["n"] + EDIT}


class Approvals:
    """For each task, the calls that people have approved and that were not made yet."""

    def __init__(
        self, violate: Callable[[str], None], history_of: Callable[[TaskRef], History | None]
    ) -> None:
        self._violate = violate
        self._history_of = history_of
        self.open: Counter[tuple[TaskRef, Deed]] = Counter()
        self.granted: Counter[tuple[TaskRef, Deed]] = Counter()

    def decided(self, ref: TaskRef, about: Interrupt, decision: Decision) -> None:
        """Somebody has decided about a call."""
        if about.kind is not InterruptKind.APPROVAL:
            return
        tool, n = deed_of(about)
        if decision.answer == "approve":
            self._grant(ref, (tool, n))
        elif decision.answer == "edit":
            self._grant(ref, (tool, n + EDIT))

    def _grant(self, ref: TaskRef, deed: Deed) -> None:
        self.open[ref, deed] += 1
        self.granted[ref, deed] += 1

    def called(self, name: str, ref: TaskRef, argument: int) -> None:
        """A tool is called: one that needs an approval uses one up, which was for exactly this."""
        if name != ALWAYS and not (name == WARY and self._has_read_strangers(ref)):
            return
        if self.open[ref, (name, argument)] < 1:
            was = "again" if self.granted[ref, (name, argument)] else "without approval"
            self._violate(f"I7: {ref.task_id} called {name}({argument}) {was}")
        self.open[ref, (name, argument)] -= 1

    def judge(self, ref: TaskRef, records: tuple[StepRecord, ...], *, is_steady: bool) -> None:
        """A task that succeeded, and whose agent nobody changed, has made every call that was approved."""
        if not is_steady or _has_ended_before(records) or _has_lost_a_call(records):
            return
        for (of, (name, n)), left in self.open.items():
            if of == ref and left > 0:
                self._violate(f"I7: {ref.task_id} never made the approved call {name}({n})")

    def _has_read_strangers(self, ref: TaskRef) -> bool:
        history = self._history_of(ref)
        return history is not None and any(map(_is_strange, history.results))


def _is_strange(result: StepResult) -> bool:
    return any(run.name == STRANGE for run in result.tool_runs)


def _has_ended_before(records: tuple[StepRecord, ...]) -> bool:
    """An end uses approvals up; whoever resumes the task is asked again."""
    return any(isinstance(record.next, End) for record in records[:-1])


def _has_lost_a_call(records: tuple[StepRecord, ...]) -> bool:
    """After a call whose outcome is not known none is made until the agent has thought about it."""
    asked = (i for r in records if isinstance(r.next, Paused) for i in r.next.interrupts)
    return any(interrupt.kind is InterruptKind.EFFECT_UNKNOWN for interrupt in asked)
