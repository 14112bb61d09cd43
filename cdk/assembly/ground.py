"""What the functions of a stack stand on: where tasks, messages, secrets and logs are kept."""

from dataclasses import dataclass
from typing import Self

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_

from cdk.bundling import Bundle
from cdk.components import functions as sizes
from cdk.components.announcements import Announcements
from cdk.components.checkpoints import Checkpoints
from cdk.components.functions import FunctionFactory
from cdk.components.inbox import Inbox
from cdk.components.python_function import Platform
from cdk.components.retention import LogKeeping, retention
from cdk.components.secrets import ProviderKeys, Secrets
from cdk.components.traces import Traces
from cdk.deployment import Deployment
from ratchet.contracts.providers import Providers

REMOVAL = {"retain": RemovalPolicy.RETAIN, "destroy": RemovalPolicy.DESTROY}


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything is a child of the stack itself: logical ids follow from the scope, and stateful ones must not move."""

    stack: Stack
    deployment: Deployment
    checkpoints: Checkpoints
    inbox: Inbox
    outbox: Inbox
    announcements: Announcements
    secrets: Secrets
    provider_keys: ProviderKeys
    traces: Traces
    factory: FunctionFactory

    @classmethod
    def lay(
        cls, stack: Stack, *, deployment: Deployment, providers: Providers, bundle: Bundle
    ) -> Self:
        """Add it to the stack."""
        checkpoints = Checkpoints(
            stack, "Checkpoints", removal=REMOVAL[deployment.removal], with_key=deployment.kms
        )
        key = checkpoints.key
        logs = LogKeeping(retention(deployment.log_retention_days), key)
        return cls(
            stack,
            deployment,
            checkpoints,
            inbox=_queue(stack, "Inbox", sizes.DISPATCHER_TIMEOUT, key=key),
            outbox=_queue(stack, "Outbox", sizes.DELIVERER_TIMEOUT, key=key),
            announcements=Announcements(stack, "Announcements", key=key),
            secrets=Secrets(stack, "Secrets", api_keys=deployment.auth == "api_key", key=key),
            provider_keys=ProviderKeys(stack, "ProviderKeys", providers=providers, key=key),
            traces=Traces(stack, "Traces", endpoint=deployment.otlp_endpoint, key=key),
            factory=FunctionFactory.create(
                stack,
                deployment=deployment,
                bundle=bundle,
                platform=_platform(deployment, python=bundle.python, logs=logs),
            ),
        )

    @property
    def limits(self) -> dict[str, int]:
        """What those who admit tasks are told."""
        names = ("tenant_running_tasks", "min_running_tasks", "max_running_tasks")
        return {name: getattr(self.deployment, name) for name in names}


def _queue(stack: Stack, id_: str, consumer_timeout: Duration, *, key: kms.IKey | None) -> Inbox:
    return Inbox(
        stack,
        id_,
        consumer_timeout=consumer_timeout,
        burier_timeout=sizes.SWEEPER_TIMEOUT,
        key=key,
    )


def _platform(deployment: Deployment, *, python: str, logs: LogKeeping) -> Platform:
    return Platform(
        runtime=lambda_.Runtime(
            f"python{python}", lambda_.RuntimeFamily.PYTHON, supports_inline_code=True
        ),
        architecture=(
            lambda_.Architecture.ARM_64
            if deployment.architecture == "arm64"
            else lambda_.Architecture.X86_64
        ),
        log_level=deployment.log_level,
        logs=logs,
        tracing=deployment.tracing,
    )
