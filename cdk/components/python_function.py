"""The one way a Lambda function is made: its defaults are here and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk.components.acknowledged import acknowledge
from cdk.components.retention import LogKeeping
from ratchet.contracts.names import METRICS_NAMESPACE
from ratchet.contracts.settings import Settings


@dataclass(frozen=True, slots=True)
class Platform:
    """What all functions of a stack share."""

    runtime: lambda_.Runtime
    architecture: lambda_.Architecture
    log_level: str
    logs: LogKeeping
    tracing: bool


@dataclass(frozen=True, slots=True)
class Code:
    """The archive of one folder of functions/, with the layers it imports from."""

    name: str
    archive: Path
    layers: Sequence[lambda_.ILayerVersion]


@dataclass(frozen=True, slots=True)
class Size:
    """What an invocation may use."""

    memory_mb: int
    timeout: Duration


class PythonFunction(lambda_.Function):
    """A role and a log group of its own, and only the environment that its settings class reads."""

    def __init__(
        self, scope: Construct, *, code: Code, size: Size, settings: Settings, platform: Platform
    ) -> None:
        id_ = "".join(part.capitalize() for part in code.name.split("_"))
        log_group = platform.logs.group(scope, f"{id_}Logs")
        # Not the managed basic role: that one may write to every log group of the account.
        role = iam.Role(
            scope, f"{id_}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com")
        )
        log_group.grant_write(role)
        super().__init__(
            scope,
            f"{id_}Function",
            runtime=platform.runtime,
            architecture=platform.architecture,
            handler=f"functions.{code.name}.handler.lambda_handler",
            code=lambda_.Code.from_asset(str(code.archive)),
            layers=list(code.layers),
            memory_size=size.memory_mb,
            timeout=size.timeout,
            log_group=log_group,
            role=role,
            # Versions outlive the deployment that replaces them: executions may still run them.
            current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.RETAIN),
            tracing=lambda_.Tracing.ACTIVE if platform.tracing else lambda_.Tracing.DISABLED,
            environment={
                **settings.to_env(),
                "POWERTOOLS_SERVICE_NAME": code.name,
                "POWERTOOLS_LOG_LEVEL": platform.log_level,
                "POWERTOOLS_METRICS_NAMESPACE": METRICS_NAMESPACE,
            },
        )
        if platform.tracing:
            acknowledge(role, {"IAM5[Resource::*]": "X-Ray knows no resource-level permissions."})
        acknowledge(self, {"L1": "The runtime is the Python that built the bytecode in the zip."})
