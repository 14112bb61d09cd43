"""EventBridge Scheduler calls when a schedule is due: submits its task."""

from typing import Any

from functions.scheduler.wiring import run_schedule
from ratchet.contracts.firing import Firing
from ratchet.observability import logger
from ratchet.unexpected import without_content


@logger.inject_lambda_context(clear_state=True)
@without_content
def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """One firing; what is raised makes Lambda try it again, and then hand it to the dead letters."""
    firing = Firing.from_event(event)
    logger.append_keys(tenant=firing.tenant, schedule_id=firing.schedule_id)
    task_id = run_schedule()(firing)
    logger.info("schedule fired", extra={"task_id": task_id})
    return {"task_id": task_id}
