"""Step Functions: request and response casing of service integrations, and Assign literals.

moto took the engine from LocalStack and left both normalisation bodies empty.
"""

from datetime import datetime
from typing import Any

from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_callback,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (
    StateTaskService,
)
from moto.stepfunctions.parser.asl.parse import preprocessor
from moto.stepfunctions.parser.asl.utils import boto_client

from ratchet.local.json_types import Json, JsonObject
from ratchet.local.patches.patch import Patch

_SYNC_POLL_SECONDS = 0.05


def install() -> list[Patch]:
    """Installs the patches of this module."""
    casing = Patch("sfn-casing", "startExecution and sqs get wrongly cased parameters and results")
    casing.replace(StateTaskService, "_normalise_parameters", _normalise_parameters)
    casing.replace(StateTaskService, "_normalise_response", _normalise_response)
    literal = Patch("sfn-assign-literal", "escaped quotes in Assign literals stay escaped")
    literal.replace(
        preprocessor.Preprocessor,
        "visitAssign_template_value_terminal_string_literal",
        _visit_assign_literal,
    )
    polling = Patch("sfn-sync-polling", ".sync looks only twice a second")
    polling.replace(
        state_task_service_callback, "_DELAY_SECONDS_SYNC_CONDITION_CHECK", _SYNC_POLL_SECONDS
    )
    return [casing, literal, polling]


def _normalise_parameters(
    self: Any,
    parameters: JsonObject,
    boto_service_name: str | None = None,
    service_action_name: str | None = None,
) -> None:
    shape = _operation(self, boto_service_name, service_action_name).input_shape
    self._to_boto_request(parameters, shape)


def _normalise_response(
    self: Any,
    response: Json,
    boto_service_name: str | None = None,
    service_action_name: str | None = None,
) -> None:
    shape = _operation(self, boto_service_name, service_action_name).output_shape
    if shape is not None:
        self._from_boto_response(response, shape)
    _plain_dates(response, as_text="aws-sdk" in self.resource.resource_arn)


def _operation(self: Any, service: str | None, action: str | None) -> Any:
    client = boto_client.boto_client_for(service=self._get_boto_service_name(service))
    name = client.meta.method_to_api_mapping[self._get_boto_service_action(action)]
    return client.meta.service_model.operation_model(name)


def _plain_dates(value: Json, *, as_text: bool) -> Json:
    if isinstance(value, dict):
        for key, inner in value.items():
            value[key] = _plain_dates(inner, as_text=as_text)
    elif isinstance(value, list):
        value[:] = [_plain_dates(inner, as_text=as_text) for inner in value]
    elif isinstance(value, datetime):
        if not as_text:
            return int(value.timestamp() * 1000)
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"
    return value


def _visit_assign_literal(_: Any, ctx: Any) -> Any:
    value = preprocessor.from_string_literal(ctx.string_literal())
    return preprocessor.AssignTemplateValueTerminalLit(value=value)
