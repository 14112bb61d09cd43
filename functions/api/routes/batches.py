"""Batches: many tasks at once."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response

from functions.api.current import Routes, use_cases
from functions.api.parameters import IdempotencyKey
from ratchet.contracts.batch_api import BatchRequest, BatchView
from ratchet.contracts.names import API_VERSION

routes = Routes()


@routes.post(
    "/v1/batches",
    status_code=HTTPStatus.ACCEPTED,
    summary="Submit many goals",
    operation_id="submitBatch",
    tags=["batches"],
)
def submit_batch(body: BatchRequest, idempotency_key: IdempotencyKey = None) -> Response[BatchView]:
    """Accept all goals or none; the answer names the batch to poll, and its tasks."""
    caller = routes.caller
    body = body.model_copy(update={"tasks": [caller.acting(task) for task in body.tasks]})
    created = use_cases().submit_batch(body, tenant=caller.tenant, idempotency_key=idempotency_key)
    headers = {"Location": f"/{API_VERSION}/batches/{created.batch.batch_id}"}
    if created.is_replay:
        headers["Idempotent-Replay"] = "true"
    view = use_cases().read_batch.view(created.batch)
    return Response(
        HTTPStatus.ACCEPTED, content_type="application/json", body=view, headers=headers
    )


@routes.get(
    "/v1/batches/<batch_id>", summary="Read a batch", operation_id="getBatch", tags=["batches"]
)
def get_batch(batch_id: str) -> BatchView:
    """How many of its tasks have each status, what they cost, and each of them."""
    return use_cases().read_batch(routes.tenant, batch_id)
