"""A schedule is due: submit its task, once however often EventBridge says so, and note what came of it.

What may go away by itself is raised, and so tried again: a service that does not answer, a tenant that asks too often.
What will not is noted with the schedule and left alone until the next time: a suspended tenant, an agent that is not
deployed any more, a session that may not be waited for.
"""

from dataclasses import dataclass

from pydantic import ValidationError

from ratchet.app.rate_gate import RateGate
from ratchet.app.submit_task import SubmitTask
from ratchet.contracts.firing import Firing
from ratchet.contracts.request_errors import InvalidRequest, RequestError, TooManyRequests
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.schedule import LastRun, Schedule
from ratchet.observability import logger
from ratchet.schedule_ports import ScheduleStore, Timers


@dataclass(frozen=True, slots=True)
class RunSchedule:
    """The use case of `functions/scheduler`."""

    store: ScheduleStore
    timers: Timers
    submit: SubmitTask
    gate: RateGate | None = None

    def __call__(self, firing: Firing) -> str | None:
        """The task that was submitted for it; None if none was, or an earlier try had dealt with it.

        Raises:
            StoreUnavailable, TooManyRequests: not now; the same firing must come again.
        """
        schedule = self.store.schedule(firing.tenant, firing.schedule_id)
        if schedule is None:
            self.timers.clear(firing.tenant, firing.schedule_id)
            logger.info("schedule gone, timer cleared")
            return None
        if schedule.has_run(firing.scheduled_at):
            return None
        run = self._run(schedule, firing)
        self.store.note_run(firing.tenant, firing.schedule_id, run)
        if run.code is not None:
            logger.warning("run of a schedule refused", extra={"error": run.code})
        return run.task_id

    def _run(self, schedule: Schedule, firing: Firing) -> LastRun:
        try:
            if self.gate is not None:
                self.gate(firing.tenant)
            created = self.submit(
                _request(schedule),
                tenant=firing.tenant,
                idempotency_key=firing.idempotency_key,
                schedule_id=schedule.schedule_id,
            )
        except TooManyRequests:
            raise
        except RequestError as exc:
            return LastRun(firing.scheduled_at, code=exc.code, message=str(exc))
        return LastRun(firing.scheduled_at, created.task.ref.task_id)


def _request(schedule: Schedule) -> TaskRequest:
    try:
        return TaskRequest.model_validate_json(schedule.task)
    except ValidationError as exc:  # a release that came after the schedule may not take it
        places = ", ".join(".".join(map(str, error["loc"])) for error in exc.errors())
        raise InvalidRequest(
            f"task: this release does not take {places}; make the schedule anew"
        ) from exc
