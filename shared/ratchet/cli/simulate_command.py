"""simulate: bursts of several tenants against admission, token buckets and quotas."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli.errors import CliError
from ratchet.cli.output import console, note, write_document

if TYPE_CHECKING:
    from ratchet.capacity.outcome import Outcome
    from ratchet.capacity.scenario import Scenario

INSTALL = "Install the extra:  pip install 'ratchet[capacity]'  (in a checkout: any `make` verb)."

Tenants = Annotated[
    list[str],
    typer.Option(
        "--tenant",
        help="NAME:TASKS[@START[+OVER]], times in seconds; once for each tenant. quiet:10@60+30 "
        "submits 10 tasks from second 60 on, spread over 30 s.",
    ),
]
Steps = Annotated[int, typer.Option(help="Steps of a task.")]
StepSeconds = Annotated[float, typer.Option(help="How long a step runs, 30 % more or less.")]
StepTokens = Annotated[int, typer.Option(help="Input and output tokens of a step.")]
Rpm = Annotated[float, typer.Option(help="The provider's requests a minute.")]
Tpm = Annotated[float, typer.Option(help="The provider's tokens a minute.")]
BucketShare = Annotated[
    float, typer.Option(help="Part of both that our token buckets hand out; 0: no buckets.")
]
OtherUse = Annotated[float, typer.Option(help="Part of both that others use up unseen.")]
Fair = Annotated[bool, typer.Option("--fair/--fifo", help="Between tenants, or oldest first.")]
MinRunning = Annotated[int | None, typer.Option(help="The limit of running tasks at rest.")]
MaxRunning = Annotated[int | None, typer.Option(help="The most that it rises to.")]
TenantLimit = Annotated[int | None, typer.Option(help="Most running tasks of any tenant.")]
TenantLimits = Annotated[
    list[str] | None, typer.Option("--limit", help="Of one tenant: NAME=N; repeatable.")
]
Concurrency = Annotated[int, typer.Option(help="The account's Lambda concurrency.")]
Transitions = Annotated[float, typer.Option(help="State transitions a second.")]
Starts = Annotated[float, typer.Option(help="StartExecution calls a second.")]
Dispatchers = Annotated[int, typer.Option(help="Sandboxes of the dispatcher.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same run.")]
Plots = Annotated[Path | None, typer.Option(help="Write PNG plots into this folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def simulate(  # noqa: PLR0913 - one parameter per option
    *,
    tenant: Tenants,
    steps: Steps = 25,
    step_seconds: StepSeconds = 3.0,
    step_tokens: StepTokens = 7_400,
    rpm: Rpm = 10_000,
    tpm: Tpm = 30_000_000,
    bucket_share: BucketShare = 0.98,
    other_use: OtherUse = 0.0,
    fair: Fair = True,
    min_running: MinRunning = None,
    max_running: MaxRunning = None,
    tenant_limit: TenantLimit = None,
    limit: TenantLimits = None,
    lambda_concurrency: Concurrency = 1_000,
    transitions: Transitions = 1_500,
    starts: Starts = 300,
    dispatchers: Dispatchers = 5,
    seed: Seed = 1,
    plots: Plots = None,
    as_json: AsJson = False,
) -> None:
    """Simulate bursts of tasks: queue depth, start delays per tenant, 429s, the quota that fills first."""
    from ratchet.capacity.scenario import Aws, Provider, Scenario  # noqa: PLC0415
    from ratchet.cli import planning_options as options  # noqa: PLC0415

    with options.as_cli_errors():
        scenario = Scenario(
            loads=options.loads(tenant),
            steps=steps,
            step_seconds=step_seconds,
            step_tokens=step_tokens,
            provider=Provider(rpm, tpm, bucket_share, other_use),
            aws=Aws(
                lambda_concurrency=lambda_concurrency,
                transitions_per_second=transitions,
                starts_per_second=starts,
                dispatchers=dispatchers,
            ),
            rules=options.limit_rules(min_running, max_running),
            tenant_limit=tenant_limit,
            tenant_limits={
                name: int(most) for name, most in options.pairs("--limit", limit or []).items()
            },
            is_fair=fair,
            seed=seed,
        )
    outcome = _simulated(scenario)
    written = _plotted(outcome, plots) if plots else []
    if as_json:
        write_document({**outcome.to_json(), "plots": [str(path) for path in written]})
        return
    from ratchet.cli.simulate_view import print_outcome  # noqa: PLC0415

    print_outcome(outcome, console())
    for path in written:
        note(f"wrote {path}")


def _simulated(scenario: "Scenario") -> "Outcome":
    try:
        from ratchet.capacity.simulation import simulate as run  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise CliError(f"simulating needs {exc.name}, which is not installed", INSTALL) from exc
    return run(scenario)


def _plotted(outcome: "Outcome", folder: Path) -> list[Path]:
    try:
        from ratchet.capacity.plots import write_plots  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise CliError(f"plotting needs {exc.name}, which is not installed", INSTALL) from exc
    try:
        return write_plots(outcome, folder)
    except OSError as exc:
        raise CliError(f"{folder} cannot be written: {exc.strerror}") from exc
