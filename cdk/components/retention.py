"""How logs are kept: for how long, and under whose key."""

from dataclasses import dataclass

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk.aws_logs import RetentionDays
from constructs import Construct

DAYS = {
    1: RetentionDays.ONE_DAY,
    3: RetentionDays.THREE_DAYS,
    5: RetentionDays.FIVE_DAYS,
    7: RetentionDays.ONE_WEEK,
    14: RetentionDays.TWO_WEEKS,
    30: RetentionDays.ONE_MONTH,
    60: RetentionDays.TWO_MONTHS,
    90: RetentionDays.THREE_MONTHS,
    180: RetentionDays.SIX_MONTHS,
    365: RetentionDays.ONE_YEAR,
    731: RetentionDays.TWO_YEARS,
    1827: RetentionDays.FIVE_YEARS,
    3653: RetentionDays.TEN_YEARS,
}


def retention(days: int) -> RetentionDays:
    """The enum member for a number of days.

    Raises:
        ValueError: CloudWatch Logs has no such retention.
    """
    try:
        return DAYS[days]
    except KeyError:
        allowed = ", ".join(map(str, DAYS))
        raise ValueError(f"log_retention_days={days}: say one of {allowed}") from None


@dataclass(frozen=True, slots=True)
class LogKeeping:
    """The one way a log group is made."""

    days: RetentionDays
    key: kms.IKey | None

    def group(self, scope: Construct, id_: str) -> logs.LogGroup:
        """A log group that goes with its stack."""
        return logs.LogGroup(
            scope,
            id_,
            retention=self.days,
            encryption_key=self.key,
            removal_policy=RemovalPolicy.DESTROY,
        )
