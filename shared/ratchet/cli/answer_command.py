"""interrupts, answer: what tasks ask people, and the answers."""

import json
from typing import Annotated

import typer

from ratchet.cli.errors import CliError
from ratchet.cli.outcome import connect, follow_to_end
from ratchet.cli.output import note, write_document
from ratchet.cli.submit_command import AsJson, Watch
from ratchet.cli.task_commands import TaskId
from ratchet.cli.timeline import question_lines
from ratchet.contracts.names import Json, TaskStatus

InterruptId = Annotated[
    str, typer.Argument(metavar="INTERRUPT_ID", help="As `interrupts` or `show` prints it.")
]
Answer = Annotated[
    str,
    typer.Argument(
        metavar="ANSWER",
        help="One of the question's choices (of an approval: approve, reject or edit), or text where it has none.",
    ),
]
Arguments = Annotated[
    str | None,
    typer.Option(
        "--arguments", metavar="JSON", help="With edit: what the tool is called with instead."
    ),
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="With reject: told to the agent.")
]


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


def answer(  # noqa: PLR0913 - one parameter per option
    task_id: TaskId,
    interrupt_id: InterruptId,
    answer: Answer,
    *,
    arguments: Arguments = None,
    reason: Reason = None,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Answer a task's question; once none is open, it goes on."""
    with connect() as client:
        body = _body(answer, _arguments(arguments), reason)
        task = client.answer(task_id, interrupt_id, body)
        if watch:
            follow_to_end(client, task.task_id, as_json=as_json)
        elif as_json:
            write_document(task)
        else:
            print(f"{task.task_id}  {task.status.value}")
            if task.status is TaskStatus.INPUT_REQUIRED:
                note(f"Questions are left:  ratchet show {task.task_id}")


def _body(answer: str, arguments: Json, reason: str | None) -> dict[str, Json]:
    optional: dict[str, Json] = {"arguments": arguments, "reason": reason}
    return {"answer": answer, **{name: v for name, v in optional.items() if v is not None}}


def _arguments(text: str | None) -> Json:
    if text is None:
        return None
    try:
        value: Json = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise CliError(
            f"--arguments {text[:80]!r} is no JSON object",
            hint="Say for example --arguments '{\"amount_usd\": 20}'.",
        )
    return value
