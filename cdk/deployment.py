"""What a deployment may choose: the CDK context, parsed and checked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from cdk.requirements_closure import MACHINES
from ratchet.contracts.limits import MIN_RUNNING_TASKS
from ratchet.contracts.settings import NO_SPANS
from ratchet.contracts.tenant_caps import TenantCaps

CHOICES: Mapping[str, tuple[str, ...]] = {
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    "auth": ("iam", "jwt", "api_key"),
    "iam_tenant": ("account", "principal"),
    "architecture": tuple(MACHINES),
    "removal": ("retain", "destroy"),
}
LIMITS: Mapping[str, tuple[int, int]] = {
    "api_memory_mb": (128, 10_240),
    "authorizer_memory_mb": (128, 10_240),
    "dispatcher_memory_mb": (128, 10_240),
    "sweeper_memory_mb": (128, 10_240),
    "scheduler_memory_mb": (128, 10_240),
    "step_executor_memory_mb": (128, 10_240),
    "deliverer_memory_mb": (128, 10_240),
    "step_timeout_seconds": (30, 870),
    "dispatcher_concurrency": (2, 1_000),
    "deliverer_concurrency": (2, 1_000),
    "throttle_rate": (1, 10_000),
    "throttle_burst": (1, 5_000),
    "tenant_rate": (0, 10_000),
    "tenant_burst": (1, 5_000),
    "tenant_running_tasks": (0, 1_000_000),
    "max_running_tasks": (0, 1_000_000),
    "step_executor_provisioned_min": (0, 10_000),
    "step_executor_provisioned_max": (0, 10_000),
}
RANGES = (
    ("min_running_tasks", "max_running_tasks"),
    ("step_executor_provisioned_min", "step_executor_provisioned_max"),
)
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_GLOBAL_ACL = re.compile(
    rf"arn:aws:wafv2:us-east-1:\d{{12}}:global/webacl/[\w-]{{1,128}}/{_UUID}", re.A
)
_CERTIFICATE = re.compile(rf"arn:aws:acm:us-east-1:\d{{12}}:certificate/{_UUID}", re.A)
_DOMAIN = re.compile(
    r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.){1,9}[a-z][a-z0-9-]{1,62}"
)
_SECRET_VERSION = re.compile(r"[A-Za-z0-9-]{32,64}")


class BadContext(ValueError):
    """A value that no deployment can have; the message names the key and what is allowed."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Every context key with its default."""

    stack_name: str = "Ratchet"
    stage: str = ""
    log_level: str = "INFO"
    auth: str = "iam"
    iam_tenant: str = "account"
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_tenant_claim: str = "tenant"
    jwt_user_claim: str = "sub"
    jwt_scope_claim: str = "scope"
    jwt_scope_prefix: str = ""
    default_agent: str = "research"
    routing: str = "cdk/routing.yaml"
    models: str = "cdk/models.yaml"
    providers: str = "cdk/providers.yaml"
    tenant_caps: str = "none"
    architecture: str = "arm64"
    removal: str = "retain"
    kms: bool = False
    tracing: bool = False
    otlp_endpoint: str = NO_SPANS
    nag: bool = False
    # Whether announced questions come with links that answer them: who holds one needs no credentials.
    decision_links: bool = False
    api_memory_mb: int = 512
    authorizer_memory_mb: int = 256
    dispatcher_memory_mb: int = 256
    sweeper_memory_mb: int = 256
    scheduler_memory_mb: int = 512
    step_executor_memory_mb: int = 512
    deliverer_memory_mb: int = 256
    step_timeout_seconds: int = 300
    log_retention_days: int = 30
    dispatcher_concurrency: int = 5
    deliverer_concurrency: int = 5
    throttle_rate: int = 50
    throttle_burst: int = 100
    # The team's own web ACL, with CloudFront before the API to hold it; an address and certificate of the team's.
    web_acl_arn: str = ""
    web_domain: str = ""
    web_certificate_arn: str = ""
    origin_secret_version: str = (
        ""  # of what CloudFront shows; empty: the one in force when it is set up
    )
    # Requests a second of each tenant, on average and at once; 0: only the throttle of all.
    tenant_rate: int = 0
    tenant_burst: int = 50
    # Tasks that run at once, of each tenant and in all; 0: as many as come. The limit in all moves between min and max.
    tenant_running_tasks: int = 0
    min_running_tasks: int = MIN_RUNNING_TASKS
    max_running_tasks: int = 0
    # Sandboxes kept warm: always, and while there is a backlog. 0: none are, and nothing is billed for it.
    step_executor_provisioned_min: int = 0
    step_executor_provisioned_max: int = 0

    @property
    def full_name(self) -> str:
        """The stack's name; a stage gets a stack of its own."""
        return f"{self.stack_name}-{self.stage}" if self.stage else self.stack_name

    @classmethod
    def context_keys(cls) -> tuple[str, ...]:
        """The context keys that mean something."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def from_context(cls, context: Mapping[str, object]) -> Self:
        """Read a context; absent keys (or None) keep their default.

        Raises:
            BadContext: a value is not one of those allowed.
        """
        given: dict[str, Any] = {}
        for field in fields(cls):
            value = context.get(field.name)
            if value is not None:
                given[field.name] = _parse(field.name, field.type, str(value))
        deployment = cls(**given)
        check_jwt(deployment)
        check_spans(deployment.otlp_endpoint)
        check_web_front(deployment)
        for low, high in RANGES:
            least, most = getattr(deployment, low), getattr(deployment, high)
            if most and least > most:
                raise BadContext(
                    f"{low}={least} is above {high}={most}: lower one or raise the other"
                )
        return deployment


def check_jwt(deployment: Deployment) -> None:
    """Refuse callers with tokens of nobody, or for anybody.

    Raises:
        BadContext: `auth=jwt` is not whole, or its parts are given without it.
    """
    issuer, audience = deployment.jwt_issuer, deployment.jwt_audience
    if deployment.auth != "jwt":
        if issuer or audience:
            raise BadContext("jwt_issuer and jwt_audience need auth=jwt")
        return
    # Plain http only to this machine: API Gateway itself refuses any issuer without https.
    if not issuer.startswith(("https://", "http://127.0.0.1:")):
        raise BadContext(f"jwt_issuer={issuer!r}: say your identity provider's https:// address")
    if not audience.replace(",", "").strip():
        raise BadContext("jwt_audience is empty: name the audience (or client id) of the tokens")


def check_spans(endpoint: str) -> None:
    """Refuse to send spans, and the key of whoever takes them, where anybody can read them.

    Raises:
        BadContext: the endpoint is neither https nor on the function's own machine, where a collector layer listens.
    """
    here = ("http://127.0.0.1:", "http://localhost:")
    if endpoint != NO_SPANS and not endpoint.startswith(("https://", *here)):
        raise BadContext(
            f"otlp_endpoint={endpoint!r}: say the whole https:// URL (.../v1/traces), or "
            "http://localhost:4318/v1/traces for a collector layer"
        )


def check_web_front(deployment: Deployment) -> None:
    """Refuse a web ACL that CloudFront cannot hold, and callers that CloudFront would break.

    Raises:
        BadContext: the web ACL cannot be put before this deployment, or what belongs to it is given without it.
    """
    acl = deployment.web_acl_arn
    if not acl:
        parts = ("web_domain", "web_certificate_arn", "origin_secret_version")
        if given := [name for name in parts if getattr(deployment, name)]:
            raise BadContext(f"{given[0]} needs web_acl_arn: without it there is no web front")
        return
    if not _GLOBAL_ACL.fullmatch(acl):
        raise BadContext(
            f"web_acl_arn={acl!r}: say the ARN of a web ACL with scope CLOUDFRONT, "
            "arn:aws:wafv2:us-east-1:<account>:global/webacl/<name>/<id>; CloudFront takes no regional one"
        )
    if deployment.auth == "iam":
        raise BadContext(
            "web_acl_arn needs auth=jwt or auth=api_key: a SigV4 signature covers the Host, which "
            "CloudFront replaces, so that every request of auth=iam would be refused"
        )
    _check_own_domain(deployment)


def _check_own_domain(deployment: Deployment) -> None:
    name, certificate = deployment.web_domain, deployment.web_certificate_arn
    if bool(name) != bool(certificate):
        raise BadContext("web_domain and web_certificate_arn need each other: say both, or neither")
    if name and not _DOMAIN.fullmatch(name):
        raise BadContext(f"web_domain={name!r}: say a host name, as api.example.com")
    if certificate and not _CERTIFICATE.fullmatch(certificate):
        raise BadContext(
            f"web_certificate_arn={certificate!r}: say the ARN of an ACM certificate in us-east-1, "
            "where CloudFront looks for them"
        )
    version = deployment.origin_secret_version
    if version and not _SECRET_VERSION.fullmatch(version):
        raise BadContext(
            f"origin_secret_version={version!r}: say the VersionId that put-secret-value printed"
        )


def _parse(key: str, kind: object, text: str) -> str | int | bool:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise BadContext(f"{key}={text!r}: say true or false")
        return text.lower() == "true"
    if kind is int:
        return _number(key, text)
    if key == "tenant_caps":
        return _tenant_caps(text)
    if key in CHOICES and text not in CHOICES[key]:
        raise BadContext(f"{key}={text!r}: say one of {', '.join(CHOICES[key])}")
    return text


def _tenant_caps(text: str) -> str:
    try:
        TenantCaps.parse(text)
    except ValueError as exc:
        raise BadContext(f"tenant_caps: {exc}") from exc
    return text


def _number(key: str, text: str) -> int:
    low, high = LIMITS.get(key, (1, 100_000))
    if not text.isdecimal() or not low <= int(text) <= high:
        raise BadContext(f"{key}={text!r}: say a whole number from {low} to {high}")
    return int(text)
