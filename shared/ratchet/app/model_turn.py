"""One step's conversation with a model: failover along the route, repairs of bad output, then escalation."""

from collections.abc import Callable
from dataclasses import dataclass

from ratchet.app.answer_check import Accepted, Repair, check_answer
from ratchet.app.lost_attempts import dearest_call
from ratchet.app.second_opinion import LOW, doubt
from ratchet.app.spending import Sending, Spending
from ratchet.contracts.errors import (
    AttemptSuperseded,
    ContextOverflow,
    LimitReached,
    ModelError,
    ModelOutputInvalid,
    ModelRefused,
    ModelThrottled,
    ModelUnavailable,
)
from ratchet.contracts.limits import MAX_REPAIRS, TIME_RESERVE_SECONDS
from ratchet.contracts.messages import Route
from ratchet.contracts.names import StepType
from ratchet.domain.agent import Agent
from ratchet.domain.budget import MONEY
from ratchet.domain.escalation import Escalate
from ratchet.domain.messages import Message
from ratchet.domain.models import ModelCatalogue
from ratchet.domain.prompt import Prompt
from ratchet.domain.sticky_route import Stay
from ratchet.domain.task import Task
from ratchet.model_ports import ChatModel, ModelAnswer, ModelCall
from ratchet.observability import logger

MIN_CALL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ModelTurn:
    """Gets one usable answer for a step."""

    chat: ChatModel
    models: ModelCatalogue
    agent: Agent
    task: Task
    route: Route
    spending: Spending
    remaining_seconds: Callable[[], float]
    place: str = ""
    is_wanted: Callable[[], bool] | None = None
    escalate: Escalate | None = None
    stay: Stay | None = None

    def run(self, prompt: Prompt, type_: StepType) -> Accepted:
        """Ask until an answer is usable.

        Raises:
            ModelOutputInvalid, ModelRefused, LimitReached: the task cannot go on.
            ModelThrottled, ModelUnavailable: every model of the route is out; wait and try again.
            ModelRejected, ContextOverflow: the last model of the route refuses the call for good.
            AttemptSuperseded: another attempt is at work, or the task does not wait for this step any more.
        """
        problem = ""
        for models, how in self._tries():
            answer = self._ask(models, prompt, how)
            verdict = check_answer(answer, self.agent, type_)
            if isinstance(verdict, Accepted):
                return self._surer(
                    verdict, prompt, type_, escalated=self.spending.model in self._escalation()
                )
            problem = verdict.problem
            logger.info("model output refused", extra={"model": self.spending.model})
            prompt = prompt.with_messages(_feedback(answer, verdict))
        raise ModelOutputInvalid(
            f"the answers of {', '.join(self._all_models())} stayed unusable; the last problem: {problem}"
        )

    def _models(self) -> tuple[str, ...]:
        if self.task.model is not None:
            return (self.task.model,)
        staying = () if self.stay is None else (self.stay.model,)
        return (*staying, *(model for model in self.route.models if model not in staying))

    def _escalation(self) -> tuple[str, ...]:
        return self.route.escalation if self.task.model is None else ()

    def count_lost(self, prompt: Prompt) -> None:
        """Count the first call of an attempt before this one that nobody has heard of since."""
        reservation = self.spending.reservation
        if reservation.follows_lost and not reservation.others:
            reservation.others = dearest_call(
                self.models,
                (*self._tries()[0][0], *self._cheaper()),
                self.task,
                self.spending.totals,
                input_tokens=prompt.estimated_tokens(),
            )

    def _cheaper(self) -> tuple[str, ...]:
        """Whom to ask when the budget does not pay for the models of a try."""
        if self.task.model is not None:
            return ()
        own = self._models() if self.escalate is not None else ()
        return (*own, *self.route.cheaper)

    def _tries(self) -> list[tuple[tuple[str, ...], str]]:
        models, why = self._models(), ""
        if self.escalate is not None and self._escalation():
            models, why = self._escalation(), f"escalated: {self.escalate.reason}"
        tries = [(models, why)]
        tries += [(models, f"repair {n}") for n in range(1, MAX_REPAIRS + 1)]
        if self._escalation() and models != self._escalation():
            tries.append((self._escalation(), "escalated after unusable answers"))
        return tries

    def _all_models(self) -> tuple[str, ...]:
        return (*self._models(), *self._escalation())

    def _surer(
        self, accepted: Accepted, prompt: Prompt, type_: StepType, *, escalated: bool
    ) -> Accepted:
        """The answer, or the complex route's in its place when the agent's check has low confidence in it."""
        doubted = doubt(self.agent, type_, accepted)
        if doubted is None:
            return accepted
        spending = self.spending
        before = (spending.model, spending.reason, spending.is_cached)
        if doubted == LOW and self._escalation() and not escalated and self.escalate is None:
            try:
                how = f"escalated: {LOW} in the answer of {spending.model}"
                better = check_answer(self._ask(self._escalation(), prompt, how), self.agent, type_)
                if isinstance(better, Accepted):
                    return better
                doubted = f"{LOW}, but the complex route gave no usable answer"
            except (ModelError, ModelRefused, LimitReached) as exc:
                # An answer in hand is worth more than none.
                doubted = f"{LOW}, but the complex route gave no answer: {exc.code}"
        spending.model, why, spending.is_cached = before
        spending.reason = f"{why}; {doubted}"
        return accepted

    def _ask(self, models: tuple[str, ...], prompt: Prompt, how: str) -> ModelAnswer:
        """The first answer along the route; when the budget takes none of its models, along the cheaper one."""
        errors: list[ModelError] = []
        too_dear: LimitReached | None = None
        for model in dict.fromkeys((*models, *self._cheaper())):
            if model not in models and (errors or too_dear is None):
                break  # an outage is waited out, not answered with a lesser model
            try:
                answer = self._complete(model, prompt, is_last=model == models[-1])
            except ModelError as exc:
                errors.append(exc)
                logger.warning("model call failed", extra={"model": model, "error": exc.code})
                continue
            except LimitReached as exc:
                if exc.limit not in MONEY:
                    raise
                too_dear = too_dear or exc
                continue
            if answer.is_cached:
                self.spending.reuse(self.models.spec(model))
            else:
                self.spending.add(self.models.spec(model), answer.usage)
            reason = self._reason(model, models, how, too_dear)
            self.spending.reason = reason + _where(answer)
            return answer
        if errors or too_dear is None:
            raise _most_hopeful(errors)
        raise too_dear

    def _complete(self, model: str, prompt: Prompt, *, is_last: bool) -> ModelAnswer:
        sending = Sending(
            self.spending, self.task, self.models.spec(model), prompt.estimated_tokens()
        )
        seconds = self.remaining_seconds() - TIME_RESERVE_SECONDS
        output = sending.cover()
        if seconds < MIN_CALL_SECONDS:
            raise ModelUnavailable(
                "too little of this invocation is left for a model call", may_have_spent=False
            )
        call = ModelCall(
            model,
            prompt,
            output,
            seconds,
            sticky_key=self.task.ref.task_id,
            place=self.place,
            is_last=is_last,
            again=sending.again,
            is_wanted=self.is_wanted,
        )
        try:
            return self.chat.complete(call)
        except ModelError as exc:
            if exc.may_have_spent:
                sending.lose()
            raise
        except AttemptSuperseded:  # the call was given up under way
            sending.lose()
            raise

    def _reason(
        self, model: str, models: tuple[str, ...], how: str, too_dear: LimitReached | None
    ) -> str:
        place = "preferred" if model == models[0] else f"failover from {models[0]}"
        if too_dear is not None:
            place = f"cheaper than {models[0]}, which the rest of {too_dear.limit} does not pay for"
        place = place if self.task.model is None else "task's own model"
        if self.stay is not None and model == self.stay.model == models[0]:
            place = self.stay.reason
        return f"{place}; {how}" if how else place


