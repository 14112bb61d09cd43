"""The state machine: one Standard execution per task, named after it."""

import json
from typing import TYPE_CHECKING

from ratchet.adapters.aws import AWS_ERRORS, error_code, store_error
from ratchet.contracts.messages import StepOutput

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient

MAX_CAUSE_CHARS = 32_768
"""Step Functions refuses a longer cause."""


class StepFunctionsWorkflow:
    """The Workflow on AWS. The ARN may be that of a state machine, a version or an alias."""

    def __init__(self, client: "SFNClient", state_machine_arn: str) -> None:
        self._client = client
        self._arn = state_machine_arn

    def start(self, first: StepOutput) -> str:
        """Start the execution named after the task, or find the one that there is; returns its ARN."""
        name = first.task.task_id
        try:
            started = self._client.start_execution(
                stateMachineArn=self._arn, name=name, input=json.dumps(first.to_dict())
            )
        except AWS_ERRORS as exc:
            # Also the answer when the first try was received and its response lost.
            if error_code(exc) == "ExecutionAlreadyExists":
                return execution_arn(self._arn, name)
            raise store_error(exc) from exc
        return started["executionArn"]

    def stop(self, execution_arn: str, *, cause: str) -> None:
        """Stop an execution; nothing if it has ended or never was."""
        try:
            self._client.stop_execution(executionArn=execution_arn, cause=cause[:MAX_CAUSE_CHARS])
        except AWS_ERRORS as exc:
            if error_code(exc) != "ExecutionDoesNotExist":
                raise store_error(exc) from exc


def execution_arn(state_machine_arn: str, name: str) -> str:
    """The ARN of an execution by its name; a version's or alias's suffix is no part of it."""
    arn, partition, service, region, account, _, machine, *_ = state_machine_arn.split(":")
    return ":".join((arn, partition, service, region, account, "execution", machine, name))
