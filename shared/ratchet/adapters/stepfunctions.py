"""The state machine: Standard executions, named after task and generation."""

import json
from typing import TYPE_CHECKING

from ratchet.adapters.aws import AWS_ERRORS, error_code, store_error
from ratchet.contracts.messages import StepOutput, TaskRef
from ratchet.domain.keys import execution_name
from ratchet.ports import ExecutionState

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient

MAX_CAUSE_CHARS = 32_768
"""Step Functions refuses a longer cause."""
TOLD_CAUSE_CHARS = 500
"""What of a cause is worth repeating to a person."""
NEVER_WAS = "there is no such execution: it was never started, or its history has expired"


class StepFunctionsWorkflow:
    """The Workflow on AWS. The ARN may be that of a state machine, a version or an alias."""

    def __init__(self, client: "SFNClient", state_machine_arn: str) -> None:
        self._client = client
        self._arn = state_machine_arn

    def start(self, first: StepOutput) -> None:
        """Start the execution of `first.execution.generation`; nothing if there is one of that name."""
        try:
            self._client.start_execution(
                stateMachineArn=self._arn,
                name=execution_name(first.task, first.execution.generation),
                input=json.dumps(first.to_dict()),
            )
        except AWS_ERRORS as exc:
            # Also the answer when the first try was received and its response lost.
            if error_code(exc) != "ExecutionAlreadyExists":
                raise store_error(exc) from exc

    def stop(self, ref: TaskRef, *, generation: int, cause: str) -> None:
        """Stop an execution; nothing if it has ended or never was."""
        arn = execution_arn(self._arn, execution_name(ref, generation))
        try:
            self._client.stop_execution(executionArn=arn, cause=cause[:MAX_CAUSE_CHARS])
        except AWS_ERRORS as exc:
            if error_code(exc) != "ExecutionDoesNotExist":
                raise store_error(exc) from exc

    def describe(self, ref: TaskRef, *, generation: int) -> ExecutionState:
        """Whether an execution is alive; one that never was is not."""
        arn = execution_arn(self._arn, execution_name(ref, generation))
        try:
            found = self._client.describe_execution(executionArn=arn)
        except AWS_ERRORS as exc:
            if error_code(exc) == "ExecutionDoesNotExist":
                return ExecutionState(is_running=False, cause=NEVER_WAS)
            raise store_error(exc) from exc
        if found["status"] in ("RUNNING", "PENDING_REDRIVE"):
            return ExecutionState(is_running=True)
        if found["status"] == "SUCCEEDED":
            return ExecutionState(is_running=False)
        told = ": ".join(filter(None, (found.get("error"), found.get("cause"))))
        return ExecutionState(is_running=False, cause=(told or found["status"])[:TOLD_CAUSE_CHARS])


def execution_arn(state_machine_arn: str, name: str) -> str:
    """The ARN of an execution by its name; a version's or alias's suffix is no part of it."""
    arn, partition, service, region, account, _, machine, *_ = state_machine_arn.split(":")
    return ":".join((arn, partition, service, region, account, "execution", machine, name))
