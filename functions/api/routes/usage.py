"""Usage: what was spent on what."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query

from functions.api.current import Routes, use_cases
from ratchet.app.usage_views import report_view
from ratchet.contracts.names import UsageBy
from ratchet.contracts.usage_report import UsageReportView

routes = Routes()

_A_DAY = "A day in UTC: 2026-11-22."


@routes.get("/v1/usage", summary="Read what was used", operation_id="getUsage", tags=["usage"])
def get_usage(
    from_: Annotated[str | None, Query(alias="from", description=_A_DAY)] = None,
    to: Annotated[str | None, Query(description=_A_DAY)] = None,
    by: UsageBy = UsageBy.DAY,
) -> UsageReportView:
    """Steps, tokens and model dollars of these days, both included; without days, the last thirty."""
    return report_view(use_cases().usage(routes.tenant, first_day=from_, last_day=to, by=by))
