"""Every error that Ratchet raises on purpose. The class says what happens next.

    RatchetError
    |-- RequestError              answered to the caller as problem+json: see request_errors.py
    |-- RequestError              answered to the caller as problem+json (RFC 9457); more in memory_errors.py
    |   |-- InvalidRequest            400 invalid_request
    |   |-- UnknownAgent              400 unknown_agent
    |   |-- ModelNotPriced            400 unpriced_model
    |   |-- BadCredentials            401 unauthorized
    |   |-- ScopeMissing              403 insufficient_scope
    |   |-- TenantSuspended           403 tenant_suspended
    |   |-- AroundTheFront            403 around_the_front
    |   |-- TaskNotFound              404 not_found
    |   |-- KeyNotFound               404 not_found
    |   |-- TaskAlreadyFinished       409 already_finished
    |   |-- TaskNotResumable          409 not_resumable
    |   |-- InterruptNotFound         404 not_found
    |   |-- InterruptDecided          409 already_decided
    |   |-- InterruptExpired          410 interrupt_expired
    |   |-- TaskNotForkable           409 not_forkable
    |   |-- DeliveryNotFound          404 not_found
    |   |-- NothingToDeliver          409 nothing_to_deliver
    |   |-- SessionNotFound           404 not_found
    |   |-- SessionBusy               409 session_busy
    |   |-- BodyTooLarge              413 body_too_large
    |   |-- IdempotencyKeyReused      422 idempotency_key_reused
    |   |-- TooManyRequests           429 rate_limited
    |   `-- ServiceUnavailable        503 unavailable
    |-- RetryableError            Step Functions runs the step again (the class name is the ASL error)
    |   |-- StoreUnavailable          store_unavailable
    |   |-- SecretUnavailable         secret_unavailable
    |   |-- AttemptSuperseded         attempt_superseded
    |   |-- TimeTooShort              time_too_short
    |   `-- AttemptLost               attempt_lost        (it may have spent money: counted)
    |-- ModelError                one model call went wrong; failover, wait, or the task fails
    |   |-- ModelThrottled            model_throttled      (wait)
    |   |-- ModelUnavailable          model_unavailable    (failover, then wait)
    |   |-- ModelRejected             model_rejected       (failover, then fail)
    |   `-- ContextOverflow           context_overflow     (failover, then compact once, then fail)
    |-- UnexpectedError           a bug: its class and its place in the code, without its words
    |-- ServiceRefused            AWS says no for good: permissions, a missing resource, a bad request
    |-- DeliveryFailed            an announcement did not arrive; tried again
    |   `-- ReceiverGone              410: the receiver wants no more; not tried again
    `-- TaskError                 the task ends with this code in its `error`
        |-- ModelOutputInvalid        model_output
        |-- ModelRefused              model_refused
        |-- UnpricedModel             unpriced_model
        |-- AgentMissing              agent_missing
        |-- EffectOutcomeUnknown      effect_outcome_unknown
        |-- DataMissing               data_missing
        |   `-- NewerRelease              upgrade_needed
        |-- LimitReached              max_steps, max_tokens, max_cost_usd (status budget_exceeded)
        |-- DeadlineExceeded          deadline (status timed_out)
        |-- LoopDetected              loop_detected
        `-- ExecutionFailed           execution_failed

No imports beyond the standard library: this module is at the bottom of every dependency chain.
"""

from typing import ClassVar

from ratchet.contracts.names import TaskStatus


class RatchetError(Exception):
    """Base of all; `code` is stable and documented, the message is for people."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False


class UnexpectedError(RatchetError):
    """A bug of ours or of a library; the message is where, since what could hold anything."""

    code = "unexpected"


class RetryableError(RatchetError):
    """The step is run again by the state machine's Retry."""

    retryable = True


class StoreUnavailable(RetryableError):
    """DynamoDB or S3 throttled, timed out or answered 5xx."""

    code = "store_unavailable"


class SessionMoved(StoreUnavailable):
    """Somebody else has changed the session since it was read: read it again."""


