"""People who look what became of a call, and answer what the tasks ask; and strangers who try to."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import BudgetAnswer, EffectAnswer, InterruptKind
from ratchet.contracts.request_errors import (
    InterruptDecided,
    InterruptExpired,
    InterruptNotFound,
    RequestError,
)
from ratchet.domain.steps import Decision, Paused
from tests.simulation.approvals import edited
from tests.simulation.brain import COLOURS
from tests.simulation.canary import CANARY
from tests.simulation.pauses import Question
from tests.simulation.scheduler import Life
from tests.simulation.story import Act, Says, Trespass

if TYPE_CHECKING:
    from tests.simulation.world import World

STRANGER_AFTER_MS = 1_000
COMES_BACK_MS = 600_000
COMES_BACK = 50
SKEW_MS = 600_000  # the most that two clocks differ

Ask = Callable[[str, Callable[[], Any]], Any]


class Visitors:
    """Whoever comes when a task asks; `coming` are the times at which somebody will."""

    def __init__(self, world: "World", acts: Sequence[Act], ask: Ask) -> None:
        self.coming: list[int] = []
        self._world = world
        self._scheduler = world.scheduler
        self._pauses = world.ledger.pauses
        self._acts = acts
        self._ask = ask
        self._pauses.on_asked = self.called

    def next_ms(self) -> int | None:
        """When somebody comes next."""
        return min(self.coming, default=None)

    def called(self, question: Question) -> None:
        """A task asks something new."""
        question.visits = self._world.story.visits
        for visit in question.visits:
            self._plan(visit.after_ms, partial(self._visit, question, visit.says))
        for act in self._acts:
            if isinstance(act, Trespass):
                ref = TaskRef(act.tenant, question.ref.task_id)
                self._plan(STRANGER_AFTER_MS, partial(self._trespass, ref, question))

    def _plan(self, after_ms: int, visit: Callable[[], None]) -> None:
        at = self._scheduler.now_ms + after_ms
        self.coming.append(at)

        def arrive() -> None:
            self.coming.remove(at)
            self._scheduler.spawn(visit, Life("person"))

        self._scheduler.at(after_ms, arrive)

    def _visit(self, question: Question, says: Says) -> None:
        request = self._request(question, says)
        for _ in range(COMES_BACK):
            if self._is_answered(question, request):
                return
            self._scheduler.sleep(COMES_BACK_MS)

    def _request(self, question: Question, says: Says) -> DecisionRequest:
        """What somebody says; about a call: let it happen, change it, or refuse it."""
        match question.interrupt.kind:
            case InterruptKind.EFFECT_UNKNOWN:
                return DecisionRequest(answer=self._answer(question, says).value)
            case InterruptKind.APPROVAL if says is Says.TRUTH:
                return DecisionRequest(decision="approve")
            case InterruptKind.APPROVAL if says is Says.LIE:
                return DecisionRequest(decision="edit", arguments=edited(question.interrupt))
            case InterruptKind.APPROVAL:
                return DecisionRequest(decision="reject", reason=f"no {CANARY}")
            case InterruptKind.BUDGET:
                return DecisionRequest(answer=BudgetAnswer.FINISH.value)
            case InterruptKind.QUESTION:
                return DecisionRequest(answer=COLOURS[list(Says).index(says)])
            case _ as never:
                assert_never(never)

    def _answer(self, question: Question, says: Says) -> EffectAnswer:
        if says is Says.ABORT:
            return EffectAnswer.ABORT
        if question.key is None:
            raise ValueError(f"nobody can look for this: {question.interrupt.question}")
        has_happened = self._world.ledger.happened(question.ref, question.key)
        if says is Says.LIE:
            self._pauses.lied_to.add(question.ref)
            has_happened = not has_happened
        return EffectAnswer.HAPPENED if has_happened else EffectAnswer.DID_NOT_HAPPEN

    def _is_answered(self, question: Question, request: DecisionRequest) -> bool:
        """Send the answer; whether there was one to it, which must fit the books."""
        world, ref, id_ = self._world, question.ref, question.interrupt.id
        try:
            tip = self._ask("decide", lambda: world.decide(ref, id_, request, by="key:somebody"))
        except InterruptDecided:
            is_right, told = not _is_same(question.decision, request), "taken"
        except InterruptExpired:
            first = question.decision
            is_right = (first is None or first.is_expiry) and self._is_closed(question)
            told = "closed"
        except InterruptNotFound:
            is_right, told = world.ledger.tasks[ref].is_erased, "not there"
        except RequestError as exc:
            is_right, told = False, repr(exc)
        else:
            is_right, told = tip is None or _is_same(question.decision, request), "answered"
            if tip is None:
                return False
        if not is_right:
            world.ledger.violate(
                f"I7: {id_} was said to be {told} for {request!r}, and its answer is {question.decision!r}"
            )
        return True

    def _is_closed(self, question: Question) -> bool:
        last = self._world.ledger.tasks[question.ref].last
        asked = last.next.interrupts if last is not None and isinstance(last.next, Paused) else ()
        is_open = any(interrupt.id == question.interrupt.id for interrupt in asked)
        late_ms = self._world.clock.now_ms() + SKEW_MS - question.interrupt.expires_at_ms
        return not is_open or late_ms >= 0

    def _trespass(self, ref: TaskRef, question: Question) -> None:
        """Nobody of another tenant can answer, or even learn that there is a question."""
        id_ = question.interrupt.id
        request = DecisionRequest(answer=EffectAnswer.HAPPENED.value)
        try:
            found = self._ask("decide", lambda: self._world.decide(ref, id_, request))
        except InterruptNotFound:
            return
        except RequestError as exc:
            found = exc
        if found is not None:
            self._world.ledger.violate(f"I9: {ref.tenant} could answer another tenant's task")


def _is_same(first: Decision | None, request: DecisionRequest) -> bool:
    """Whether what counts is what this request says."""
    if first is None or first.is_expiry:
        return False
    said = request.answer if request.decision == "answer" else request.decision
    arguments = None if first.arguments is None else json.loads(first.arguments)
    return (first.answer, arguments) == (said, request.arguments)
