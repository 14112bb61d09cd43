"""submit: a goal becomes a task."""

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from ratchet.cli.errors import CliError
from ratchet.cli.outcome import connect, finish, follow_to_end, interruptible, wait_for_end
from ratchet.cli.output import note, write_document
from ratchet.contracts import limits
from ratchet.contracts.names import Complexity, Json, OnConflict

Goal = Annotated[str, typer.Argument(help="What the agent should achieve; - reads stdin.")]
Agent = Annotated[str | None, typer.Option(help="Which agent; see `ratchet agents`.")]
User = Annotated[str | None, typer.Option(help="Whom the task is for.")]
Rated = Annotated[
    Complexity | None, typer.Option(help="Which routes it takes, whatever its plan says.")
]
Webhook = Annotated[str | None, typer.Option(help="URL that gets the signed outcome.")]
MaxCost = Annotated[float | None, typer.Option(help="Most it may cost, in dollars.")]
MaxSteps = Annotated[int | None, typer.Option(help="Most steps it may take.")]
Deadline = Annotated[int | None, typer.Option(help="Seconds until it must be done.")]
Metadata = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="Kept with the task; repeatable.")
]
Session = Annotated[str | None, typer.Option(help="Tasks of a session share history.")]
Conflict = Annotated[
    OnConflict | None, typer.Option(help="While another task of the session runs; else it waits.")
]
Key = Annotated[str | None, typer.Option(help="The same key creates the task only once.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the result.")]
Watch = Annotated[bool, typer.Option("--watch", help="Show the steps as they happen.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document (with --watch: one per line).")
]


def submit(  # noqa: PLR0913 - one parameter per option
    goal: Goal,
    *,
    agent: Agent = None,
    user: User = None,
    complexity: Rated = None,
    webhook: Webhook = None,
    max_cost: MaxCost = None,
    max_steps: MaxSteps = None,
    deadline: Deadline = None,
    metadata: Metadata = None,
    session: Session = None,
    on_conflict: Conflict = None,
    idempotency_key: Key = None,
    wait: Wait = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Submit a goal."""
    body: dict[str, Json] = {
        "goal": sys.stdin.read() if goal == "-" else goal,
        "agent": agent,
        "user_id": user,
        "complexity": complexity,
        "session_id": session,
        "on_conflict": on_conflict,
        "webhook": {"url": webhook},
        "metadata": pairs(metadata or [], option="--metadata", example="ticket=4711"),
        "limits": {
            "max_cost_usd": max_cost,
            "max_steps": max_steps,
            "deadline_seconds": deadline,
        },
    }
    with connect() as client:
        hold = limits.MAX_WAIT_SECONDS if wait and not watch else 0
        with interruptible("Stopped; if the task was made, it goes on. Find it:  ratchet list"):
            task = client.submit(only_given(body), idempotency_key=idempotency_key, wait=hold)
        if watch:
            follow_to_end(client, task.task_id, as_json=as_json)
        elif wait:
            with interruptible(
                f"Stopped waiting; the task goes on. See it:  ratchet watch {task.task_id}"
            ):
                task = wait_for_end(client, task)
            finish(task, as_json=as_json)
        elif as_json:
            write_document(task)
        else:
            print(f"{task.task_id}  {task.status.value}  (agent {task.agent})")
            note(f"Watch it:  ratchet watch {task.task_id}")


def only_given(fields: Mapping[str, Json]) -> dict[str, Json]:
    """Without what was not given: the API has its own defaults."""
    body: dict[str, Json] = {}
    for name, value in fields.items():
        given = only_given(value) if isinstance(value, dict) else value
        if given is not None and given != {}:
            body[name] = given
    return body


def pairs(texts: list[str], *, option: str, example: str) -> dict[str, Json]:
    """What a repeatable KEY=VALUE option was given.

    Raises:
        CliError: one of them is no pair.
    """
    found: dict[str, Json] = {}
    for text in texts:
        key, is_pair, value = text.partition("=")
        if not is_pair or not key:
            raise CliError(f"{option} {text!r} is not KEY=VALUE", f"Say {option} {example}.")
        found[key] = value
    return found
