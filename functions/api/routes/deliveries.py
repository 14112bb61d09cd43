"""Deliveries: how tasks were announced, and sending an announcement again."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response

from functions.api.current import Routes, use_cases
from functions.api.parameters import Cursor, PageSize
from ratchet.app.delivery_views import dead_view, delivery_view
from ratchet.contracts import limits
from ratchet.contracts.delivery_api import DeadDeliveryListView, DeliveryListView, DeliveryView
from ratchet.contracts.messages import TaskRef
from ratchet.delivery_log import Delivery

routes = Routes()


def _shown(delivery: Delivery) -> DeliveryView:
    return delivery_view(delivery, now_ms=use_cases().deliveries.clock.now_ms())


@routes.get(
    "/v1/deliveries",
    summary="List dead deliveries",
    operation_id="listDeadDeliveries",
    tags=["deliveries"],
)
def list_dead_deliveries(
    limit: PageSize = limits.DEFAULT_PAGE_SIZE, cursor: Cursor = None
) -> DeadDeliveryListView:
    """The announcements that were given up: ten tries failed, or the receiver wants no more."""
    page = use_cases().deliveries.dead(routes.tenant, limit=limit, cursor=cursor)
    return dead_view(*page)


@routes.get(
    "/v1/tasks/<task_id>/deliveries",
    summary="Read how a task was announced",
    operation_id="listDeliveries",
    tags=["deliveries"],
)
def list_deliveries(task_id: str) -> DeliveryListView:
    """Every event's way to SNS and to the webhook, with its tries and what came of them."""
    found = use_cases().deliveries.of_task(TaskRef(routes.tenant, task_id))
    return DeliveryListView(deliveries=[_shown(delivery) for delivery in found])


@routes.post(
    "/v1/tasks/<task_id>/deliveries/<delivery_id>/redeliver",
    status_code=HTTPStatus.ACCEPTED,
    summary="Send an announcement again",
    operation_id="redeliver",
    tags=["deliveries"],
)
def redeliver(task_id: str, delivery_id: str) -> Response[DeliveryView]:
    """The same id and body, ten tries to go, dead or not; a URL that answered 410 is used again."""
    sent = use_cases().deliveries.redeliver(TaskRef(routes.tenant, task_id), delivery_id)
    return Response(HTTPStatus.ACCEPTED, content_type="application/json", body=_shown(sent))