def _where(answer: ModelAnswer) -> str:
    """Which deployment answered, and which ones could not."""
    if not answer.deployment:
        return ""
    instead = f" instead of {', '.join(answer.passed_over)}" if answer.passed_over else ""
    return f"; by {answer.deployment}{instead}"


def _feedback(answer: ModelAnswer, repair: Repair) -> tuple[Message, ...]:
    """The refused answer and what is wrong with it, in the form that chat completions demand."""
    said = Message("assistant", answer.content, answer.tool_calls)
    if not answer.tool_calls:
        return (said, Message("user", f"[ratchet:repair] {repair.problem}"))
    replies = [
        Message("tool", repair.by_call.get(call.id, "not run: see the other call"), (), call.id)
        for call in answer.tool_calls
    ]
    return (said, *replies)


def _most_hopeful(errors: list[ModelError]) -> ModelError:
    """One that may pass outweighs one that a shorter prompt mends, and that one what nothing mends.

    Of those that may pass, one that holds a place in a quota has a time at which it will.
    """
    passing = [error for error in errors if is_worth_waiting(error)]
    passing.sort(key=lambda error: not (isinstance(error, ModelThrottled) and error.place))
    overflows = [error for error in errors if isinstance(error, ContextOverflow)]
    return (passing or overflows or errors[-1:])[0]


def is_worth_waiting(error: ModelError) -> bool:
    """Whether the same call may succeed later."""
    return isinstance(error, ModelThrottled | ModelUnavailable)
