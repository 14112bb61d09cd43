"""Step Functions API: what the calls accept and answer."""

import copy
from typing import Any
from uuid import uuid4

from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions.exceptions import StateMachineDoesNotExist
from moto.stepfunctions.models import StepFunctionBackend
from moto.stepfunctions.parser.api import ExecutionStatus, InvalidToken, TaskTimedOut
from moto.stepfunctions.parser.asl.eval.callback.callback import (
    CallbackNotifyConsumerError,
    CallbackOutcomeFailure,
    CallbackOutcomeSuccess,
)
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import StepFunctionResponse

from ratchet.local.patches.patch import Patch

_PAGE = 1000
_COLONS_OF_A_QUALIFIED_ARN = 7


def install() -> list[Patch]:
    """Installs the patches of this module."""
    return [_default_name(), qualifiers(), _tokens(), _history(), _context()]


def _default_name() -> Patch:
    patch = Patch("sfn-default-name", "an execution without a name is called 'None'")

    def start_execution(self: Any) -> Any:
        execution = self.stepfunction_backend.start_execution(
            self._get_param("stateMachineArn"),
            self._get_param("name") or str(uuid4()),
            self._get_param("input", if_none="{}"),
        )
        return ActionResult(
            {"executionArn": execution.execution_arn, "startDate": execution.start_date}
        )

    patch.replace(StepFunctionResponse, "start_execution", start_execution)
    return patch


def qualifiers() -> Patch:
    """Executions of a version or alias run the definition as it was published."""
    patch = Patch("sfn-qualifiers", "version and alias ARNs start nothing")
    original = StepFunctionBackend.describe_state_machine

    def describe_state_machine(self: Any, arn: str) -> Any:
        machine_arn, qualifier = arn, ""
        if arn.count(":") == _COLONS_OF_A_QUALIFIED_ARN:
            machine_arn, _, qualifier = arn.rpartition(":")
        machine = original(self, machine_arn)
        return _at_version(machine, qualifier) if qualifier else machine

    patch.replace(StepFunctionBackend, "describe_state_machine", describe_state_machine)
    return patch


def _at_version(machine: Any, qualifier: str) -> Any:
    """The machine as it was when the version was published; its executions are the machine's own."""
    if alias := machine.aliases.get(qualifier):
        qualifier = alias.routing_configuration[0]["stateMachineVersionArn"].rpartition(":")[2]
    version = machine.versions.get(int(qualifier)) if qualifier.isdecimal() else None
    if version is None:
        raise StateMachineDoesNotExist(f"State Machine Does Not Exist: '{machine.arn}:{qualifier}'")
    pinned = copy.copy(machine)
    pinned.definition, pinned.roleArn = version.definition, version.roleArn
    return pinned


def _tokens() -> Patch:
    patch = Patch(
        "sfn-tokens",
        "SendTaskFailure drops the cause, late tokens are 'invalid', and a start races with both",
    )

    def send_task_success(self: Any, task_token: str, outcome: str) -> None:
        _notify(self, task_token, CallbackOutcomeSuccess(callback_id=task_token, output=outcome))

    def send_task_failure(self: Any) -> Any:
        token = self._get_param("taskToken")
        outcome = CallbackOutcomeFailure(
            callback_id=token, error=self._get_param("error"), cause=self._get_param("cause")
        )
        _notify(self.stepfunction_backend, token, outcome)
        return EmptyResult()

    def send_task_heartbeat(self: Any, task_token: str) -> None:
        _notify(self, task_token, None)

    patch.replace(StepFunctionsParserBackend, "send_task_success", send_task_success)
    patch.replace(StepFunctionsParserBackend, "send_task_heartbeat", send_task_heartbeat)
    patch.replace(StepFunctionResponse, "send_task_failure", send_task_failure)
    return patch


def _notify(backend: Any, token: str, outcome: Any) -> None:
    """Hands an outcome, or a heartbeat, to the task that waits for this token."""
    for execution in backend._get_executions():
        env = execution.exec_worker.env if execution.exec_worker else None
        if env is None or env.callback_pool_manager.get(token) is None:
            continue
        endpoint = env.callback_pool_manager.get(token)
        if execution.exec_status != ExecutionStatus.RUNNING or endpoint.get_outcome() is not None:
            break
        try:
            if outcome is None:
                env.callback_pool_manager.heartbeat(callback_id=token)
            else:
                env.callback_pool_manager.notify(callback_id=token, outcome=outcome)
        except CallbackNotifyConsumerError:
            break
        return
    else:
        raise InvalidToken
    raise TaskTimedOut(
        "Task Timed Out: 'Provided task does not exist anymore'", exception_type="TaskTimedOut"
    )


def _history() -> Patch:
    patch = Patch("sfn-history-paging", "maxResults, nextToken and reverseOrder are ignored")

    def get_execution_history(self: Any) -> Any:
        history = self.stepfunction_backend.get_execution_history(self._get_param("executionArn"))
        events = history["events"]
        if self._get_param("reverseOrder"):
            events = events[::-1]
        start = int(self._get_param("nextToken") or 0)
        end = start + int(self._get_param("maxResults") or _PAGE)
        page = {"events": events[start:end]}
        if end < len(events):
            page["nextToken"] = str(end)
        return ActionResult(page)

    patch.replace(StepFunctionResponse, "get_execution_history", get_execution_history)
    return patch


def _context() -> Patch:
    patch = Patch("sfn-redrive-count", "$$.Execution.RedriveCount is missing")
    original = ExecutionWorker._get_evaluation_environment

    def environment(self: Any) -> Any:
        env = original(self)
        execution = env.states.context_object.context_object_data["Execution"]
        execution["RedriveCount"] = 0
        return env

    patch.replace(ExecutionWorker, "_get_evaluation_environment", environment)
    return patch
