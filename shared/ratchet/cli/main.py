"""The `ratchet` command: one sub-command per file, its heavy imports inside."""

import os
import sys
from collections.abc import Sequence

import typer

from ratchet.cli import (
    answer_command,
    cache_command,
    delivery_commands,
    demo_command,
    deploy_command,
    dev_command,
    doctor_command,
    estimate_command,
    fork_command,
    keys_command,
    memory_commands,
    models_command,
    new_command,
    prices_command,
    resume_command,
    routes_command,
    schedule_commands,
    session_commands,
    simulate_command,
    submit_command,
    task_commands,
    tenants_command,
    usage_command,
    webhook_secret_command,
)
from ratchet.cli.errors import CliError
from ratchet.cli.output import report

_EPILOG = (
    "Commands talk to the API that RATCHET_API_URL and RATCHET_API_KEY name (without a key: signed "
    "with AWS credentials), else to the `ratchet dev` that runs in this folder."
)

app = typer.Typer(
    name="ratchet",
    help="Durable, cheap AI agents in your own AWS account.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_passed_through = {"allow_extra_args": True, "ignore_unknown_options": True}

app.command("demo")(demo_command.demo)
app.command("dev")(dev_command.dev)
app.command("submit")(submit_command.submit)
app.command("watch")(task_commands.watch)
app.command("show")(task_commands.show)
app.command("list")(task_commands.list_tasks)
app.command("cancel")(task_commands.cancel)
app.command("resume")(resume_command.resume)
app.command("interrupts")(answer_command.interrupts)
app.command("answer")(answer_command.answer)
app.command("fork")(fork_command.fork)
app.command("agents")(task_commands.agents)
app.command("routes")(routes_command.routes)
app.command("usage")(usage_command.usage)
app.command("deliveries")(delivery_commands.deliveries)
app.command("redeliver")(delivery_commands.redeliver)
app.command("webhook-secret")(webhook_secret_command.webhook_secret)
app.command("models")(models_command.models)
app.command("prices")(prices_command.prices)
app.add_typer(cache_command.app, name="cache")
app.add_typer(keys_command.app, name="keys")
app.add_typer(session_commands.app, name="sessions")
app.add_typer(schedule_commands.app, name="schedules")
app.add_typer(memory_commands.app, name="memory")
app.add_typer(tenants_command.app, name="tenants")
app.command("new")(new_command.new)
app.command("estimate")(estimate_command.estimate)
app.command("simulate")(simulate_command.simulate)
app.command("deploy", context_settings=_passed_through)(deploy_command.deploy)
app.command("doctor")(doctor_command.doctor)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code: 0 done, 1 failed, 2 wrong usage."""
    try:
        app(args=None if arguments is None else list(arguments))
    except CliError as exc:
        report(exc)
        sys.exit(1)
    except BrokenPipeError:
        # `ratchet list | head` is no error; the interpreter must not flush into the pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    run()
