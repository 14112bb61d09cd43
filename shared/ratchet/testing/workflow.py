"""A state machine in memory: it remembers what was started and stopped, and runs nothing."""

import json
from dataclasses import dataclass

from ratchet.contracts.messages import StepOutput
from ratchet.contracts.names import Json

STATE_MACHINE_ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:ratchet"


@dataclass(slots=True)
class Execution:
    """One started execution; `cause` is set when it was stopped."""

    arn: str
    name: str
    input: dict[str, Json]
    cause: str | None = None


class InMemoryWorkflow:
    """Starts an execution per name once, as Step Functions does."""

    def __init__(self) -> None:
        self.executions: dict[str, Execution] = {}

    def start(self, first: StepOutput) -> str:
        """Start the execution named after the task, or find the one that there is; returns its ARN."""
        name = first.task.task_id
        arn = STATE_MACHINE_ARN.replace(":stateMachine:", ":execution:") + f":{name}"
        sent = json.loads(json.dumps(first.to_dict()))
        self.executions.setdefault(arn, Execution(arn, name, sent))
        return arn

    def stop(self, execution_arn: str, *, cause: str) -> None:
        """Stop an execution; nothing if it has ended or never was."""
        execution = self.executions.get(execution_arn)
        if execution is not None and execution.cause is None:
            execution.cause = cause
