"""The way in: the API with the function behind it, and who is asked about callers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
from cdk.components.web_front import OriginSecret, WebFront, WebFrontOptions
from cdk.components.workflow import Workflow
from ratchet.contracts.limits import LINK_BURST, LINK_RATE
from ratchet.contracts.settings import ApiSettings, AuthorizerSettings


@dataclass(frozen=True, slots=True)
class Front:
    """Where the API answers, and the functions that do."""

    url: str
    functions: list[PythonFunction]
    outputs: Mapping[str, str] = field(default_factory=dict)


def make_front(ground: Ground, workflow: Workflow, schedules: Schedules) -> Front:
    """Open the routes, each to whom the deployment says."""
    deployment = ground.deployment
    options = WebFrontOptions.of(deployment)
    origin = _make_origin_secret(ground) if options else None
    handler = _make_handler(ground, workflow, schedules, origin=origin)
    schedules.scheduling.grant(handler, CREATE, DELETE)
    schedules.scheduling.grant_handing_over(handler)
    authorizer = _make_authorizer(ground, origin)
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
    functions = [handler, *([authorizer] if authorizer else [])]
    if not options or not origin:
        return Front(api.url, functions)
    shows = origin.reference(options.secret_version)
    web = WebFront(ground.stack, "WebFront", origin_host=api.host, shows=shows, options=options)
    outputs = {"WebFrontDomain": web.domain, "OriginSecretArn": origin.secret.secret_arn}
    return Front(web.url, functions, outputs)


def _make_origin_secret(ground: Ground) -> OriginSecret:
    return OriginSecret(ground.stack, "OriginSecret", key=ground.checkpoints.key)


def _make_handler(
    ground: Ground, workflow: Workflow, schedules: Schedules, *, origin: OriginSecret | None
) -> PythonFunction:
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
            origin_secret_arn=origin.secret.secret_arn if origin else "",
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
    if origin:
        origin.secret.grant_read(handler)
    return handler


def _make_authorizer(ground: Ground, origin: OriginSecret | None) -> PythonFunction | None:
    if ground.secrets.api_keys is None:
        return None
    function = ground.factory.make(
        "authorizer",
        AuthorizerSettings(
            api_keys_secret_arn=ground.secrets.api_keys.secret_arn,
            table_name=ground.checkpoints.table.table_name,
            origin_secret_arn=origin.secret.secret_arn if origin else "",
        ),
        sizes.AUTHORIZER_TIMEOUT,
    )
    grant_api_keys(ground.checkpoints, function)
    ground.secrets.api_keys.grant_read(function)
    if origin:
        origin.secret.grant_read(function)
    return function
