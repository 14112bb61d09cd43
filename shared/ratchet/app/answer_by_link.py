"""Answer a question by a signed link: looking changes nothing, and the first answer counts, wherever it came from."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from ratchet.app.decide_interrupt import DecideInterrupt
from ratchet.app.decision_links import DecisionLinks, Grant
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.names import ApprovalAnswer, InterruptKind
from ratchet.contracts.request_errors import InterruptDecided, InterruptExpired, InterruptNotFound
from ratchet.domain.identifiers import is_task_id
from ratchet.domain.steps import Interrupt, Paused, StepRecord
from ratchet.domain.task import History
from ratchet.ports import CheckpointStore, Clock

BY_LINK = "link"
"""Who decided, as records name it: whoever held the link."""


class LinkState(StrEnum):
    """What has become of the question that a link is about."""

    OPEN = "open"
    DECIDED = "decided"
    CLOSED = "closed"
    """Nobody answered in time, or the task has ended since."""


@dataclass(frozen=True, slots=True)
class LinkView:
    """What a link's page shows. Of a closed question it shows nothing."""

    state: LinkState
    task_id: str
    answer: str = ""
    """The one that the link stands for."""
    interrupt: Interrupt | None = None
    decided: str = ""
    decided_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class AnswerByLink:
    """The use cases of `GET` and `POST /v1/links/{token}`. `admit` counts a request against its tenant's rate."""

    store: CheckpointStore
    decide: DecideInterrupt
    links: DecisionLinks
    clock: Clock
    admit: Callable[[str], None] = lambda _tenant: None

    def look(self, token: str) -> LinkView | None:
        """The question and the link's answer to it; None if there is no such link.

        Raises:
            TooManyRequests: the tenant's rate is used up.
            StoreUnavailable: open it again.
        """
        grant = self._grant(token)
        return None if grant is None else self._view(grant)

    def answer(self, token: str) -> LinkView | None:
        """Give the link's answer, unless the question has one; None if there is no such link.

        Raises:
            TooManyRequests: the tenant's rate is used up.
            StoreUnavailable: send it again.
        """
        grant = self._grant(token)
        view = None if grant is None else self._view(grant)
        if grant is None or view is None or view.state is not LinkState.OPEN:
            return view
        with suppress(InterruptDecided, InterruptExpired, InterruptNotFound):
            # Where somebody is faster, what they said is shown.
            self.decide(grant.task, grant.interrupt_id, _request(view), by=BY_LINK)
        return self._view(grant)

    def _grant(self, token: str) -> Grant | None:
        grant = self.links.read(token)
        if grant is None or not is_task_id(grant.task.task_id):
            return None
        self.admit(grant.task.tenant)
        return grant

    def _view(self, grant: Grant) -> LinkView | None:
        closed = LinkView(LinkState.CLOSED, grant.task.task_id)
        if self.clock.now_ms() >= grant.expires_at_ms:
            return closed
        history = self.store.load(grant.task)
        interrupt = None if history is None else _asked(history, grant.interrupt_id)
        if history is None or interrupt is None or not grant.is_for(interrupt):
            return None
        answer = interrupt.choices[grant.choice]
        made = _decision(history, interrupt)
        if made is not None and made.result.decision is not None:
            decided = made.result.decision.answer
            at_ms = made.finished_at_ms
            return LinkView(
                LinkState.DECIDED, grant.task.task_id, answer, interrupt, decided, at_ms
            )
        following = history.next
        if not isinstance(following, Paused) or interrupt not in following.interrupts:
            return closed
        return LinkView(LinkState.OPEN, grant.task.task_id, answer, interrupt)


def _asked(history: History, interrupt_id: str) -> Interrupt | None:
    asked = (r.next.interrupts for r in history.records if isinstance(r.next, Paused))
    return next((i for several in asked for i in several if i.id == interrupt_id), None)


def _decision(history: History, interrupt: Interrupt) -> StepRecord | None:
    for record in history.records:
        made = record.result.decision
        if made is not None and made.interrupt_id == interrupt.id and not made.is_expiry:
            return record
    return None


def _request(view: LinkView) -> DecisionRequest:
    interrupt = view.interrupt
    if interrupt is not None and interrupt.kind is InterruptKind.APPROVAL:
        approves = view.answer == ApprovalAnswer.APPROVE
        return DecisionRequest(decision="approve" if approves else "reject")
    return DecisionRequest(decision="answer", answer=view.answer)
