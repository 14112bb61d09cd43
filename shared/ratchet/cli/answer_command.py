"""interrupts, answer: what tasks ask people, and the answers."""

from typing import Annotated

import typer

from ratchet.cli.outcome import connect, follow_to_end
from ratchet.cli.output import note, write_document
from ratchet.cli.submit_command import AsJson, Watch
from ratchet.cli.task_commands import TaskId
from ratchet.cli.timeline import question_lines
from ratchet.contracts.names import TaskStatus

InterruptId = Annotated[
    str, typer.Argument(metavar="INTERRUPT_ID", help="As `interrupts` or `show` prints it.")
]
Answer = Annotated[str, typer.Argument(metavar="ANSWER", help="One of the question's choices.")]


def interrupts(*, as_json: AsJson = False) -> None:
    """List the questions that your tasks wait with."""
    with connect() as client:
        found = client.interrupts()
    if as_json:
        write_document(found)
        return
    if not found.interrupts:
        note("No task waits for an answer.")
    for interrupt in found.interrupts:
        print("\n".join(question_lines(interrupt)))


def answer(
    task_id: TaskId,
    interrupt_id: InterruptId,
    answer: Answer,
    *,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Answer a task's question; once none is open, it goes on."""
    with connect() as client:
        task = client.answer(task_id, interrupt_id, answer)
        if watch:
            follow_to_end(client, task.task_id, as_json=as_json)
        elif as_json:
            write_document(task)
        else:
            print(f"{task.task_id}  {task.status.value}")
            if task.status is TaskStatus.INPUT_REQUIRED:
                note(f"Questions are left:  ratchet show {task.task_id}")
