"""resume: an ended task goes on from its last step."""

from typing import Annotated

import typer

from ratchet.cli.errors import CliError
from ratchet.cli.outcome import connect, follow_to_end
from ratchet.cli.output import note, write_document
from ratchet.cli.submit_command import AsJson, Deadline, MaxCost, MaxSteps, Watch, only_given
from ratchet.cli.task_commands import TaskId
from ratchet.contracts.names import Json

EffectOutcomes = Annotated[
    list[str],
    typer.Option(
        metavar="ID=OUTCOME",
        help="What you found out about an unsafe call: `happened` or `did_not_happen`. Resuming names the ids.",
    ),
]
Upgrade = Annotated[
    bool,
    typer.Option("--upgrade", help="Go on with what is deployed now, not what it started with."),
]
MaxTokens = Annotated[int | None, typer.Option(help="Most tokens it may use.")]


def resume(  # noqa: PLR0913 - one parameter per option
    task_id: TaskId,
    *,
    max_cost: MaxCost = None,
    max_steps: MaxSteps = None,
    max_tokens: MaxTokens = None,
    deadline: Deadline = None,
    effect_outcome: EffectOutcomes = [],  # noqa: B006 - typer's own way; never written to
    upgrade: Upgrade = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Let a task go on that failed, ran out of time or met a limit; its deadline counts from now."""
    limits: dict[str, Json] = {
        "max_cost_usd": max_cost,
        "max_steps": max_steps,
        "max_tokens": max_tokens,
        "deadline_seconds": deadline,
    }
    with connect() as client:
        body = only_given(
            {
                "limits": limits,
                "effect_outcomes": _outcomes(effect_outcome) or None,
                "upgrade": upgrade or None,
            }
        )
        task = client.resume(task_id, body)
        if watch:
            follow_to_end(client, task.task_id, as_json=as_json)
        elif as_json:
            write_document(task)
        else:
            print(f"{task.task_id}  {task.status.value}")
            note(f"Watch it:  ratchet watch {task.task_id}")
            if not upgrade:
                note(
                    "It keeps the code that it started with; --upgrade takes what is deployed now."
                )


def _outcomes(given: list[str]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for text in given:
        id_, found_sign, outcome = text.partition("=")
        if not found_sign:
            raise CliError(
                f"--effect-outcome {text!r} is not ID=OUTCOME",
                "Resume without it: the answer names the ids.",
            )
        found[id_] = outcome
    return found
