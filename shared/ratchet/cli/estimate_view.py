"""An estimate as tables, read by someone who has not seen Ratchet before."""

from rich.console import Console
from rich.table import Table

from ratchet.capacity.estimate import COMPARED, Estimate
from ratchet.cli.output import dollars


def print_estimate(found: Estimate, out: Console) -> None:
    """Cost, then comparison, then capacity, then what all of it assumes."""
    out.print(_cost(found))
    out.print()
    _print_comparison(found, out)
    out.print()
    out.print(_quotas(found))
    out.print()
    _print_capacity(found, out)
    out.print()
    out.print("Assumed (each has an option; see --help):", style="bold")
    for name, value in found.assumptions().items():
        out.print(f"  {name.replace('_', ' ')}: {_plain(value)}")
    out.print(
        "  list prices of us-east-1 and the models' list prices, without free tiers, discounts, "
        "failed attempts and data transfer",
        soft_wrap=True,
    )


def _table(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for place, title in enumerate(titles):
        table.add_column(title, justify="left" if place == 0 else "right")
    return table


def _cost(found: Estimate) -> Table:
    table = _table("cost", "a month", "a task")
    month = found.work.tasks_per_month
    for name, use in sorted(found.models.items(), key=lambda item: -item[1].microusd):
        usd = use.microusd / 1e6
        table.add_row(f"model {name}", dollars(usd * month), dollars(usd))
    services = found.task_bill.by_service()
    for service, usd in found.usd_by_service().items():
        own = services.get(service)
        table.add_row(
            f"AWS {service}", dollars(usd), dollars(own / 1e9) if own is not None else "-"
        )
    per_task = found.models_usd_per_task + found.task_bill.usd
    table.add_row("total", dollars(found.usd_per_month), dollars(per_task), style="bold")
    return table


def _print_comparison(found: Estimate, out: Console) -> None:
    compared, routed = found.compared_usd_per_month, found.models_usd_per_month
    verdict = "less" if found.saving_share >= 0 else "more"
    out.print(
        f"All on {COMPARED}: models {dollars(compared)} a month; the routing table: {dollars(routed)}, "
        f"{abs(found.saving_share):.0%} {verdict}.",
        soft_wrap=True,
    )
    out.print(f"Without any task the stack costs {dollars(found.idle_bill.usd)} a month.")


def _quotas(found: Estimate) -> Table:
    table = _table("quota", "limit", "peak", "share", "key (for --quota)")
    table.columns[-1].no_wrap = True
    for use in found.uses:
        quota = use.quota
        style = "red" if use.share > 1 else "yellow" if use.share > 0.5 else ""
        table.add_row(
            f"{quota.name} ({quota.unit})",
            _number(quota.limit),
            _number(use.peak),
            f"{use.share:.1%}",
            quota.key,
            style=style,
        )
    return table


def _print_capacity(found: Estimate, out: Console) -> None:
    sandboxes, fullest = found.concurrency, found.uses[0]
    out.print(
        f"Sandboxes: {_number(sandboxes.mean)} on average, {_number(sandboxes.peak)} at the peak "
        f"({found.work.peak_factor:g} times the mean; Little's law: rate times duration).",
        soft_wrap=True,
    )
    enough = "is too small at the peak" if fullest.share > 1 else "fills first"
    out.print(
        f"{fullest.quota.name} {enough}: it is full at {found.tasks_per_day_at_limit:,.0f} such tasks a day. "
        f"Raise it: {fullest.quota.source}",
        soft_wrap=True,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.3g}"


def _plain(value: object) -> str:
    match value:
        case dict():
            return ", ".join(f"{name} {count}" for name, count in value.items())
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.10g}"
        case _:
            return str(value)
