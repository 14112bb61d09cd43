"""Findings of cdk-nag that we accept, each with its reason beside the resource."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def acknowledge(scope: IConstruct, reasons: dict[str, str]) -> None:
    """Accept AwsSolutions findings (`"S1": "why"`) on this construct and what is below it."""
    Validations.of(scope).acknowledge(
        *(
            Acknowledgment(id=f"AwsSolutions-{rule}", reason=reason)
            for rule, reason in reasons.items()
        )
    )
