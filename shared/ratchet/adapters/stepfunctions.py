"""The state machine: Standard executions, named after task and generation."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from ratchet.adapters.aws import AWS_ERRORS, error_code, store_error
from ratchet.contracts.messages import ExecutionRef, StepOutput, TaskRef
from ratchet.domain.identifiers import execution_name
from ratchet.ports import ExecutionState

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

MAX_CAUSE_CHARS = 32_768
"""Step Functions refuses a longer cause."""
TOLD_CAUSE_CHARS = 500
"""What of a cause is worth repeating to a person."""
_COLONS_OF_A_MACHINE = 6
NEVER_WAS = "there is no such execution: it was never started, or its history has expired"


class StepFunctionsWorkflow:
    """The Workflow on AWS. The ARN is that of the current version, or of a machine without versions."""

    def __init__(self, client: "SFNClient", state_machine_arn: str) -> None:
        self._client = client
        self._arn = state_machine_arn

    def start(self, first: StepOutput) -> str | None:
        """Start the execution of `first.execution.generation` on its version; returns the version that it runs."""
        pinned = first.execution.version
        arn = pinned or self._arn
        execution = replace(first.execution, version=arn if _is_version(arn) else None)
        try:
            # The version is part of the input, so the same name on another version is another request to
            # Step Functions, which then says that the execution exists.
            self._client.start_execution(
                stateMachineArn=arn,
                name=execution_name(first.task, execution.generation),
                input=json.dumps(replace(first, execution=execution).to_dict()),
            )
        except AWS_ERRORS as exc:
            code = error_code(exc)
            if code == "ExecutionAlreadyExists":
                return self._version_of(first.task, execution.generation)
            if code != "StateMachineDoesNotExist" or pinned in (None, self._arn):
                raise store_error(exc) from exc
            return self.start(replace(first, execution=replace(execution, version=None)))
        return execution.version

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
        try:
            found = self._described(ref, generation)
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

    def _version_of(self, ref: TaskRef, generation: int) -> str | None:
        """The version that an execution was started on, as its input says; None for one from before versions."""
        try:
            sent = json.loads(self._described(ref, generation).get("input", "{}"))
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc
        return ExecutionRef.from_dict(sent.get("execution")).version

    def _described(self, ref: TaskRef, generation: int) -> "DescribeExecutionOutputTypeDef":
        arn = execution_arn(self._arn, execution_name(ref, generation))
        return self._client.describe_execution(executionArn=arn)


def _is_version(arn: str) -> bool:
    """Whether the ARN has a version's number behind the machine's name."""
    machine, _, qualifier = arn.rpartition(":")
    return qualifier.isdecimal() and machine.count(":") == _COLONS_OF_A_MACHINE


def execution_arn(state_machine_arn: str, name: str) -> str:
    """The ARN of an execution by its name; a version's or alias's suffix is no part of it."""
    arn, partition, service, region, account, _, machine, *_ = state_machine_arn.split(":")
    return ":".join((arn, partition, service, region, account, "execution", machine, name))
