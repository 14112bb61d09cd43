"""Where spans go, and what the backend there wants to see."""

from aws_cdk import CfnOutput
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from cdk.components.acknowledged import acknowledge
from ratchet.contracts.settings import NO_SPANS
from ratchet.contracts.xray import ACTIONS, region_of


class Traces(Construct):
    """Nothing at all without an endpoint: no secret, no permission, no import."""

    def __init__(self, scope: Construct, id_: str, *, endpoint: str, key: kms.IKey | None) -> None:
        super().__init__(scope, id_)
        self._headers: secretsmanager.Secret | None = None
        self.endpoint = endpoint
        self.headers_arn = NO_SPANS
        self._is_signed = region_of(endpoint) is not None
        if endpoint == NO_SPANS or self._is_signed:
            return
        self._headers = secretsmanager.Secret(
            self,
            "Headers",
            encryption_key=key,
            description="HTTP headers for the OTLP endpoint, name=value,name=value with values percent-encoded: "
            "put yours in place of the generated text.",
        )
        self.headers_arn = self._headers.secret_arn
        CfnOutput(self, "SecretArn", value=self._headers.secret_arn).override_logical_id(
            "OtlpHeadersSecretArn"
        )
        acknowledge(
            self, {"SMG4": "Its holder is the backend outside: only the team can rotate it."}
        )

    def grant(self, *functions: lambda_.Function) -> None:
        """Let them read the headers; or send to X-Ray, which knows them by their role."""
        for function in functions:
            if self._headers is not None:
                self._headers.grant_read(function)
            if self._is_signed and function.role is not None:
                statement = iam.PolicyStatement(actions=list(ACTIONS), resources=["*"])
                function.add_to_role_policy(statement)
                reason = "X-Ray knows no resource-level permissions."
                acknowledge(function.role, {"IAM5[Resource::*]": reason})
