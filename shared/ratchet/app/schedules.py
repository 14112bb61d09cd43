"""Make, read and delete schedules.

The record comes first, then EventBridge: a schedule that fires has a record. Deleting goes the other way round. Where
that breaks off, the same request goes on, and a firing without a record ends its own timer (`run_schedule`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ratchet.app.cursors import Cursors, Listing
from ratchet.app.submit_task import SubmitTask
from ratchet.contracts import limits
from ratchet.contracts.errors import RatchetError
from ratchet.contracts.request_errors import (
    IdempotencyKeyReused,
    InvalidRequest,
    ScheduleNotFound,
    TooManySchedules,
)
from ratchet.contracts.schedule_api import ScheduleRequest
from ratchet.domain.keys import is_schedule_id
from ratchet.domain.rfc3339 import milliseconds
from ratchet.domain.schedule import Schedule, Timing
from ratchet.observability import logger
from ratchet.ports import IdempotencyClaim
from ratchet.schedule_ports import ScheduleCreated, ScheduleStore, Timers


@dataclass(frozen=True, slots=True)
class Schedules:
    """The use cases of `/v1/schedules`."""

    store: ScheduleStore
    timers: Timers
    submit: SubmitTask
    cursors: Cursors

    def create(
        self, request: ScheduleRequest, *, tenant: str, idempotency_key: str | None = None
    ) -> tuple[Schedule, bool]:
        """Make a schedule, or finish and find the one that the same key and body made; whether it is that one.

        Raises:
            UnknownAgent, ModelNotPriced, InvalidRequest: the schedule, or its task, cannot be carried out.
            TenantSuspended: nothing of this tenant may begin.
            TooManySchedules: the tenant has as many as it may.
            IdempotencyKeyReused: the key came with another body before, or what it made is deleted.
            StoreUnavailable: nothing was promised; send the same request again.
        """
        task = self.submit.check(request.task, tenant)
        content = request.model_dump_json(exclude_none=True)
        claim = self.submit.claim(idempotency_key, content, kind="schedule")
        timing = _timing(request)
        known = None if claim is None else self.store.created_by(tenant, claim)
        if known is None:
            timing.check(now_ms=self._now_ms)
            self._check_room(tenant)
            schedule = Schedule(
                tenant,
                "schedule_" + task.ref.task_id.removeprefix("task_"),
                self._now_ms,
                timing,
                request.task.model_dump_json(exclude_none=True),
                name=request.name,
                agent=request.task.agent,
                user_id=request.task.user_id,
            )
            known = self.store.create(schedule, claim)
        return self._armed(known, claim), known.is_replay

    def read(self, tenant: str, schedule_id: str) -> Schedule:
        """One schedule.

        Raises:
            ScheduleNotFound: this tenant has no such schedule.
        """
        found = self.store.schedule(tenant, schedule_id) if is_schedule_id(schedule_id) else None
        if found is None:
            raise _unknown(schedule_id)
        return found

    def list(
        self, tenant: str, *, limit: int, cursor: str | None
    ) -> tuple[Sequence[Schedule], str | None]:
        """The tenant's schedules, newest first, and the cursor of the next page.

        Raises:
            InvalidRequest: the cursor is not one of this list.
        """
        listing = Listing(tenant, "schedules")
        after = None if cursor is None else self.cursors.read(listing, cursor)
        page = self.store.list(tenant, limit=limit, after=after)
        following = None if page.after is None else self.cursors.write(listing, page.after)
        return page.schedules, following

    def delete(self, tenant: str, schedule_id: str) -> None:
        """Let it run no more. Tasks that it has submitted go on; deleting it again does nothing.

        Raises:
            ScheduleNotFound: this tenant never had such a schedule, or deleted it long ago.
        """
        try:
            schedule = self.read(tenant, schedule_id)
        except ScheduleNotFound:
            if is_schedule_id(schedule_id) and self.store.was_deleted(tenant, schedule_id):
                return
            raise
        self._remove(schedule)

    def delete_of_user(self, tenant: str, user_id: str) -> int:
        """Delete what was scheduled for a user; how many schedules that were."""
        count, after = 0, None
        while True:
            page = self.store.list(tenant, limit=limits.MAX_PAGE_SIZE, after=after)
            for schedule in page.schedules:
                if schedule.user_id == user_id:
                    self._remove(schedule)
                    count += 1
            if (after := page.after) is None:
                return count

    def _remove(self, schedule: Schedule) -> None:
        self.timers.clear(schedule.tenant, schedule.schedule_id)
        self.store.delete(schedule, kept_seconds=limits.IDEMPOTENCY_RETENTION_SECONDS)
        logger.info("schedule deleted", extra={"schedule_id": schedule.schedule_id})

    @property
    def now_ms(self) -> int:
        """The time by which schedules are shown."""
        return self._now_ms

    @property
    def _now_ms(self) -> int:
        return self.submit.clock.now_ms()

    def _check_room(self, tenant: str) -> None:
        count, after, now_ms = 0, None, self._now_ms
        while True:
            page = self.store.list(tenant, limit=limits.MAX_PAGE_SIZE, after=after)
            count += sum(not s.is_over(now_ms=now_ms) for s in page.schedules)
            if count >= limits.MAX_SCHEDULES:
                raise TooManySchedules(
                    f"a tenant may have {limits.MAX_SCHEDULES} schedules that have not ended; delete one first"
                )
            if (after := page.after) is None:
                return

    def _armed(self, created: ScheduleCreated, claim: IdempotencyClaim | None) -> Schedule:
        """What was created, once EventBridge has it too."""
        if claim is not None and created.is_replay and created.body_sha256 != claim.body_sha256:
            raise IdempotencyKeyReused(
                "this Idempotency-Key came with another schedule before; use a new key for a new schedule"
            )
        schedule = created.schedule
        if schedule is None:
            raise IdempotencyKeyReused(
                "the schedule that this Idempotency-Key made is deleted; use a new key for a new schedule"
            )
        if schedule.is_armed:
            return schedule
        try:
            schedule.timing.check(now_ms=self._now_ms)
            self.timers.set(schedule)
        except InvalidRequest:
            self.store.delete(schedule, claim=claim)
            raise
        except RatchetError:
            if claim is None:  # nobody can ask for this one again
                self._forget(schedule)
            raise
        if not self.store.mark_armed(schedule.tenant, schedule.schedule_id):
            self.timers.clear(schedule.tenant, schedule.schedule_id)
            raise _unknown(schedule.schedule_id)
        return replace(schedule, is_armed=True)

    def _forget(self, schedule: Schedule) -> None:
        """Best effort: what stays is shown as `creating`, and can be deleted."""
        try:
            self.store.delete(schedule)
        except RatchetError as exc:
            logger.warning("schedule not made and not forgotten", extra={"error": exc.code})


def _timing(request: ScheduleRequest) -> Timing:
    """Whole seconds; the grammar is checked, the clock is not."""
    moments = (request.start_at, request.end_at)
    start_ms, end_ms = (
        None if moment is None else milliseconds(moment) // 1000 * 1000 for moment in moments
    )
    return Timing(request.schedule_expression, request.timezone, start_ms, end_ms)


def _unknown(schedule_id: str) -> ScheduleNotFound:
    return ScheduleNotFound(f"there is no schedule {schedule_id[:64]!r} of yours (any more)")
