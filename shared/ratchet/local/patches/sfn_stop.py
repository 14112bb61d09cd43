"""Step Functions: StopExecution ends a run wherever it is, and status changes are announced."""

import json
import threading
import time
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.stepfunctions.parser.api import (
    ExecutionAbortedEventDetails,
    ExecutionStatus,
    HistoryEventType,
)
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.backend.execution import (
    BaseExecutionWorkerCommunication,
    Execution,
)
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from moto.stepfunctions.responses import StepFunctionResponse

from ratchet.local.json_types import JsonObject
from ratchet.local.patches.patch import Patch
from ratchet.local.runtime import current_or_none

_NAP_SECONDS = 0.1
_STARTED_WITHIN_SECONDS = 5.0


def install() -> list[Patch]:
    """Installs the patches of this module."""
    return [_stop(), _status_events(), _retry_sleep()]


def _stop() -> Patch:
    patch = Patch(
        "sfn-stop",
        "a run that waits, sleeps or runs a task stays RUNNING; error and cause are lost",
    )

    def stop_execution(self: Any) -> Any:
        arn = self._get_param("executionArn")
        execution = self.stepfunction_backend.describe_execution(arn)
        now = datetime.now(UTC)
        execution.stop(
            stop_date=now, error=self._get_param("error"), cause=self._get_param("cause")
        )
        return ActionResult({"stopDate": execution.stop_date or now})

    original_add = EventManager.add_event

    def add_event(self: Any, *args: Any, **kwargs: Any) -> Any:
        # The threads of a stopped run go on for a moment; its history has ended.
        return 0 if getattr(self, "is_closed", False) else original_add(self, *args, **kwargs)

    patch.replace(StepFunctionResponse, "stop_execution", stop_execution)
    patch.replace(Execution, "stop", _stop_run)
    patch.replace(EventManager, "add_event", add_event)
    return patch


def _stop_run(self: Any, stop_date: datetime, error: str | None, cause: str | None) -> None:
    env = _environment(self)
    if env is None or self.exec_status != ExecutionStatus.RUNNING:
        return
    self.stop_date, self.error, self.cause = stop_date, error, cause
    self.exec_status = ExecutionStatus.ABORTED
    env.set_stop(stop_date=stop_date, cause=cause, error=error)
    given = {name: text for name, text in (("error", error), ("cause", cause)) if text}
    env.event_manager.add_event(
        context=env.event_history_context,
        event_type=HistoryEventType.ExecutionAborted,
        event_details=EventDetails(
            executionAbortedEventDetails=ExecutionAbortedEventDetails(**given)
        ),
    )
    env.event_manager.is_closed = True
    for callback in list(env.callback_pool_manager._pool.values()):
        callback.interrupt_all()
    _announce(self)


def abandon_runs() -> None:
    """Ends the threads of all runs without a word: the stack they belong to is closing."""
    for by_region in stepfunctions_parser_backends.values():
        for backend in by_region.values():
            for execution in backend._get_executions(ExecutionStatus.RUNNING):
                _abandon(execution)


def _abandon(execution: Any) -> None:
    execution.exec_status = ExecutionStatus.ABORTED
    env = execution.exec_worker.env if execution.exec_worker else None
    if env is not None:
        env.event_manager.is_closed = True
        env.set_stop(stop_date=datetime.now(UTC), cause=None, error=None)
        for callback in list(env.callback_pool_manager._pool.values()):
            callback.interrupt_all()


def _environment(execution: Any) -> Any:
    """The run's environment, which its thread creates a moment after the start."""
    deadline = time.monotonic() + _STARTED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if execution.exec_worker is not None and execution.exec_worker.env is not None:
            return execution.exec_worker.env
        time.sleep(0.01)
    return None


def _status_events() -> Patch:
    patch = Patch("sfn-status-events", "EventBridge hears nothing of executions")
    original_end = BaseExecutionWorkerCommunication.terminated
    original_start = Execution.start

    def terminated(self: Any) -> None:
        if self.execution.exec_status != ExecutionStatus.RUNNING:
            return
        original_end(self)
        _announce(self.execution)

    def start(self: Any) -> None:
        original_start(self)
        _announce(self)

    patch.replace(BaseExecutionWorkerCommunication, "terminated", terminated)
    patch.replace(Execution, "start", start)
    return patch


def _announce(execution: Any) -> None:
    runtime = current_or_none()
    if runtime is None:
        return
    arguments = (
        "aws.states",
        "Step Functions Execution Status Change",
        _detail(execution),
        [execution.exec_arn],
    )
    threading.Thread(target=runtime.rules.put, args=arguments, daemon=True).start()


def _detail(execution: Any) -> JsonObject:
    stopped = execution.stop_date
    output = execution.output
    return {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine.arn,
        "name": execution.name,
        "status": execution.exec_status.value,
        "startDate": int(execution.start_date.timestamp() * 1000),
        "stopDate": int(stopped.timestamp() * 1000) if stopped else None,
        "input": json.dumps(execution.input_data),
        "output": None if output is None else json.dumps(output),
        "error": execution.error,
        "cause": execution.cause,
    }


def _retry_sleep() -> Patch:
    patch = Patch("sfn-retry-sleep", "a stopped or timed-out run sleeps its Retry interval out")
    naps = _Naps()
    original = retrier_decl.RetrierDecl._eval_body

    def eval_body(self: Any, env: Any) -> None:
        naps.env = env
        original(self, env)

    patch.replace(retrier_decl, "time", naps)
    patch.replace(retrier_decl.RetrierDecl, "_eval_body", eval_body)
    return patch


class _Naps(threading.local):
    """Stands in for the time module: sleeps as long as the run is alive."""

    env: Any = None

    def sleep(self, seconds: float) -> None:
        """Sleeps, unless the run ends first."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.env.is_running():
            time.sleep(min(left, _NAP_SECONDS))
