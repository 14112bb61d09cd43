"""estimate: dollars a month, sandboxes and quotas of a workload. Nothing is called; it is arithmetic."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli.output import console, write_document

if TYPE_CHECKING:
    from ratchet.capacity.estimate import Estimate, Extras
    from ratchet.capacity.workload import Workload

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Tasks = Annotated[float, typer.Option(help="Tasks a day.")]
Steps = Annotated[int, typer.Option(help="Steps of a task.")]
Mix = Annotated[
    str | None,
    typer.Option(
        help="Weights of the step types, as planning=1,tool_dispatch=20,reasoning=3,final_synthesis=1. "
        "Default: as plan_act makes them, a tenth reasoning."
    ),
]
Complex = Annotated[float, typer.Option(help="Share of tasks that are rated complex.")]
FirstInput = Annotated[int, typer.Option(help="Tokens of the first prompt.")]
Growth = Annotated[int, typer.Option(help="Tokens by which each step lengthens the prompt.")]
Output = Annotated[int, typer.Option(help="Output tokens of a step.")]
Reasoning = Annotated[int, typer.Option(help="Reasoning tokens of a step of o3 and the like.")]
Cached = Annotated[
    float, typer.Option(help="Share billed as cached of what the same model has read in the task.")
]
StepSeconds = Annotated[float, typer.Option(help="How long a step runs.")]
Peak = Annotated[float, typer.Option(help="The busiest time against the day's mean.")]
Polls = Annotated[int, typer.Option(help="API requests a task besides its submission.")]
TenantShare = Annotated[float, typer.Option(min=0, max=1, help="Of the largest tenant.")]
Memory = Annotated[int, typer.Option(min=128, help="MB of step_executor.")]
Architecture = Annotated[str, typer.Option(help="arm64 or x86_64.")]
ExtraSecrets = Annotated[
    int,
    typer.Option(
        help="Beyond the two of every stack: one each for auth=api_key, web_acl_arn, an otlp_endpoint that is "
        "not X-Ray's, and each deployment of providers.yaml that names none."
    ),
]
CustomerKey = Annotated[bool, typer.Option("--customer-key", help="With kms=true.")]
Warm = Annotated[
    int, typer.Option(help="Sandboxes always kept warm: step_executor_provisioned_min.")
]
Routing = Annotated[
    Path | None, typer.Option(help="The routing table. Default: the project's cdk/routing.yaml.")
]
Providers = Annotated[
    list[str] | None,
    typer.Option("--provider", help="A model's limits a minute, MODEL=RPM:TPM; repeatable."),
]
Quotas = Annotated[
    list[str] | None,
    typer.Option("--quota", help="Your account's quota instead of the default, KEY=N; repeatable."),
]


def estimate(  # noqa: PLR0913 - one parameter per option
    *,
    tasks_per_day: Tasks,
    steps: Steps,
    mix: Mix = None,
    complex_share: Complex = 0.2,
    first_input: FirstInput = 1_000,
    input_growth: Growth = 520,
    output: Output = 130,
    reasoning: Reasoning = 500,
    cached_share: Cached = 0.95,
    step_seconds: StepSeconds = 3.0,
    peak_factor: Peak = 5.0,
    polls: Polls = 0,
    largest_tenant_share: TenantShare = 1.0,
    memory: Memory = 512,
    architecture: Architecture = "arm64",
    extra_secrets: ExtraSecrets = 0,
    customer_key: CustomerKey = False,
    warm: Warm = 0,
    routing: Routing = None,
    provider: Providers = None,
    quota: Quotas = None,
    as_json: AsJson = False,
) -> None:
    """What a workload costs on models and AWS, how many sandboxes it needs, and which quota fills first."""
    from ratchet.capacity.estimate import Extras  # noqa: PLC0415
    from ratchet.capacity.workload import Tokens, Workload  # noqa: PLC0415
    from ratchet.cli.planning_options import as_cli_errors, step_mix  # noqa: PLC0415

    with as_cli_errors():
        work = Workload(
            tasks_per_day=tasks_per_day,
            steps=steps,
            mix=step_mix(mix),
            complex_share=complex_share,
            tokens=Tokens(first_input, input_growth, output, reasoning, cached_share),
            step_seconds=step_seconds,
            peak_factor=peak_factor,
        )
        found = _estimated(
            work,
            routing,
            provider=provider or [],
            quota=quota or [],
            memory=memory,
            architecture=architecture,
            extras=Extras(extra_secrets, int(customer_key), warm),
            polls=polls,
            largest_tenant_share=largest_tenant_share,
        )
    if as_json:
        write_document(found.to_json())
        return
    from ratchet.cli.estimate_view import print_estimate  # noqa: PLC0415

    print_estimate(found, console())


def _estimated(  # noqa: PLR0913 - one parameter per option
    work: "Workload",
    routing: Path | None,
    *,
    provider: list[str],
    quota: list[str],
    memory: int,
    architecture: str,
    extras: "Extras",
    polls: int,
    largest_tenant_share: float,
) -> "Estimate":
    from ratchet.capacity import estimate as planning  # noqa: PLC0415
    from ratchet.capacity.errors import CapacityError  # noqa: PLC0415
    from ratchet.capacity.quotas import overridden  # noqa: PLC0415
    from ratchet.cli.planning_options import catalogue, pairs, providers, routing_table  # noqa: PLC0415
    from ratchet.domain.task_bill import Functions  # noqa: PLC0415

    if architecture not in ("arm64", "x86_64"):
        raise CapacityError(f"--architecture is arm64 or x86_64, not {architecture!r}")
    if polls < 0:
        raise CapacityError("--polls must be 0 or more")
    _, table = routing_table(routing)
    around = planning.Surroundings(
        models=catalogue(),
        functions=Functions(step_executor_mb=memory, architecture=architecture),
        extras=extras,
        quotas=overridden(pairs("--quota", quota)),
        providers=providers(provider),
        largest_tenant_share=largest_tenant_share,
        polls_per_task=polls,
    )
    return planning.estimate(work, table, around)
