"""What a task cost so far, as far as its last step tells: its model calls, and an estimate of the AWS side."""

from ratchet.domain.aws_bill import Bill
from ratchet.domain.steps import End, Paused
from ratchet.domain.task import History
from ratchet.domain.task_bill import Functions, TaskRun, task_bill

DEPLOYED = Functions()


def aws_side(tip: History, functions: Functions = DEPLOYED) -> Bill:
    """What AWS charges for the task, from the running totals of its last step and the head.

    A retry is taken to have run as long as a step does on average: an attempt that died has left no note. Reads are
    those of fresh sandboxes, one model is taken to have been called, and of several pauses one is announced.
    """
    runs = tip.totals.runs
    count = tip.totals.steps + runs.idle
    mean = runs.milliseconds // count if count else 0
    run = TaskRun(
        step_ms=(runs.milliseconds - mean * (count - 1), *(mean,) * (count - 1)) if count else (),
        lost_ms=(mean,) * runs.retries,
        waits=runs.waits,
        # The first step may be faster than the note that its execution was started.
        executions=max(tip.state.generation, 1 if count else 0),
        unsafe_calls=runs.unsafe_calls,
        seats=runs.seats,
        cache_reads=runs.cache_reads,
        cache_writes=runs.cache_writes,
        is_announced=isinstance(tip.next, End | Paused),
        functions=functions,
    )
    return task_bill(run)
