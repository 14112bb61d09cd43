"""The formula of a task's AWS counts, held to real requests on DynamoDB and to the definition that is deployed."""

import pytest

from cdk.components.asl import definition
from ratchet.contracts.messages import StepOutput, StepRef
from ratchet.contracts.names import Action, Complexity, StepType
from ratchet.domain.aws_bill import Resource
from ratchet.domain.task_bill import TaskRun, task_counts
from tests.bench.agent_loop import ROUTING
from tests.bench.task_costs import ours, states, whole
from tests.bench.transitions import transitions
from tests.unit.shared.builders import REF

MACHINE = definition(ROUTING, step_timeout_seconds=300)
ACTING = StepRef(1, StepType.TOOL_DISPATCH, Complexity.SIMPLE)


def counted(run: TaskRun, resource: Resource) -> int:
    return task_counts(run).total(resource)


@pytest.mark.parametrize("cycles", [0, 1, 5, 25])
def test_write_units_are_exact_and_read_units_within_a_twentieth(cycles: int) -> None:
    phases, steps = ours(cycles, warm=False)
    tally, run = whole(phases), TaskRun((3_000,) * steps)

    assert counted(run, Resource.WRITE_UNITS) == tally.all_write_units
    assert counted(run, Resource.READ_UNITS) == pytest.approx(tally.read_units, rel=0.05)


def test_a_warm_task_reads_as_little_as_measured() -> None:
    phases, steps = ours(5, warm=True)
    warm = TaskRun((3_000,) * steps, warm_share=1.0)

    assert counted(warm, Resource.READ_UNITS) == whole(phases).read_units


@pytest.mark.parametrize("cycles", [0, 5])
def test_transitions_are_those_of_the_deployed_definition(cycles: int) -> None:
    told = states(cycles)

    run = TaskRun((3_000,) * (len(told) - 1))
    assert counted(run, Resource.TRANSITIONS) == transitions(MACHINE, told)


def test_a_wait_enters_five_states_more() -> None:
    begin = StepOutput(REF, Action.STEP, ACTING)
    wait = StepOutput(REF, Action.WAIT, ACTING, wait_seconds=3)
    end = StepOutput(REF, Action.FINISH, ACTING, status="succeeded")

    entered = transitions(MACHINE, [begin, wait, end])
    assert counted(TaskRun((3_000,), waits=1), Resource.TRANSITIONS) == entered


def test_a_roll_over_enters_two_states_more() -> None:
    begin = StepOutput(REF, Action.STEP, ACTING)
    on = StepOutput(REF, Action.ROLL_OVER, ACTING)
    end = StepOutput(REF, Action.FINISH, ACTING, status="succeeded")

    entered = transitions(MACHINE, [begin, on]) + transitions(MACHINE, [begin, end])
    run = TaskRun((3_000,) * 2, executions=2)
    assert counted(run, Resource.TRANSITIONS) == entered
