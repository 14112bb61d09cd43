"""Step Functions: Lambda tasks run in the sandboxes, and Lambda errors have their AWS names."""

import json
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.asl.component.state.exec.state_task import (
    lambda_eval_utils,
    state_task_lambda,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_lambda import (
    StateTaskServiceLambda,
)

from ratchet.local.functions.model import FunctionNotFound, Throttled
from ratchet.local.json_types import Json, JsonObject
from ratchet.local.patches.patch import Patch
from ratchet.local.runtime import current


def install() -> list[Patch]:
    """Installs the patches of this module."""
    call = Patch("sfn-lambda-call", "moto would call its own Lambda over HTTP, with a new client")
    call.replace(lambda_eval_utils, "_invoke_lambda_function", _invoke)
    names = Patch("sfn-lambda-errors", "client errors of a plain ARN task are called 'Exception'")
    original = state_task_lambda.StateTaskLambda._from_error

    def from_error(self: Any, env: Any, ex: Exception) -> Any:
        return (
            _client_error_event(env, ex) if isinstance(ex, ClientError) else original(self, env, ex)
        )

    names.replace(state_task_lambda.StateTaskLambda, "_from_error", from_error)
    return [call, names]


def _invoke(parameters: JsonObject, **_: Any) -> JsonObject:
    payload = parameters.get("Payload") or b"{}"
    if isinstance(payload, str):
        payload = payload.encode()
    reference, functions = parameters["FunctionName"], current().functions
    qualifier = parameters.get("Qualifier")
    if parameters.get("InvocationType") == "Event":
        functions.invoke_later(reference, payload, qualifier=qualifier)
        return {"StatusCode": 202, "Payload": "", **_metadata(str(uuid4()), 202)}
    try:
        invocation = functions.invoke(reference, payload, qualifier=qualifier)
    except FunctionNotFound as exc:
        message = f"Function not found: {reference}"
        raise _client_error(404, "ResourceNotFoundException", message) from exc
    except Throttled as exc:
        raise _client_error(429, "TooManyRequestsException", "Rate Exceeded.") from exc
    response = {
        "StatusCode": 200,
        "ExecutedVersion": "$LATEST",
        "Payload": _decoded(invocation.result),
        **_metadata(invocation.id, 200),
    }
    if invocation.function_error:
        response["FunctionError"] = invocation.function_error
    return response


def _metadata(request_id: str, status: int) -> JsonObject:
    return {
        "SdkHttpMetadata": {"HttpStatusCode": status},
        "SdkResponseMetadata": {"RequestId": request_id},
    }


def _decoded(result: bytes) -> Json:
    try:
        return json.loads(result)
    except ValueError:
        return result.decode("utf-8", "replace")


def _client_error(status: int, code: str, message: str) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": str(uuid4()),
                "HostId": "",
                "HTTPHeaders": {},
                "RetryAttempts": 0,
            },
        },
        "Invoke",
    )


def _client_error_event(env: Any, error: ClientError) -> Any:
    name, cause = StateTaskServiceLambda._error_cause_from_client_error(error)
    details = state_task_lambda.LambdaFunctionFailedEventDetails(error=name, cause=cause)
    return state_task_lambda.FailureEvent(
        env=env,
        error_name=state_task_lambda.CustomErrorName(name),
        event_type=state_task_lambda.HistoryEventType.LambdaFunctionFailed,
        event_details=state_task_lambda.EventDetails(lambdaFunctionFailedEventDetails=details),
    )