class SecretUnavailable(RetryableError):
    """A secret could not be read."""

    code = "secret_unavailable"


class AttemptSuperseded(RetryableError):
    """The step is committed, or another attempt has taken it over: this one must begin no effect."""

    code = "attempt_superseded"


class TimeTooShort(RetryableError):
    """Too little of the Lambda timeout is left to begin a step."""

    code = "time_too_short"


class AttemptLost(RetryableError):
    """The attempt broke off after it may have spent money: the state machine counts it before it runs the step again.

    Every other RetryableError that leaves step_executor says that this attempt spent nothing.
    """

    code = "attempt_lost"


class ModelError(RatchetError):
    """One call to a model did not give an answer. `may_have_spent`: the provider may charge for it all the same."""

    may_have_spent: bool = False


class ModelThrottled(ModelError):
    """429: wait `retry_after_seconds` (None: the provider did not say), then call with `place` if one was given."""

    code, retryable = "model_throttled", True

    def __init__(
        self, message: str, retry_after_seconds: float | None = None, *, place: str = ""
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.place = place


class ModelUnavailable(ModelError):
    """Timeouts, resets, 5xx and unreadable answers: the same call may work later."""

    code, retryable = "model_unavailable", True

    def __init__(self, message: str, *, may_have_spent: bool = True) -> None:
        super().__init__(message)
        self.may_have_spent = may_have_spent


class ModelRejected(ModelError):
    """The provider refuses this call for good: wrong key, no money, unknown model, bad request."""

    code = "model_rejected"


class ContextOverflow(ModelError):
    """The prompt is longer than the model's context window."""

    code = "context_overflow"


class ServiceRefused(RatchetError):
    """AWS refuses the request for good: permissions, a missing resource, or a request that is not valid."""

    code = "service_refused"


class DeliveryFailed(RatchetError):
    """The receiver did not accept the announcement. `retry_after_seconds`: not to be tried before, as it asked."""

    code, retryable = "delivery_failed", True

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ReceiverGone(DeliveryFailed):
    """The receiver asks to be sent nothing more."""

    code, retryable = "receiver_gone", False


class TaskError(RatchetError):
    """Ends the task; `status` is the terminal status it ends with."""

    status: ClassVar[TaskStatus] = TaskStatus.FAILED


class ModelOutputInvalid(TaskError):
    """The model's answers stayed unusable after the repairs and the escalation."""

    code = "model_output"


class ModelRefused(TaskError):
    """The model declined, or the provider's content filter stopped the answer."""

    code = "model_refused"


class UnpricedModel(TaskError):
    """A model without a known price is never called."""

    code = "unpriced_model"


class AgentMissing(TaskError):
    """The task's agent is not in the deployed bundle."""

    code = "agent_missing"


class EffectOutcomeUnknown(TaskError):
    """An unsafe tool call was begun and its outcome is not known; a person must look."""

    code = "effect_outcome_unknown"


class DataMissing(TaskError):
    """A stored body is gone or does not match its hash."""

    code = "data_missing"


class NewerRelease(DataMissing):
    """A stored body was written by a newer release than this code, which nothing but newer code can read.

    A task that is pinned to older code ends so when somebody has answered or resumed it through a newer api.
    """

    code = "upgrade_needed"


class LimitReached(TaskError):
    """A limit of the task is used up; `limit` is its name in the request."""

    code, status = "limit_reached", TaskStatus.BUDGET_EXCEEDED

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class DeadlineExceeded(TaskError):
    """The task ran past `limits.deadline_seconds`."""

    code, status = "deadline", TaskStatus.TIMED_OUT


class LoopDetected(TaskError):
    """The agent kept making calls that kept giving the same results; the task's output is what there is of it."""

    code = "loop_detected"


class ExecutionFailed(TaskError):
    """The state machine gave up on a step after its retries."""

    code = "execution_failed"


def retryable_error_names() -> list[str]:
    """ASL `ErrorEquals` names of our own retryable errors that spent nothing: Step Functions matches the class name."""
    return sorted(cls.__name__ for cls in RetryableError.__subclasses__() if cls is not AttemptLost)
