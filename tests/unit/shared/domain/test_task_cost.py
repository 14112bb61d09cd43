"""The AWS side of a task from its tip. Held to real requests in tests/contract/aws_bill."""

from dataclasses import replace

from ratchet.contracts.names import Complexity, StepType, TaskStatus
from ratchet.domain.aws_bill import Resource
from ratchet.domain.steps import End, Runs, StepResult, Totals
from ratchet.domain.task import History
from ratchet.domain.task_bill import Functions, TaskRun, task_bill
from ratchet.domain.task_cost import aws_side
from tests.unit.shared.builders import a_history

DONE = End(TaskStatus.SUCCEEDED)


def a_tip(steps: int, runs: Runs, *, generation: int = 1, ended: bool = True) -> History:
    """The last of so many steps."""
    step = StepResult(StepType.REASONING, Complexity.SIMPLE, model="o3")
    history = a_history(*[step] * steps)
    last = history.records[-1]
    last = replace(last, totals=last.totals.after(runs), next=DONE if ended else last.next)
    return replace(history, records=(last,), state=replace(history.state, generation=generation))


def test_a_task_costs_what_the_formula_says_of_its_steps() -> None:
    runs = Runs(milliseconds=26 * 3_000 + 1, waits=2, unsafe_calls=3)
    expected = TaskRun((3_001, *(3_000,) * 25), waits=2, executions=2, unsafe_calls=3)

    assert aws_side(a_tip(26, runs, generation=2)) == task_bill(expected)


def test_a_retry_is_taken_to_have_run_as_long_as_a_step() -> None:
    expected = TaskRun((3_000,) * 4, lost_ms=(3_000, 3_000))

    assert aws_side(a_tip(4, Runs(milliseconds=12_000, retries=2))) == task_bill(expected)


def test_slots_and_cached_answers_are_on_the_bill() -> None:
    runs = Runs(milliseconds=6_000, seats=2, cache_reads=5, cache_writes=4)
    expected = TaskRun((3_000,) * 2, seats=2, cache_reads=5, cache_writes=4)

    assert aws_side(a_tip(2, runs)) == task_bill(expected)


def test_an_end_without_a_model_call_has_run_too() -> None:
    tip = a_tip(2, Runs(milliseconds=3_000, idle=1))

    assert aws_side(tip) == task_bill(TaskRun((1_000,) * 3))


def test_a_task_under_way_has_not_been_announced() -> None:
    bill = aws_side(a_tip(2, Runs(milliseconds=6_000), ended=False))

    assert bill == task_bill(TaskRun((3_000,) * 2, is_announced=False))
    assert bill.of(Resource.SNS_PUBLISHES) == 0


def test_a_queued_task_has_only_been_submitted() -> None:
    queued = replace(a_tip(1, Runs(), generation=0), records=())

    assert aws_side(queued) == task_bill(TaskRun((), executions=0, is_announced=False))


def test_a_step_that_is_faster_than_its_dispatcher_had_an_execution() -> None:
    runs = Runs(milliseconds=3_000)

    assert aws_side(a_tip(1, runs, generation=0)) == aws_side(a_tip(1, runs, generation=1))


def test_steps_that_noted_no_time_cost_their_requests() -> None:
    """0.1.0 noted none."""
    assert aws_side(a_tip(3, Runs())) == task_bill(TaskRun((0,) * 3))


def test_another_size_of_sandbox_is_billed_at_its_price() -> None:
    sizes = Functions(step_executor_mb=1024)
    tip = a_tip(3, Runs(milliseconds=9_000))

    assert aws_side(tip, sizes) == task_bill(TaskRun((3_000,) * 3, functions=sizes))
    assert aws_side(tip, sizes).nanousd > aws_side(tip).nanousd


def test_totals_keep_what_their_runs_took() -> None:
    step = StepResult(StepType.REASONING, Complexity.SIMPLE, model="o3")
    first, second = Runs(5, 1, 2, 3, 4, 5, 6, 7), Runs(1, 1, 1, 1, 1, 1, 1, 1)
    totals = Totals().plus(step).after(first).plus(step).after(second)

    assert (totals.steps, totals.runs) == (2, Runs(6, 2, 3, 4, 5, 6, 7, 8))
