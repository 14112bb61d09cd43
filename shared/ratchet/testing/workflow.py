"""A state machine in memory: it remembers what was started, and runs nothing; tests decide how executions end."""

import json
from dataclasses import dataclass, replace
from typing import Any

from ratchet.contracts.messages import ExecutionRef, StepInput, StepOutput, StepRef, TaskRef
from ratchet.contracts.names import Action
from ratchet.domain.identifiers import execution_name
from ratchet.ports import ExecutionState


@dataclass(slots=True)
class Execution:
    """One started execution; `status` in the words of Step Functions, `cause` of what ended it."""

    name: str
    input: dict[str, Any]
    status: str = "RUNNING"
    cause: str = ""


class InMemoryWorkflow:
    """Starts an execution per name once, as Step Functions does. `executions` has them by name, oldest first.

    `versions` are those that can be started, the last one is current; without any, versions are not in use.
    """

    def __init__(self) -> None:
        self.executions: dict[str, Execution] = {}
        self.versions: list[str] = []

    def start(self, first: StepOutput) -> str | None:
        """Start the execution of `first.execution.generation` on its version; returns the version that it runs."""
        current = self.versions[-1] if self.versions else None
        wanted = first.execution.version
        version = wanted if wanted in self.versions else current
        name = execution_name(first.task, first.execution.generation)
        execution = replace(first.execution, version=version)
        sent = json.loads(json.dumps(replace(first, execution=execution).to_dict()))
        self.executions.setdefault(name, Execution(name, sent))
        return self.input_of(first.task, execution.generation).execution.version

    def stop(self, ref: TaskRef, *, generation: int, cause: str) -> None:
        """Stop an execution; nothing if it has ended or never was."""
        self._end(ref, generation, "ABORTED", cause)

    def describe(self, ref: TaskRef, *, generation: int) -> ExecutionState:
        """Whether an execution is alive; one that never was is not."""
        execution = self.executions.get(execution_name(ref, generation))
        if execution is None:
            return ExecutionState(is_running=False, cause="there is no such execution")
        if execution.status in ("RUNNING", "SUCCEEDED"):
            return ExecutionState(is_running=execution.status == "RUNNING")
        return ExecutionState(is_running=False, cause=(execution.cause or execution.status)[:500])

    def input_of(self, ref: TaskRef, generation: int) -> StepOutput:
        """What an execution was started with, as the state machine reads it."""
        sent = self.executions[execution_name(ref, generation)].input
        return StepOutput(
            task=StepInput.task_of(sent),
            action=Action(sent["action"]),
            step=StepRef.from_dict(sent["step"]),
            execution=ExecutionRef.from_dict(sent["execution"]),
        )

    def kill(self, ref: TaskRef, generation: int, *, cause: str) -> None:
        """For tests: the execution dies, as when no Catch can run."""
        self._end(ref, generation, "FAILED", cause)

    def end(self, ref: TaskRef, generation: int) -> None:
        """For tests: the execution comes to its end."""
        self._end(ref, generation, "SUCCEEDED", "")

    def _end(self, ref: TaskRef, generation: int, status: str, cause: str) -> None:
        execution = self.executions.get(execution_name(ref, generation))
        if execution is not None and execution.status == "RUNNING":
            execution.status, execution.cause = status, cause
