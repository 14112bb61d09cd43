"""dev: the whole system on this machine, until Ctrl-C."""

import json
import os
import shlex
import shutil
import signal
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli.config import DevFile, model_config
from ratchet.cli.errors import CliError
from ratchet.cli.output import write_line
from ratchet.cli.project import require_project
from ratchet.cli.stages import Stages

if TYPE_CHECKING:
    from ratchet.cli.dev_stack import DevStack

DEFAULT_PORT = 8484
_LOOK_SECONDS = 0.5
_GOAL = "What size battery does a small cabin need that uses 600 Wh a day?"


class Stopped(BaseException):
    """SIGTERM or Ctrl-C; not an Exception, so that nothing on the way swallows it."""


def dev(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = DEFAULT_PORT,
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep tasks here over restarts.")
    ] = None,
    context: Annotated[
        list[str],
        typer.Option("-c", "--context", metavar="KEY=VALUE", help="As for `make deploy`."),
    ] = [],  # noqa: B006 - typer's own way; never written to
    reload: Annotated[bool, typer.Option(help="Pick up changes of the code.")] = True,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show all function logs.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line once ready, and nothing else.")
    ] = False,
) -> None:
    """Run everything on this machine, without AWS, until Ctrl-C."""
    project = require_project()
    stages = Stages(sys.stderr if as_json else sys.stdout)
    with _stoppable(stages), ExitStack() as cleanup:
        from ratchet.cli.dev_stack import DevStack  # noqa: PLC0415
        from ratchet.cli.function_logs import LogPrinter  # noqa: PLC0415

        model = model_config()
        stack = cleanup.enter_context(
            DevStack.start(
                port=port,
                state_dir=state,
                context=_pairs(context),
                model_api_key=model.key,
                model_base_url=model.base_url if model.key else None,
                say=stages.say,
                on_log=LogPrinter(verbose=verbose),
            )
        )
        where = (stack.local.endpoint_url, stack.local.region)
        found_by = DevFile(stack.api_url, stack.api_key, os.getpid(), *where)
        found_by.write(Path.cwd())
        cleanup.callback(found_by.remove, Path.cwd())
        if reload:
            from ratchet.cli.reloading import Reloader  # noqa: PLC0415

            reloader = Reloader(stack.local, project, stages.say)
            reloader.start()
            cleanup.callback(reloader.close)
        if as_json:
            write_line(stack.description())
        else:
            stages.say("ready")
            _print_welcome(stack, state, reload=reload)
        never = Event()
        while not never.wait(_LOOK_SECONDS):
            pass  # of a signal that another thread took, this one hears when it wakes


def _pairs(context: list[str]) -> dict[str, str]:
    from cdk.synth import context_pair  # noqa: PLC0415

    try:
        return dict(context_pair(text) for text in context)
    except ArgumentTypeError as exc:
        raise CliError(str(exc), "-c takes the keys of cdk/cdk.json.") from exc


@contextmanager
def _stoppable(stages: Stages) -> Iterator[None]:
    """Ends quietly on SIGTERM and Ctrl-C, whatever is under way; what is open is closed."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the closing is not to be interrupted
        raise Stopped

    before = {n: signal.signal(n, stop) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Stopped:
        stages.say("stopped")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_welcome(stack: "DevStack", state: Path | None, *, reload: bool) -> None:
    command = "ratchet" if shutil.which("ratchet") else ".venv/bin/ratchet"
    body = shlex.quote(json.dumps({"goal": _GOAL}))
    kept = f"kept in {state}" if state else "in memory only (--state DIR keeps it)"
    saved = "Changes in shared/ and functions/ are picked up as you save. " if reload else ""
    print(f"""
  API    {stack.api_url}
  key    {stack.api_key}   (header x-api-key)
  state  {kept}

Submit a task:

  curl -s {stack.api_url}/v1/tasks -H 'x-api-key: {stack.api_key}' \\
    -H 'content-type: application/json' -d {body}

or, in another terminal in this folder, submit one and watch its steps:

  {command} submit --watch "{_GOAL}"

{saved}Ctrl-C ends it all.
""")
    sys.stdout.flush()
