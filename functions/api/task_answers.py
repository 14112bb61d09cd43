"""Answers that show a task."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response

from functions.api.current import use_cases
from ratchet.app.task_views import task_view
from ratchet.contracts.names import API_VERSION
from ratchet.contracts.task_api import TaskView
from ratchet.domain.task import History
from ratchet.ports import Created


def shown(tip: History) -> TaskView:
    """The task, priced for the functions of this deployment."""
    return task_view(tip, use_cases().sizes)


def accepted(created: Created, wait: int) -> Response[TaskView]:
    """The answer to whoever made a task, or made it before with the same key."""
    ref = created.task.ref
    tip = History(created.task, created.state)
    if wait or created.is_replay:
        tip = use_cases().read.tip(ref, wait_seconds=wait)
    headers = {"Location": f"/{API_VERSION}/tasks/{ref.task_id}"}
    if created.is_replay:
        headers["Idempotent-Replay"] = "true"
    return Response(
        HTTPStatus.ACCEPTED, content_type="application/json", body=shown(tip), headers=headers
    )
