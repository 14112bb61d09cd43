"""What a step returns instead of holding a sandbox: how long the state machine waits before the next attempt."""

from dataclasses import dataclass, replace

from ratchet.admission_ports import Throttles
from ratchet.app.model_turn import is_worth_waiting
from ratchet.contracts.errors import ModelError, ModelThrottled, StoreUnavailable
from ratchet.contracts.limits import SUSPENDED_LOOK_SECONDS, WAITS_PER_EXECUTION
from ratchet.contracts.messages import ExecutionRef, StepInput, StepOutput
from ratchet.contracts.names import Action
from ratchet.domain.backoff import outage_wait_seconds, wait_seconds
from ratchet.domain.task import History
from ratchet.observability import logger


def parked(event: StepInput) -> StepOutput:
    """What the step of a suspended tenant returns: it waits longer and longer, and spends nothing meanwhile.

    Attempts that were counted stay counted: they may have spent money, or begun effects. An execution that is full is
    not rolled over: nobody starts the next one of a suspended tenant.
    """
    step = replace(event.step, waits=event.step.waits + 1)
    seconds = min(2 ** min(step.waits, 20), SUSPENDED_LOOK_SECONDS)
    logger.info("step of a suspended tenant waits", extra={"seconds": seconds})
    return StepOutput(
        event.task,
        Action.WAIT,
        step,
        _counted(event.execution),
        wait_seconds=seconds,
        attempts=event.attempt,
    )


def _counted(execution: ExecutionRef) -> ExecutionRef:
    return replace(execution, waits=execution.waits + 1)


@dataclass(frozen=True, slots=True)
class StepWaits:
    """The waits of one step."""

    event: StepInput
    history: History
    patience_seconds: int
    throttles: Throttles | None

    def for_model(self, error: ModelError) -> StepOutput | None:
        """What to wait for, or None when waiting cannot help any more."""
        if not is_worth_waiting(error):
            return None
        step = self.event.step
        waited, place = step.waited_seconds, ""
        # A throttle passes by itself, so only the task's deadline bounds it; an outage may be a wrong address.
        if isinstance(error, ModelThrottled):
            seconds = wait_seconds(step.waits, retry_after=error.retry_after_seconds)
            place = error.place
            if not place:  # to have one is to wait in line; to get none is one task too many
                self._note_throttled()
        else:
            seconds = outage_wait_seconds(waited)
            waited += seconds
            if waited > self.patience_seconds:
                return None
        logger.info("step waits for a model", extra={"seconds": seconds, "error": error.code})
        return self._after(seconds, waited_seconds=waited, place=place)

    def for_attempt(self, seconds: int) -> StepOutput:
        """Until another attempt at the step is surely dead."""
        logger.info("step waits for an attempt to die", extra={"seconds": seconds})
        return self._after(seconds, waited_seconds=self.event.step.waited_seconds)

    def _note_throttled(self) -> None:
        """Tell admission, where tasks are counted, that the provider has had enough."""
        slot = self.history.state.slot
        if slot is None or self.throttles is None:
            return
        try:
            self.throttles.note_throttled(slot)
        except StoreUnavailable:
            logger.warning("a 429 was not counted")

    def _after(self, seconds: int, *, waited_seconds: int, place: str = "") -> StepOutput:
        step = self.event.step
        again = replace(step, waits=step.waits + 1, waited_seconds=waited_seconds, place=place)
        execution = _counted(self.event.execution)
        # The next execution knows nothing of the patience that an outage has used up; but that bounds its waits.
        is_endless = waited_seconds == step.waited_seconds
        is_full = is_endless and execution.waits >= WAITS_PER_EXECUTION
        action = Action.ROLL_OVER if is_full else Action.WAIT
        return StepOutput(self.event.task, action, again, execution, wait_seconds=seconds)
