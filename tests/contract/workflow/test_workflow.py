"""The state machine, on the twin and on Step Functions."""

import json
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from ratchet.adapters import aws
from ratchet.adapters.errors import ServiceRefused
from ratchet.adapters.stepfunctions import StepFunctionsWorkflow, execution_arn
from ratchet.contracts.messages import StepOutput, StepRef, TaskRef
from ratchet.contracts.names import Action, Complexity, StepType
from ratchet.ports import Workflow
from ratchet.testing.workflow import STATE_MACHINE_ARN, InMemoryWorkflow
from tests.contract.moto_aws import mocked_aws

WAITING = {"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 600, "End": True}}}


def first(number: int, step: int = 1) -> StepOutput:
    ref = TaskRef("acme", f"task_{number:026d}")
    return StepOutput(ref, Action.STEP, StepRef(step, StepType.PLANNING, Complexity.SIMPLE))


class Bench(Protocol):
    workflow: Workflow

    def input(self, arn: str) -> Any: ...
    def is_stopped(self, arn: str) -> bool: ...
    def count(self) -> int: ...


class MemoryBench:
    def __init__(self) -> None:
        self.memory = InMemoryWorkflow()
        self.workflow: Workflow = self.memory

    def input(self, arn: str) -> Any:
        return self.memory.executions[arn].input

    def is_stopped(self, arn: str) -> bool:
        return self.memory.executions[arn].cause is not None

    def count(self) -> int:
        return len(self.memory.executions)


class StepFunctionsBench:
    def __init__(self, number: int) -> None:
        self.sfn = aws.client("stepfunctions")
        self.machine = self.sfn.create_state_machine(
            name=f"ratchet-{number}",
            definition=json.dumps(WAITING),
            roleArn="arn:aws:iam::123456789012:role/machine",
        )["stateMachineArn"]
        self.workflow: Workflow = StepFunctionsWorkflow(self.sfn, self.machine)

    def input(self, arn: str) -> Any:
        return json.loads(self.sfn.describe_execution(executionArn=arn)["input"])

    def is_stopped(self, arn: str) -> bool:
        return self.sfn.describe_execution(executionArn=arn)["status"] == "ABORTED"

    def count(self) -> int:
        return len(self.sfn.list_executions(stateMachineArn=self.machine)["executions"])


@pytest.fixture(scope="module")
def machines() -> Iterator[Iterator[int]]:
    with mocked_aws():
        yield iter(range(100))


@pytest.fixture(params=["memory", "stepfunctions"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        return MemoryBench()
    return StepFunctionsBench(next(request.getfixturevalue("machines")))


def test_an_execution_is_named_after_its_task_and_gets_ids_only(bench: Bench) -> None:
    arn = bench.workflow.start(first(1))
    assert arn.rpartition(":")[2] == first(1).task.task_id
    assert bench.input(arn) == first(1).to_dict()


def test_starting_again_finds_the_execution_whatever_the_input(bench: Bench) -> None:
    arn = bench.workflow.start(first(1))
    assert bench.workflow.start(first(1)) == arn
    assert bench.workflow.start(first(1, step=4)) == arn
    assert bench.count() == 1
    assert bench.input(arn) == first(1).to_dict()


def test_each_task_has_its_execution(bench: Bench) -> None:
    assert bench.workflow.start(first(1)) != bench.workflow.start(first(2))
    assert bench.count() == 2


def test_a_stopped_execution_stays_the_tasks_execution(bench: Bench) -> None:
    arn = bench.workflow.start(first(1))
    bench.workflow.stop(arn, cause="cancelled")
    assert bench.is_stopped(arn)
    assert bench.workflow.start(first(1)) == arn
    assert bench.count() == 1


def test_stopping_twice_or_what_never_was_is_nothing(bench: Bench) -> None:
    arn = bench.workflow.start(first(1))
    bench.workflow.stop(arn, cause="x" * 40_000)
    bench.workflow.stop(arn, cause="again")
    bench.workflow.stop(arn + "-other", cause="none")
    assert bench.is_stopped(arn)


def test_a_machine_that_is_not_there_is_refused_for_good(machines: Iterator[int]) -> None:
    missing = StepFunctionsWorkflow(aws.client("stepfunctions"), STATE_MACHINE_ARN + "-missing")
    with pytest.raises(ServiceRefused):
        missing.start(first(1))
    with pytest.raises(ServiceRefused):
        missing.stop("not an arn", cause="")


@pytest.mark.parametrize("suffix", ["", ":live", ":7"])
def test_a_version_or_alias_is_no_part_of_an_executions_arn(suffix: str) -> None:
    machine = "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:ratchet"
    expected = "arn:aws-cn:states:cn-north-1:123456789012:execution:ratchet:task_1"
    assert execution_arn(machine + suffix, "task_1") == expected
