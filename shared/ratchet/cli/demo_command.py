"""demo: two tasks the whole way, on this machine, checked end to end."""

import signal
import sys
from contextlib import ExitStack
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ratchet.cli.config import model_config
from ratchet.cli.output import dollars, write_document
from ratchet.cli.project import require_project
from ratchet.cli.stages import Stages
from ratchet.contracts.names import Json

if TYPE_CHECKING:
    from ratchet.cli.demo_checks import DemoCheck
    from ratchet.cli.demo_run import DemoRun, DemoTask


def demo(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False
) -> None:
    """Run two tasks on the local stack and check every promise on the way; ends by itself."""
    require_project()
    signal.signal(signal.SIGTERM, _end)
    stages = Stages(sys.stderr if as_json else sys.stdout)
    with ExitStack() as cleanup:
        run = _start(cleanup, stages, as_json=as_json)
        tasks = run.all_tasks()
        stages.say("done; stopping the stack")
    from ratchet.cli.demo_checks import check_demo  # noqa: PLC0415

    checks = check_demo(tasks, scripted=run.is_scripted)
    passed = all(check.ok for check in checks)
    if as_json:
        write_document(_document(tasks, checks, passed=passed, seconds=stages.elapsed))
    else:
        _print_checks(checks)
        _print_verdict(tasks, stages, passed=passed, scripted=run.is_scripted)
    if not passed:
        raise typer.Exit(1)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave through every `with`, so that nothing stays behind."""
    sys.exit(128 + number)


def _start(cleanup: ExitStack, stages: Stages, *, as_json: bool) -> "DemoRun":
    # Late, and in this order: the first line appears before seconds of imports.
    stages.say("Ratchet demo: the deployable stack, on this machine, without AWS")
    from ratchet.cli.demo_run import DemoRun  # noqa: PLC0415
    from ratchet.cli.dev_stack import DevStack  # noqa: PLC0415
    from ratchet.cli.function_logs import LogPrinter  # noqa: PLC0415
    from ratchet.testing.receiver import WebhookReceiver  # noqa: PLC0415

    model = model_config()
    stack = cleanup.enter_context(
        DevStack.start(
            model_api_key=model.key,
            model_base_url=model.base_url if model.key else None,
            say=stages.say,
            on_log=LogPrinter(),
        )
    )
    receiver = cleanup.enter_context(WebhookReceiver.start())
    stages.say(f"the API answers at {stack.api_url}; a webhook receiver listens beside it")
    return cleanup.enter_context(DemoRun.connect(stack, receiver, stages, as_json=as_json))


def _document(
    tasks: "list[DemoTask]", checks: "list[DemoCheck]", *, passed: bool, seconds: float
) -> dict[str, Json]:
    return {
        "ok": passed,
        "checks": [check.to_json() for check in checks],
        "tasks": [task.to_json() for task in tasks],
        "cost_usd": round(sum(task.view.cost_usd for task in tasks), 6),
        "seconds": round(seconds, 1),
    }


def _print_checks(checks: "list[DemoCheck]") -> None:
    print("\nChecked:")
    for check in checks:
        print(f"  {'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.detail}")
    print()


def _print_verdict(
    tasks: "list[DemoTask]", stages: Stages, *, passed: bool, scripted: bool
) -> None:
    cost = dollars(sum(task.view.cost_usd for task in tasks))
    spent = f"{cost} at list prices (nothing was spent: no model was asked)" if scripted else cost
    verdict = "everything checked out" if passed else "SOMETHING DID NOT CHECK OUT, see above"
    stages.say(f"{len(tasks)} tasks, {spent}; {verdict}")
    if passed:
        print("Next:  make dev  keeps it running;  ratchet new NAME  writes an agent of your own.")
