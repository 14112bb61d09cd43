"""What callers are told: errors that are answered as problem+json (RFC 9457).

    RequestError
    |-- InvalidRequest            400 invalid_request
    |-- UnknownAgent              400 unknown_agent
    |-- ModelNotPriced            400 unpriced_model
    |-- BadCredentials            401 unauthorized
    |-- ScopeMissing              403 insufficient_scope
    |-- TenantSuspended           403 tenant_suspended
    |-- AroundTheFront            403 around_the_front
    |-- TenantNotErasable         409 not_erasable
    |-- TaskNotFound              404 not_found
    |-- KeyNotFound               404 not_found
    |-- TaskAlreadyFinished       409 already_finished
    |-- TaskNotResumable          409 not_resumable
    |-- InterruptNotFound         404 not_found
    |-- InterruptDecided          409 already_decided
    |-- InterruptExpired          410 interrupt_expired
    |-- TaskNotForkable           409 not_forkable
    |-- DeliveryNotFound          404 not_found
    |-- NothingToDeliver          409 nothing_to_deliver
    |-- SessionNotFound           404 not_found
    |-- SessionBusy               409 session_busy
    |-- BodyTooLarge              413 body_too_large
    |-- IdempotencyKeyReused      422 idempotency_key_reused
    |-- TooManyRequests           429 rate_limited
    |-- MemoryNotFound            404 not_found
    |-- MemoryFull                409 memory_full
    |-- MemoryChanged             412 precondition_failed
    |-- MemoryTooLarge            413 memory_too_large
    |-- ScheduleNotFound          404 not_found
    |-- TooManySchedules          409 too_many_schedules
    `-- ServiceUnavailable        503 unavailable

No imports beyond the standard library and the other errors.
"""

from typing import ClassVar

from ratchet.contracts.errors import RatchetError


class RequestError(RatchetError):
    """The caller can do something about it; `status` is the HTTP status of the answer."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"


class InvalidRequest(RequestError):
    """The request does not fit the published schema."""

    code, status, title = "invalid_request", 400, "The request is not valid"


class UnknownAgent(RequestError):
    """No agent of that name is deployed."""

    code, status, title = "unknown_agent", 400, "No such agent"


class ModelNotPriced(RequestError):
    """A route of the task leads to a model without a price."""

    code, status, title = "unpriced_model", 400, "A model has no price"


class BadCredentials(RequestError):
    """The caller could not be identified."""

    code, status, title = "unauthorized", 401, "Credentials are missing or wrong"


class ScopeMissing(RequestError):
    """The caller is known and may not do this; the message names the scope that is missing."""

    code, status, title = "insufficient_scope", 403, "The credentials do not allow this"


class TenantSuspended(RequestError):
    """The caller's tenant is suspended: nothing of it begins or goes on."""

    code, status, title = "tenant_suspended", 403, "The tenant is suspended"


class AroundTheFront(RequestError):
    """The deployment has a web front, and the request did not come through it."""

    code, status, title = "around_the_front", 403, "This address takes no requests"


class TenantNotErasable(RequestError):
    """Something of the tenant may still be under way."""

    code, status, title = "not_erasable", 409, "The tenant cannot be erased"


class TaskNotFound(RequestError):
    """No such task of this tenant (also the answer for another tenant's task)."""

    code, status, title = "not_found", 404, "Not found"


class KeyNotFound(RequestError):
    """There is no such API key."""

    code, status, title = "not_found", 404, "Not found"


class TaskAlreadyFinished(RequestError):
    """The task has reached a terminal status, which never changes."""

    code, status, title = "already_finished", 409, "The task has already finished"


class TaskNotResumable(RequestError):
    """Only a task that failed, timed out or met a limit can go on."""

    code, status, title = "not_resumable", 409, "The task cannot be resumed"


class TaskNotForkable(RequestError):
    """What the step did is not known, so nothing can go on from it."""

    code, status, title = "not_forkable", 409, "The task cannot be forked there"


class DeliveryNotFound(RequestError):
    """The task has no announcement of that id."""

    code, status, title = "not_found", 404, "No such delivery"


class NothingToDeliver(RequestError):
    """What was announced no longer holds, so it is not announced again."""

    code, status, title = "nothing_to_deliver", 409, "There is nothing to announce any more"


class SessionNotFound(RequestError):
    """No such session of this tenant."""

    code, status, title = "not_found", 404, "Not found"


class SessionBusy(RequestError):
    """A task of the session has not ended; `task_id` is that one's."""

    code, status, title = "session_busy", 409, "A task of the session has not ended"

    def __init__(self, message: str, task_id: str) -> None:
        super().__init__(message)
        self.task_id = task_id


class BodyTooLarge(RequestError):
    """The request body exceeds the limit."""

    code, status, title = "body_too_large", 413, "The request body is too large"


class InterruptNotFound(RequestError):
    """The task never asked that, or does not exist for this tenant."""

    code, status, title = "not_found", 404, "Not found"


class InterruptDecided(RequestError):
    """Somebody has given another answer; the first one counts."""

    code, status, title = "already_decided", 409, "The question has been answered otherwise"


class InterruptExpired(RequestError):
    """Nobody answered in time, or the task ended while it waited."""

    code, status, title = "interrupt_expired", 410, "The question is closed"


class IdempotencyKeyReused(RequestError):
    """The same Idempotency-Key came with another body."""

    code, status, title = "idempotency_key_reused", 422, "Idempotency-Key reused with another body"


class TooManyRequests(RequestError):
    """The tenant's token bucket is empty; `retry_after_seconds` later it is not."""

    code, status, title = "rate_limited", 429, "Too many requests"

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ServiceUnavailable(RequestError):
    """A service that Ratchet stands on did not answer; the same request may be sent again."""

    code, status, title = "unavailable", 503, "Temporarily unavailable"


class MemoryNotFound(RequestError):
    """Nothing is remembered under that key, or not any more."""

    code, status, title = "not_found", 404, "Not found"


class MemoryFull(RequestError):
    """The namespace holds as many memories as one may."""

    code, status, title = "memory_full", 409, "The namespace is full"


class MemoryChanged(RequestError):
    """The memory is not as the request expects it."""

    code, status, title = "precondition_failed", 412, "The memory has changed"


class MemoryTooLarge(RequestError):
    """The value has more bytes than one may."""

    code, status, title = "memory_too_large", 413, "The memory is too large"


class ScheduleNotFound(RequestError):
    """No such schedule of this tenant."""

    code, status, title = "not_found", 404, "Not found"


class TooManySchedules(RequestError):
    """The tenant has as many schedules as one may."""

    code, status, title = "too_many_schedules", 409, "The tenant has too many schedules"
