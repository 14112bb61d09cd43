"""Accept a goal: a new task from the beginning."""

from dataclasses import dataclass, replace

from ratchet.app.cancel_task import CancelTask
from ratchet.app.new_tasks import NewTasks
from ratchet.app.session_lock import SessionLock, place_in
from ratchet.contracts.errors import (
    RatchetError,
    SessionMoved,
    StoreUnavailable,
)
from ratchet.contracts.names import OnConflict
from ratchet.contracts.request_errors import InvalidRequest, SessionBusy
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.session import Move, Session
from ratchet.domain.task import Task
from ratchet.observability import logger
from ratchet.ports import Created, IdempotencyClaim

MAX_RACES = 10
"""Tasks of the same session that may be submitted meanwhile before the caller has to try again."""


@dataclass(frozen=True, slots=True)
class SubmitTask(NewTasks):
    """The use case of `POST /v1/tasks`."""

    cancel: CancelTask | None = None

    def __call__(
        self,
        request: TaskRequest,
        *,
        tenant: str,
        idempotency_key: str | None = None,
        schedule_id: str | None = None,
    ) -> Created:
        """Create the task, or find the one that the same key and body created before.

        Raises:
            UnknownAgent, ModelNotPriced, InvalidRequest: the request cannot be carried out.
            TenantSuspended: nothing of this tenant may begin.
            SessionBusy: it would have to wait for its session and may not, or too many wait there.
            IdempotencyKeyReused: the key came with another body before.
            StoreUnavailable: nothing was promised; send the same request again.
        """
        task = replace(self.check(request, tenant), schedule_id=schedule_id)
        claim = self.claim(idempotency_key, request.model_dump_json(exclude_none=True))
        if request.session_id is None:
            return self._create(task, claim)
        policy = request.on_conflict or OnConflict.ENQUEUE
        return self._join(task, claim, session_id=request.session_id, policy=policy)

    def check(self, request: TaskRequest, tenant: str) -> Task:
        """The task that the request would create now; nothing is written.

        Raises:
            UnknownAgent, ModelNotPriced, InvalidRequest: the request cannot be carried out.
            TenantSuspended: nothing of this tenant may begin.
        """
        self._check_tenant(tenant)
        task = self._fresh(request, tenant)
        if request.on_conflict is not None and request.session_id is None:
            raise InvalidRequest("on_conflict: only a task with a session_id can meet one")
        return task

    def _join(
        self,
        task: Task,
        claim: IdempotencyClaim | None,
        *,
        session_id: str,
        policy: OnConflict,
    ) -> Created:
        """Create the task in its session, as the session is at that moment."""
        for _ in range(MAX_RACES):
            session = self.store.session(task.ref.tenant, session_id)
            try:
                after = session.joined(task.ref.task_id, policy, now_ms=task.created_at_ms)
            except SessionBusy:
                known = None if claim is None else self.store.created_by(task.ref.tenant, claim)
                if known is not None:
                    return self._first_answer(known, claim)
                if SessionLock(self.store, self.clock).settle(session) == session:
                    raise
                continue
            joining = replace(task, session=place_in(after))
            try:
                created = self._create(joining, claim, Move(session, after))
            except SessionMoved:
                continue
            if not created.is_replay:
                self._end_holder(after)
            return created
        raise StoreUnavailable("tasks of this session keep coming; send the same request again")

    def _end_holder(self, session: Session) -> None:
        """End the task in whose place the new one runs. Best effort: the new one's dispatcher does it else."""
        if session.ending is None or session.holder is None or self.cancel is None:
            return
        try:
            self.cancel(session.ref(session.holder))
        except RatchetError as exc:
            details = {"task_id": session.holder, "error": exc.code}
            logger.info("task not interrupted by its successor", extra=details)
