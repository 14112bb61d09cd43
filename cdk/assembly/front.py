"""The way in: the API with the function behind it, and who is asked about callers."""

from dataclasses import dataclass

from cdk.assembly.ground import Ground
from cdk.assembly.scheduling import Schedules
from cdk.components import functions as sizes
from cdk.components.api import Api, Throttle
from cdk.components.checkpoints import (
    BY_TENANT,
    COUNT,
    ERASE,
    ERASE_BODIES,
    ERASE_ONE,
    READ,
    READ_BODIES,
    WRITE,
    WRITE_BODIES,
)
from cdk.components.identity import grant_api_keys, identify, identity_of
from cdk.components.python_function import PythonFunction
from cdk.components.scheduling import CREATE, DELETE
from cdk.components.workflow import Workflow
from ratchet.contracts.limits import LINK_BURST, LINK_RATE
from ratchet.contracts.settings import ApiSettings, AuthorizerSettings


@dataclass(frozen=True, slots=True)
class Front:
    """Where the API answers, and the functions that do."""

    url: str
    functions: list[PythonFunction]


def make_front(ground: Ground, workflow: Workflow, schedules: Schedules) -> Front:
    """Open the routes, each to whom the deployment says."""
    deployment = ground.deployment
    handler = _make_handler(ground, workflow, schedules)
    schedules.scheduling.grant(handler, CREATE, DELETE)
    schedules.scheduling.grant_handing_over(handler)
    authorizer = _make_authorizer(ground)
    api = Api(
        ground.stack,
        "Api",
        handler=handler,
        identify=identify(deployment, authorizer),
        throttle=Throttle(deployment.throttle_rate, deployment.throttle_burst),
        logs=ground.factory.platform.logs,
    )
    if deployment.decision_links:
        api.add_links(Throttle(LINK_RATE, LINK_BURST))
    return Front(api.url, [handler, *([authorizer] if authorizer else [])])


def _make_handler(ground: Ground, workflow: Workflow, schedules: Schedules) -> PythonFunction:
    handler = ground.factory.make(
        "api",
        ApiSettings(
            table_name=ground.checkpoints.table.table_name,
            payload_bucket=ground.checkpoints.payloads.bucket_name,
            queue_url=ground.inbox.queue.queue_url,
            outbox_queue_url=ground.outbox.queue.queue_url,
            state_machine_arn=workflow.machine.state_machine_arn,
            default_agent=ground.deployment.default_agent,
            root_key_secret_arn=ground.secrets.webhook.secret_arn,
            step_executor_memory_mb=ground.deployment.step_executor_memory_mb,
            architecture=ground.deployment.architecture,
            identity=identity_of(ground.deployment).to_setting(),
            decision_links="on" if ground.deployment.decision_links else "off",
            schedule_group=schedules.scheduling.group.ref,
            scheduler_function_arn=schedules.function.function_arn,
            scheduler_role_arn=schedules.scheduling.role.role_arn,
            dead_letters_arn=schedules.scheduling.dead_letters.queue_arn,
            tenant_rate=ground.deployment.tenant_rate,
            tenant_burst=ground.deployment.tenant_burst,
        ),
        sizes.API_TIMEOUT,
    )
    actions = [*READ, *WRITE, *COUNT, *ERASE, *ERASE_ONE]
    ground.checkpoints.grant_table(handler, actions, indexes=[BY_TENANT])
    ground.checkpoints.grant_payloads(handler, READ_BODIES, WRITE_BODIES, ERASE_BODIES)
    ground.inbox.queue.grant_send_messages(handler)
    ground.outbox.queue.grant_send_messages(handler)
    workflow.grant_control(handler, "states:StopExecution")
    ground.secrets.webhook.grant_read(handler)
    return handler


def _make_authorizer(ground: Ground) -> PythonFunction | None:
    if ground.secrets.api_keys is None:
        return None
    function = ground.factory.make(
        "authorizer",
        AuthorizerSettings(
            api_keys_secret_arn=ground.secrets.api_keys.secret_arn,
            table_name=ground.checkpoints.table.table_name,
        ),
        sizes.AUTHORIZER_TIMEOUT,
    )
    grant_api_keys(ground.checkpoints, function)
    ground.secrets.api_keys.grant_read(function)
    return function
