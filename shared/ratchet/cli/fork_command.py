"""fork: a new task that goes on from a step of another one."""

from typing import Annotated

import typer

from ratchet.cli.outcome import connect, follow_to_end
from ratchet.cli.output import note, write_document
from ratchet.cli.resume_command import MaxTokens
from ratchet.cli.submit_command import (
    AsJson,
    Deadline,
    Key,
    MaxCost,
    MaxSteps,
    Metadata,
    Watch,
    Webhook,
    only_given,
    pairs,
)
from ratchet.cli.task_commands import TaskId
from ratchet.contracts.names import Json

FromStep = Annotated[
    int | None, typer.Option("--step", help="Go on from here; the last step if not given, 0: anew.")
]
Model = Annotated[str | None, typer.Option(help="The model that does every step of the fork.")]
Instruction = Annotated[str | None, typer.Option(help="Said to the agent after that step.")]
ToolAnswers = Annotated[
    list[str] | None,
    typer.Option(
        "--tool-answer",
        metavar="CALL_ID=TEXT",
        help="Another answer of a tool up to that step; repeatable. `show --json` has the ids.",
    ),
]


def fork(  # noqa: PLR0913 - one parameter per option
    task_id: TaskId,
    *,
    step: FromStep = None,
    model: Model = None,
    instruction: Instruction = None,
    tool_answer: ToolAnswers = None,
    max_cost: MaxCost = None,
    max_steps: MaxSteps = None,
    max_tokens: MaxTokens = None,
    deadline: Deadline = None,
    webhook: Webhook = None,
    metadata: Metadata = None,
    idempotency_key: Key = None,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Fork a task: a new one goes on from a step of it, with another model, instruction or tool answer."""
    body: dict[str, Json] = {
        "step": step,
        "model": model,
        "instruction": instruction,
        "tool_answers": pairs(tool_answer or [], option="--tool-answer", example="call_1=TEXT"),
        "limits": {
            "max_cost_usd": max_cost,
            "max_steps": max_steps,
            "max_tokens": max_tokens,
            "deadline_seconds": deadline,
        },
        "webhook": {"url": webhook},
        "metadata": pairs(metadata or [], option="--metadata", example="ticket=4711"),
    }
    with connect() as client:
        task = client.fork(task_id, only_given(body), idempotency_key=idempotency_key)
        if watch:
            follow_to_end(client, task.task_id, as_json=as_json)
        elif as_json:
            write_document(task)
        else:
            where = "" if task.parent is None else f", from step {task.parent.step} of {task_id}"
            print(f"{task.task_id}  {task.status.value}  (agent {task.agent}{where})")
            note(f"Watch it:  ratchet watch {task.task_id}")
