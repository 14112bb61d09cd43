"""A simulation's outcome as tables."""

from rich.console import Console
from rich.table import Table

from ratchet.capacity.outcome import Outcome

TENANTS_SHOWN = 20
NAMES = {
    "provider_rpm": "the provider's requests a minute",
    "provider_tpm": "the provider's tokens a minute",
    "lambda_concurrency": "Lambda concurrency",
    "sfn_transitions": "Step Functions state transitions",
    "sfn_starts": "Step Functions StartExecution",
    "dispatcher": "the dispatcher's sandboxes",
    "running_limit": "the most running tasks that the deployment allows",
}


def print_outcome(outcome: Outcome, out: Console) -> None:
    """Delays, backlog, provider, quotas."""
    scenario, tally = outcome.scenario, outcome.tally
    order = "fair between tenants" if scenario.is_fair else "oldest first"
    out.print(
        f"{scenario.tasks:,} tasks of {scenario.steps} steps of {scenario.step_seconds:g} s, {order}, "
        f"seed {scenario.seed}: done after {outcome.makespan:,.0f} s.",
        soft_wrap=True,
    )
    out.print()
    out.print(_delays(outcome))
    out.print()
    peak = max(outcome.samples, key=lambda sample: sample.waiting)
    out.print(
        f"Backlog: {peak.waiting:,} tasks at most, at second {peak.second:,.0f}; the limit of running tasks rose "
        f"to {max(sample.limit for sample in outcome.samples):,}.",
        soft_wrap=True,
    )
    out.print(
        f"Provider: {tally.calls:,} calls, {tally.throttled:,} answered 429 ({outcome.throttled_share:.2%}); "
        f"{tally.parked:,} steps parked for a token bucket.",
        soft_wrap=True,
    )
    out.print(
        f"Lambda: {tally.peak_sandboxes:,} sandboxes at most, {tally.lambda_throttled:,} throttled invocations.",
        soft_wrap=True,
    )
    _print_bottleneck(outcome, out)


def _delays(outcome: Outcome) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("tenant", "tasks", "start delay p50", "p95", "p99", "longest"):
        table.add_column(title, justify="left" if title == "tenant" else "right")
    for tenant, delays in list(outcome.delays.items())[:TENANTS_SHOWN]:
        found = outcome.start_delay(tenant)
        seconds = (found.p50, found.p95, found.p99, found.max)
        table.add_row(tenant, f"{len(delays):,}", *(f"{value:,.1f} s" for value in seconds))
    if len(outcome.delays) > TENANTS_SHOWN:
        table.add_row(f"and {len(outcome.delays) - TENANTS_SHOWN} more; --json has all")
    return table


def _print_bottleneck(outcome: Outcome, out: Console) -> None:
    if not outcome.busy.seconds:
        out.print("Nothing waited for longer than a moment: no quota was near.")
        return
    out.print()
    out.print("Used while work waited:", style="bold")
    for key, share in sorted(outcome.utilisation().items(), key=lambda item: -item[1]):
        out.print(f"  {share:6.1%}  {NAMES[key]}")
    out.print(f"The bottleneck is {NAMES[outcome.bottleneck]}.")
