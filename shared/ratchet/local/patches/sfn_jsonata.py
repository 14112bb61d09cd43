"""Step Functions: JSONata, and with it $variables (also in JSONPath machines) and Assign."""

import json
from typing import Any

from moto.stepfunctions.parser.api import EvaluationFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.common.query_language import QueryLanguageMode
from moto.stepfunctions.parser.asl.component.common.string.string_expression import (
    StringJSONata,
    StringVariableSample,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from ratchet.local.json_types import Json, JsonObject
from ratchet.local.patches.jsonata_engine import EvaluationError, UndefinedResultError, evaluate
from ratchet.local.patches.patch import Patch


def install() -> list[Patch]:
    """Installs the patches of this module."""
    patch = Patch("sfn-jsonata", "moto splices values into the expression's text; quotes break it")
    patch.replace(StringJSONata, "_eval_body", _eval_jsonata)
    patch.replace(StringVariableSample, "_eval_body", _eval_variable)
    return [patch]


def _eval_jsonata(self: Any, env: Any) -> None:
    env.stack.append(_run(env, self.expression, with_states=True))


def _eval_variable(self: Any, env: Any) -> None:
    with_states = self.query_language_mode == QueryLanguageMode.JSONata
    env.stack.append(_run(env, self.expression, with_states=with_states))


def _run(env: Any, expression: str, *, with_states: bool) -> Json:
    store = env.variable_store
    bindings: JsonObject = {**store._outer_scope, **store._inner_scope}
    if with_states:
        bindings["states"] = json.loads(json.dumps(env.states._states_data, default=str))
    where = f"The JSONata expression '{expression}' specified for the field '{env.next_field_name}'"
    try:
        return evaluate(expression, bindings)
    except UndefinedResultError as exc:
        raise _failure(env, f"{where} returned nothing (undefined).") from exc
    except EvaluationError as exc:
        raise _failure(env, f"{where} threw an error during evaluation. {exc}") from exc


def _failure(env: Any, cause: str) -> Any:
    name = StatesErrorName(typ=StatesErrorNameType.StatesQueryEvaluationError)
    details = EvaluationFailedEventDetails(
        cause=cause, error=name.error_name, state=env.next_state_name
    )
    return FailureEventException(
        failure_event=FailureEvent(
            env=env,
            error_name=name,
            event_type=HistoryEventType.EvaluationFailed,
            event_details=EventDetails(evaluationFailedEventDetails=details),
        )
    )
