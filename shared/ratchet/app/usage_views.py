"""How the usage ledger looks from outside."""

from ratchet.app.read_usage import UsageReport
from ratchet.app.task_views import usage_view, usd
from ratchet.contracts.limits import MAX_USAGE_GROUPS
from ratchet.contracts.usage_report import UsageGroupView, UsageReportView, UsageSumView
from ratchet.domain.usage import NOTHING, Amounts


def report_view(report: UsageReport) -> UsageReportView:
    """A report; groups beyond the first thousand are one sum."""
    shown, others = report.groups[:MAX_USAGE_GROUPS], report.groups[MAX_USAGE_GROUPS:]
    rest = sum((amounts for _, amounts in others), NOTHING)
    return UsageReportView(
        first_day=report.first_day,
        last_day=report.last_day,
        by=report.by,
        groups=[_group_view(name, amounts) for name, amounts in shown],
        rest=_sum_view(rest) if others else None,
        total=_sum_view(report.total),
    )


def _group_view(name: str, amounts: Amounts) -> UsageGroupView:
    together = _sum_view(amounts)
    return UsageGroupView(
        key=name or None,
        steps=together.steps,
        usage=together.usage,
        cost_usd=together.cost_usd,
    )


def _sum_view(amounts: Amounts) -> UsageSumView:
    return UsageSumView(
        steps=amounts.steps,
        usage=usage_view(amounts.usage),
        cost_usd=usd(amounts.cost_microusd),
    )
