"""Runs one agent step per invocation, for the state machine."""

from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.step_executor.models import chat_model
from ratchet.adapters.aws_spans import span_sink
from ratchet.adapters.aws_store import (
    checkpoints,
    known_goals,
    memories,
    response_cache,
    suspensions,
    tenant_budgets,
)
from ratchet.adapters.system import SystemClock, UlidIds
from ratchet.app.agents import AgentRegistry
from ratchet.app.deployed_models import DeployedModels
from ratchet.app.execute_step import ExecuteStep
from ratchet.app.memories import Memories
from ratchet.app.similar_goal import GoalPorts
from ratchet.app.suspensions import SuspendedTenants
from ratchet.app.tenant_allowance import TenantGovernor
from ratchet.app.traced_step import TracedStep
from ratchet.app.warm_histories import WarmHistories
from ratchet.cold_start import once
from ratchet.contracts.messages import StepInput
from ratchet.contracts.names import MODELS_FILE
from ratchet.contracts.settings import StepExecutorSettings
from ratchet.contracts.tenant_caps import TenantCaps
from ratchet.observability import EmfMetrics, log_about, logger
from ratchet.unexpected import without_content

_BUNDLE = Path(__file__).parents[2]


@once
def execute_step() -> ExecuteStep | TracedStep:
    """The step executor's use case on AWS."""
    settings = StepExecutorSettings.from_env()
    clock = SystemClock()
    models = DeployedModels.load(_BUNDLE / MODELS_FILE).catalogue
    store = checkpoints(settings, clock)
    chat = chat_model(settings, clock, models=models)
    caps = TenantCaps.parse(settings.tenant_caps)
    step = ExecuteStep(
        store=store,
        chat=chat,
        agents=AgentRegistry.load(),
        clock=clock,
        ids=UlidIds(clock),
        metrics=EmfMetrics(),
        warm=WarmHistories(),
        patience_seconds=settings.model_patience_seconds,
        clock_margin_seconds=settings.clock_margin_seconds,
        steps_per_execution=settings.steps_per_execution,
        models=models,
        throttles=store,
        cache=response_cache(settings, clock),
        memories=Memories(memories(settings, clock), clock),
        goals=GoalPorts(chat, known_goals(settings, clock)),
        tenants=TenantGovernor(tenant_budgets(settings, clock), caps),
        is_suspended=SuspendedTenants(suspensions(settings), clock),
    )
    sink = span_sink(settings, clock, service="step_executor")
    return step if sink is None else TracedStep(step, sink)


@logger.inject_lambda_context(clear_state=True)
@without_content
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """One step; the answer is the next state of the execution."""
    step = StepInput.from_event(event)
    log_about(step.task, step.step.number)
    left_ms = context.get_remaining_time_in_millis
    return execute_step()(step, remaining_seconds=lambda: left_ms() / 1000).to_dict()
