"""What each function is told by the infrastructure. The CDK writes `to_env()`, the function reads `from_env()`.

The only module that reads `os.environ`. Dataclasses, not pydantic: dispatcher and deliverer start without it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Self

PREFIX = "RATCHET_"
NO_PROVIDERS = "{}"
"""`StepExecutorSettings.providers` of a stack whose models have one address."""
NO_SPANS = "none"
"""`otlp_endpoint` of a stack that traces nothing."""


class MissingSetting(RuntimeError):
    """An environment variable that the template should have set is absent or malformed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Base: every field is one environment variable, `RATCHET_` + the field's name in capitals."""

    PREFIX: ClassVar[str] = PREFIX

    def to_env(self) -> dict[str, str]:
        """The environment of the function (CDK tokens are strings and pass through)."""
        return {PREFIX + f.name.upper(): str(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings.

        Raises:
            MissingSetting: a variable is absent, or not of its type.
        """
        return cls(**{f.name: _read(environ, f.name, f.type) for f in fields(cls)})


def _read(environ: Mapping[str, str], name: str, kind: object) -> str | int | float:
    variable = PREFIX + name.upper()
    try:
        text = environ[variable]
        return int(text) if kind is int else float(text) if kind is float else text
    except KeyError:
        raise MissingSetting(f"{variable} is not set; the CDK stack sets it") from None
    except ValueError:
        raise MissingSetting(f"{variable}={text!r} is not a number") from None


@dataclass(frozen=True, slots=True)
class StoreSettings(Settings):
    """Where tasks are kept."""

    table_name: str
    payload_bucket: str


@dataclass(frozen=True, slots=True)
class AdmissionSettings(StoreSettings):
    """How many tasks may run at once; 0 for as many as come."""

    tenant_running_tasks: int
    min_running_tasks: int  # the deployment's limit moves between these two
    max_running_tasks: int


@dataclass(frozen=True, slots=True)
class SubmitSettings(StoreSettings):
    """What submitting takes."""

    queue_url: str
    outbox_queue_url: str
    state_machine_arn: str  # a task may come in the place of the one that runs in its session
    default_agent: str
    tenant_rate: int  # requests a second of each tenant; 0: no limit of its own
    tenant_burst: int


@dataclass(frozen=True, slots=True)
class ApiSettings(SubmitSettings):
    """Settings of `functions/api`."""

    root_key_secret_arn: str  # its keys sign cursors
    step_executor_memory_mb: int  # what a task's AWS side depends on
    architecture: str
    identity: str  # who its callers are, as JSON (contracts/access.py)
    decision_links: str  # "on" or "off": whether questions are answered by signed links, too
    schedule_group: str  # of EventBridge Scheduler; whom its schedules call, who they are then,
    scheduler_function_arn: str
    scheduler_role_arn: str
    dead_letters_arn: str  # and where goes what could not be called
    origin_secret_arn: str  # of what CloudFront must show; empty: there is no web front


@dataclass(frozen=True, slots=True)
class DispatcherSettings(AdmissionSettings):
    """Settings of `functions/dispatcher`."""

    state_machine_arn: str


@dataclass(frozen=True, slots=True)
class StepExecutorSettings(StoreSettings):
    """Settings of `functions/step_executor`."""

    model_base_url: str
    model_key_secret_arn: str
    providers: str  # deployments of models, as JSON (contracts/providers.py)
    model_patience_seconds: int  # how long a step waits for an unreachable model
    steps_per_execution: int  # after so many, the task goes on in an execution of its own
    clock_margin_seconds: int  # how far clocks of sandboxes may differ
    tenant_caps: str  # dollars a day by tenant (contracts/tenant_caps.py)
    otlp_endpoint: str = NO_SPANS
    otlp_headers_secret_arn: str = NO_SPANS  # what the endpoint wants to see (adapters/otlp.py)


@dataclass(frozen=True, slots=True)
class DelivererSettings(AdmissionSettings):
    """Settings of `functions/deliverer`."""

    queue_url: str
    topic_arn: str
    webhook_secret_arn: str
    decision_links_url: str  # where signed links lead; empty: none are sent
    tenant_caps: (
        str  # as of step_executor: what ended tasks have left goes back to the tenant's day
    )
    otlp_endpoint: str = NO_SPANS
    otlp_headers_secret_arn: str = NO_SPANS


@dataclass(frozen=True, slots=True)
class SweeperSettings(AdmissionSettings):
    """Settings of `functions/sweeper`."""

    queue_url: str
    outbox_queue_url: str
    state_machine_arn: str


@dataclass(frozen=True, slots=True)
class SchedulerSettings(SubmitSettings):
    """Settings of `functions/scheduler`."""

    schedule_group: str


@dataclass(frozen=True, slots=True)
class AuthorizerSettings(Settings):
    """Settings of `functions/authorizer`."""

    api_keys_secret_arn: str
    table_name: str
    origin_secret_arn: str  # as of the api


@dataclass(frozen=True, slots=True)
class DevelopmentSwitches:
    """What only the local stack may switch on. No construct writes these."""

    loopback_webhooks: bool

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "DevelopmentSwitches":
        """Read the switches; they count only where AWS itself is on the loopback interface."""
        local = environ.get("AWS_ENDPOINT_URL", "").startswith("http://127.0.0.1:")
        return cls(local and environ.get(PREFIX + "DEV_LOOPBACK_WEBHOOKS") == "1")
