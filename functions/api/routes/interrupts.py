"""Interrupts: what tasks ask people, and what people decide."""

from functions.api.current import Routes, use_cases
from functions.api.parameters import Cursor, PageSize
from functions.api.task_answers import shown
from ratchet.app.task_views import interrupt_views
from ratchet.contracts import limits
from ratchet.contracts.interrupt_api import DecisionRequest, InterruptListView
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.task_api import TaskView

routes = Routes()


@routes.get(
    "/v1/interrupts", summary="List open questions", operation_id="listInterrupts", tags=["tasks"]
)
def list_interrupts(
    limit: PageSize = limits.DEFAULT_PAGE_SIZE, cursor: Cursor = None
) -> InterruptListView:
    """What your tasks ask people, newest task first; `limit` counts tasks."""
    tips, next_cursor = use_cases().lists.interrupts(routes.tenant, limit=limit, cursor=cursor)
    interrupts = [view for tip in tips for view in interrupt_views(tip)]
    return InterruptListView(interrupts=interrupts, next_cursor=next_cursor)


@routes.post(
    "/v1/tasks/<task_id>/interrupts/<interrupt_id>",
    summary="Answer a question",
    operation_id="decideInterrupt",
    tags=["tasks"],
)
def decide_interrupt(task_id: str, interrupt_id: str, body: DecisionRequest) -> TaskView:
    """The first answer counts; once none is missing, the task goes on."""
    caller = routes.caller
    ref = TaskRef(caller.tenant, task_id)
    return shown(use_cases().decide(ref, interrupt_id, body, by=caller.principal))
