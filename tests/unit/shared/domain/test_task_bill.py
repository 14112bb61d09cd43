"""The AWS side of a task from its steps. Units and transitions: tests/contract/aws_bill."""

import pytest

from cdk.deployment import Deployment
from ratchet.domain.aws_bill import Counts, Resource
from ratchet.domain.task_bill import Functions, TaskRun, task_bill, task_counts

STANDARD = TaskRun((3_000,) * 26)


def extra(run: TaskRun, resource: Resource) -> int:
    return task_counts(run).total(resource) - task_counts(STANDARD).total(resource)


def test_the_standard_task_costs_what_the_readme_says() -> None:
    bill = task_bill(STANDARD)

    assert round(bill.usd, 4) == 0.0019
    assert bill.of(Resource.TRANSITIONS) == 1_350_000
    assert max(bill.lines, key=lambda line: line.nanousd).resource is Resource.TRANSITIONS


def test_functions_default_to_the_sizes_that_are_deployed() -> None:
    deployed, assumed = Deployment(), Functions()

    for name in ("step_executor", "api", "authorizer", "dispatcher", "deliverer", "sweeper"):
        assert getattr(assumed, f"{name}_mb") == getattr(deployed, f"{name}_memory_mb")
    assert assumed.architecture == deployed.architecture


@pytest.mark.parametrize(
    ("changed", "resource", "more"),
    [
        (TaskRun((3_000,) * 26, waits=1), Resource.TRANSITIONS, 5),
        (TaskRun((3_000,) * 26, waits=1), Resource.INVOCATIONS, 1),
        (TaskRun((3_000,) * 26, lost_ms=(500,)), Resource.TRANSITIONS, 1),
        (TaskRun((3_000,) * 26, lost_ms=(500,)), Resource.ARM_TIME, 500 * 512),
        (TaskRun((3_000,) * 26, executions=2), Resource.TRANSITIONS, 2),
        (TaskRun((3_000,) * 26, executions=2), Resource.SQS_REQUESTS, 3),
        (TaskRun((3_000,) * 26, unsafe_calls=2), Resource.WRITE_UNITS, 14),
        (TaskRun((3_000,) * 26, step_bytes=1_025), Resource.WRITE_UNITS, 26),
        (TaskRun((3_000,) * 26, polls=4), Resource.API_REQUESTS, 4),
        (TaskRun((3_000,) * 26, is_announced=False), Resource.SNS_PUBLISHES, -1),
        (TaskRun((3_000,) * 26, s3_puts=1), Resource.S3_PUTS, 1),
        (TaskRun((3_000,) * 26, models=3), Resource.WRITE_UNITS, 4),
        (TaskRun((3_000,) * 26, seats=2), Resource.WRITE_UNITS, 2 * (8 + 6)),
        (TaskRun((3_000,) * 26, seats=2), Resource.READ_UNITS, 2 * (12 + 9)),
        (TaskRun((3_000,) * 26, cache_reads=3), Resource.READ_UNITS, 3),
        (TaskRun((3_000,) * 26, cache_writes=3), Resource.WRITE_UNITS, 3),
    ],
)
def test_what_happens_to_a_task_shows_on_its_bill(
    changed: TaskRun, resource: Resource, more: int
) -> None:
    assert extra(changed, resource) == more


def test_a_task_under_way_has_not_given_its_last_slot_back() -> None:
    def writes(seats: int) -> int:
        run = TaskRun((3_000,), seats=seats, is_announced=False)
        return task_counts(run).total(Resource.WRITE_UNITS)

    assert [writes(seats) - writes(0) for seats in (1, 2)] == [8, 8 + 6 + 8]


def test_a_warm_sandbox_reads_the_history_once_and_the_ledger_once_more() -> None:
    warm = task_counts(TaskRun((3_000,) * 26, warm_share=1.0))

    assert warm.total(Resource.READ_UNITS) == 1 + 1 + 3 + 7


def test_writes_grow_linearly_with_the_steps() -> None:
    def writes(steps: int) -> int:
        return task_counts(TaskRun((3_000,) * steps)).total(Resource.WRITE_UNITS)

    assert {writes(n + 1) - writes(n) for n in range(1, 400)} == {1}


def test_a_task_that_was_only_submitted_has_run_no_step() -> None:
    counts = task_counts(TaskRun((), is_announced=False, executions=0))

    assert counts.total(Resource.TRANSITIONS) == 0
    assert counts.total(Resource.WRITE_UNITS) == 3
    assert counts.total(Resource.INVOCATIONS) == 2


def test_another_architecture_is_billed_at_its_price() -> None:
    intel = task_counts(TaskRun((3_000,), functions=Functions(architecture="x86_64")))

    assert intel.total(Resource.ARM_TIME) == 0
    assert isinstance(intel, Counts)
    assert intel.total(Resource.X86_TIME) == task_counts(TaskRun((3_000,))).total(Resource.ARM_TIME)
