"""The function that runs a step: its settings, the parameters behind them, and what it may do."""

from dataclasses import dataclass
from typing import Self, cast

from aws_cdk import CfnParameter, Duration, Stack

from cdk.assembly.ground import Ground
from cdk.components.checkpoints import CHECK, COUNT, READ, READ_BODIES, WRITE, WRITE_BODIES
from cdk.components.python_function import PythonFunction
from ratchet.contracts.limits import CLOCK_MARGIN_SECONDS, STEPS_PER_EXECUTION
from ratchet.contracts.settings import StepExecutorSettings


@dataclass(frozen=True, slots=True)
class _Parameters:
    """What may change between deployments of one template."""

    base_url: str
    patience_seconds: int
    margin_seconds: int
    steps: int

    @classmethod
    def declare(cls, stack: Stack) -> Self:
        base_url = CfnParameter(
            stack,
            "ModelBaseUrl",
            default="https://api.openai.com/v1",
            allowed_pattern="https?://.+",
            description="Where the models answer (any OpenAI-compatible API).",
        )
        patience = _seconds(
            stack,
            "ModelPatienceSeconds",
            180,
            description="How long a step waits for a model that does not answer.",
        )
        margin = _seconds(
            stack,
            "ClockMarginSeconds",
            CLOCK_MARGIN_SECONDS,
            description="How far the clocks of two sandboxes may differ.",
        )
        steps = CfnParameter(
            stack,
            "StepsPerExecution",
            type="Number",
            default=STEPS_PER_EXECUTION,
            min_value=1,
            max_value=STEPS_PER_EXECUTION,
            description="Steps after which a task goes on in an execution of its own.",
        )
        return cls(base_url.value_as_string, patience, margin, _as_number(steps))


def make_step_executor(ground: Ground) -> PythonFunction:
    """It alone reads the keys of the models."""
    parameters = _Parameters.declare(ground.stack)
    function = ground.factory.make(
        "step_executor",
        StepExecutorSettings(
            table_name=ground.checkpoints.table.table_name,
            payload_bucket=ground.checkpoints.payloads.bucket_name,
            model_base_url=parameters.base_url,
            model_key_secret_arn=ground.secrets.model_key.secret_arn,
            providers=ground.provider_keys.setting(),
            model_patience_seconds=parameters.patience_seconds,
            steps_per_execution=parameters.steps,
            clock_margin_seconds=parameters.margin_seconds,
            tenant_caps=ground.deployment.tenant_caps,
            otlp_endpoint=ground.traces.endpoint,
            otlp_headers_secret_arn=ground.traces.headers_arn,
        ),
        Duration.seconds(ground.deployment.step_timeout_seconds),
        extra="llm",
    )
    ground.checkpoints.grant_table(function, [*READ, *COUNT, *WRITE, *CHECK])
    ground.checkpoints.grant_forgetting(function)
    ground.checkpoints.grant_payloads(function, READ_BODIES, WRITE_BODIES)
    ground.secrets.model_key.grant_read(function)
    ground.provider_keys.grant_read(function)
    ground.traces.grant(function)
    return function


def _seconds(stack: Stack, name: str, default: int, *, description: str) -> int:
    parameter = CfnParameter(
        stack, name, type="Number", default=default, min_value=0, description=description
    )
    return _as_number(parameter)


def _as_number(parameter: CfnParameter) -> int:
    """A number token does not survive str(); CloudFormation has checked that it is one."""
    return cast("int", parameter.value_as_string)
