"""The state machine, on the twin and on Step Functions."""

import json
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from moto.stepfunctions.models import StepFunctionBackend
from moto.stepfunctions.responses import get_backend

from ratchet.adapters import aws
from ratchet.adapters.stepfunctions import StepFunctionsWorkflow, execution_arn
from ratchet.contracts.errors import ServiceRefused
from ratchet.contracts.messages import ExecutionRef, StepOutput, StepRef, TaskRef
from ratchet.contracts.names import Action, Complexity, StepType
from ratchet.local.patches.sfn_api import qualifiers
from ratchet.ports import ExecutionState, Workflow
from ratchet.testing.workflow import InMemoryWorkflow
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.wire import answers

WAITING = {"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 600, "End": True}}}
ROLE = "arn:aws:iam::123456789012:role/machine"
MACHINE_ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:ratchet"
ALIVE = ExecutionState(is_running=True)


def ref_of(number: int = 1) -> TaskRef:
    return TaskRef("acme", f"task_{number:026d}")


def first(
    number: int = 1, step: int = 1, generation: int = 1, version: str | None = None
) -> StepOutput:
    following = StepRef(step, StepType.PLANNING, Complexity.SIMPLE)
    execution = ExecutionRef(generation, first_step=step, version=version)
    return StepOutput(ref_of(number), Action.STEP, following, execution)


class Bench(Protocol):
    """`publish` deploys a version, which is current from then on; `delete` takes one away."""

    workflow: Workflow

    def publish(self) -> str: ...

    def delete(self, version: str) -> None: ...

    def inputs(self) -> dict[str, Any]: ...


class MemoryBench:
    def __init__(self) -> None:
        self.memory = InMemoryWorkflow()
        self.workflow: Workflow = self.memory
        self.published = 0

    def publish(self) -> str:
        self.published += 1
        version = f"{MACHINE_ARN}:{self.published}"
        self.memory.versions.append(version)
        return version

    def delete(self, version: str) -> None:
        self.memory.versions.remove(version)

    def inputs(self) -> dict[str, Any]:
        return {e.name: e.input for e in self.memory.executions.values()}


class StepFunctionsBench:
    def __init__(self, number: int) -> None:
        self.sfn = aws.client("stepfunctions")
        self.machine = self.sfn.create_state_machine(
            name=f"ratchet-{number}",
            definition=json.dumps(WAITING),
            roleArn=ROLE,
        )["stateMachineArn"]
        self.workflow: Workflow = StepFunctionsWorkflow(self.sfn, self.machine)

    def publish(self) -> str:
        # moto has no PublishStateMachineVersion.
        version = self.sfn.update_state_machine(
            stateMachineArn=self.machine, roleArn=ROLE, publish=True
        )["stateMachineVersionArn"]
        self.workflow = StepFunctionsWorkflow(self.sfn, version)
        return version

    def delete(self, version: str) -> None:
        # Nor has it DeleteStateMachineVersion.
        backend = get_backend("123456789012", "us-east-1")
        machine = backend.describe_state_machine(self.machine)
        del machine.versions[int(version.rpartition(":")[2])]

    def inputs(self) -> dict[str, Any]:
        found = self.sfn.list_executions(stateMachineArn=self.machine)["executions"]
        return {
            e["name"]: json.loads(
                self.sfn.describe_execution(executionArn=e["executionArn"])["input"]
            )
            for e in found
        }


@pytest.fixture(scope="module")
def machines() -> Iterator[Iterator[int]]:
    with pytest.MonkeyPatch.context() as patch, mocked_aws():
        original = StepFunctionBackend.describe_state_machine
        patch.setattr(StepFunctionBackend, "describe_state_machine", original)
        qualifiers()  # moto cannot start a version; the context above takes this back
        yield iter(range(100))


@pytest.fixture(params=["memory", "stepfunctions"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        return MemoryBench()
    return StepFunctionsBench(next(request.getfixturevalue("machines")))


def test_executions_are_named_after_task_and_generation_and_get_ids_only(bench: Bench) -> None:
    second = first(step=7, generation=2)
    bench.workflow.start(first())
    bench.workflow.start(second)
    name = ref_of().task_id
    assert bench.inputs() == {name: first().to_dict(), f"{name}-g2": second.to_dict()}


def test_starting_again_finds_the_execution_whatever_the_input(bench: Bench) -> None:
    bench.workflow.start(first())
    bench.workflow.start(first())
    bench.workflow.start(first(step=4))
    assert bench.inputs() == {ref_of().task_id: first().to_dict()}


def test_a_started_execution_is_alive_until_it_is_stopped(bench: Bench) -> None:
    bench.workflow.start(first(1))
    bench.workflow.start(first(2))
    bench.workflow.stop(ref_of(1), generation=1, cause="cancelled")
    stopped = bench.workflow.describe(ref_of(1), generation=1)
    assert not stopped.is_running
    assert stopped.cause  # moto forgets the words; the canned answers below have them
    assert bench.workflow.describe(ref_of(2), generation=1) == ALIVE


def test_only_the_execution_of_that_generation_is_stopped(bench: Bench) -> None:
    bench.workflow.start(first())
    bench.workflow.start(first(generation=2))
    bench.workflow.stop(ref_of(), generation=1, cause="replaced")
    assert not bench.workflow.describe(ref_of(), generation=1).is_running
    assert bench.workflow.describe(ref_of(), generation=2) == ALIVE


def test_a_stopped_execution_is_not_started_again(bench: Bench) -> None:
    bench.workflow.start(first())
    bench.workflow.stop(ref_of(), generation=1, cause="cancelled")
    bench.workflow.start(first())
    assert not bench.workflow.describe(ref_of(), generation=1).is_running
    assert len(bench.inputs()) == 1


def test_stopping_twice_or_what_never_was_is_nothing(bench: Bench) -> None:
    bench.workflow.start(first())
    bench.workflow.stop(ref_of(), generation=1, cause="x" * 40_000)
    bench.workflow.stop(ref_of(), generation=1, cause="again")
    bench.workflow.stop(ref_of(), generation=2, cause="none")
    assert not bench.workflow.describe(ref_of(), generation=1).is_running


def test_an_execution_that_never_was_is_not_alive_and_says_so(bench: Bench) -> None:
    found = bench.workflow.describe(ref_of(), generation=1)
    assert not found.is_running
    assert "no such execution" in found.cause


def test_without_versions_there_is_none_to_keep(bench: Bench) -> None:
    assert bench.workflow.start(first()) is None
    assert "version" not in bench.inputs()[ref_of().task_id]["execution"]


def test_an_execution_runs_the_current_version_unless_it_names_an_older_one(bench: Bench) -> None:
    old = bench.publish()
    assert bench.workflow.start(first(1)) == old
    new = bench.publish()
    assert bench.workflow.start(first(1, generation=2, version=old)) == old
    assert bench.workflow.start(first(2)) == new
    name = ref_of(1).task_id
    assert bench.inputs()[f"{name}-g2"]["execution"]["version"] == old
    assert bench.workflow.describe(ref_of(1), generation=2) == ALIVE
    bench.workflow.stop(ref_of(1), generation=2, cause="cancelled")
    assert not bench.workflow.describe(ref_of(1), generation=2).is_running


def test_a_version_that_is_gone_gives_way_to_the_current_one(bench: Bench) -> None:
    old, new = bench.publish(), bench.publish()
    bench.delete(old)
    assert bench.workflow.start(first(version=old)) == new
    assert bench.inputs()[ref_of().task_id]["execution"]["version"] == new


@pytest.mark.parametrize("is_stopped", [False, True])
def test_an_execution_that_is_found_tells_the_version_that_it_began_with(
    bench: Bench, is_stopped: bool
) -> None:
    old = bench.publish()
    bench.workflow.start(first())
    if is_stopped:
        bench.workflow.stop(ref_of(), generation=1, cause="cancelled")
    bench.publish()
    assert bench.workflow.start(first()) == old
    assert len(bench.inputs()) == 1


def test_one_from_before_there_were_versions_tells_none(bench: Bench) -> None:
    bench.workflow.start(first())
    bench.publish()
    assert bench.workflow.start(first()) is None


def test_a_machine_that_is_not_there_is_refused_for_good(machines: Iterator[int]) -> None:
    missing = StepFunctionsWorkflow(aws.client("stepfunctions"), MACHINE_ARN + "-missing")
    with pytest.raises(ServiceRefused):
        missing.start(first())
    denied = {"__type": "AccessDeniedException"}
    sfn = aws.client("stepfunctions")
    with answers(sfn, "DescribeExecution", denied), pytest.raises(ServiceRefused):
        missing.describe(ref_of(), generation=1)
    with answers(sfn, "StopExecution", denied), pytest.raises(ServiceRefused):
        missing.stop(ref_of(), generation=1, cause="")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"status": "RUNNING"}, ALIVE),
        ({"status": "PENDING_REDRIVE"}, ALIVE),
        ({"status": "SUCCEEDED", "output": "{}"}, ExecutionState(is_running=False)),
        (
            {"status": "FAILED", "error": "States.Runtime", "cause": "no such state"},
            ExecutionState(is_running=False, cause="States.Runtime: no such state"),
        ),
        (
            {"status": "FAILED", "error": "TooLong", "cause": "x" * 600},
            ExecutionState(is_running=False, cause="TooLong: " + "x" * 491),
        ),
        ({"status": "TIMED_OUT"}, ExecutionState(is_running=False, cause="TIMED_OUT")),
        (
            {"status": "ABORTED", "cause": "by hand"},
            ExecutionState(is_running=False, cause="by hand"),
        ),
    ],
)
def test_what_killed_an_execution_is_told(
    machines: Iterator[int], answer: dict[str, Any], expected: ExecutionState
) -> None:
    bench = StepFunctionsBench(next(machines))
    with answers(bench.sfn, "DescribeExecution", answer):
        assert bench.workflow.describe(ref_of(), generation=1) == expected


def test_the_twin_ends_executions_as_a_test_says() -> None:
    workflow = InMemoryWorkflow()
    for generation in (1, 2, 3):
        workflow.start(first(generation=generation))
    workflow.kill(ref_of(), 1, cause="States.Runtime")
    workflow.end(ref_of(), 2)
    workflow.stop(ref_of(), generation=2, cause="too late")
    workflow.stop(ref_of(), generation=3, cause="x" * 40_000)
    died = workflow.describe(ref_of(), generation=1)
    assert died == ExecutionState(is_running=False, cause="States.Runtime")
    assert workflow.describe(ref_of(), generation=2) == ExecutionState(is_running=False)
    stopped = workflow.describe(ref_of(), generation=3)
    assert stopped == ExecutionState(is_running=False, cause="x" * 500)
    assert workflow.input_of(ref_of(), 2) == first(generation=2)


@pytest.mark.parametrize("suffix", ["", ":live", ":7"])
def test_a_version_or_alias_is_no_part_of_an_executions_arn(suffix: str) -> None:
    machine = "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:ratchet"
    expected = "arn:aws-cn:states:cn-north-1:123456789012:execution:ratchet:task_1"
    assert execution_arn(machine + suffix, "task_1") == expected
