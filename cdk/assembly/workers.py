"""The functions that nobody calls: queues and the clock do. What each is told, and what it may do."""

from cdk.assembly.ground import Ground
from cdk.components import functions as sizes
from cdk.components.checkpoints import (
    COUNT,
    DUE,
    ERASE,
    ERASE_BODIES,
    ERASE_ONE,
    READ,
    READ_BODIES,
    WAITING,
    WRITE,
    WRITE_BODIES,
)
from cdk.components.poison import Poison
from cdk.components.python_function import PythonFunction
from cdk.components.sweeping import Sweeping
from cdk.components.workflow import Workflow
from ratchet.contracts.settings import DelivererSettings, DispatcherSettings, SweeperSettings


def make_dispatcher(ground: Ground, workflow: Workflow) -> PythonFunction:
    """It starts tasks."""
    function = ground.factory.make(
        "dispatcher",
        DispatcherSettings(
            table_name=ground.checkpoints.table.table_name,
            payload_bucket=ground.checkpoints.payloads.bucket_name,
            **ground.limits,
            state_machine_arn=workflow.version_arn,
        ),
        sizes.DISPATCHER_TIMEOUT,
    )
    ground.checkpoints.grant_table(function, [*READ, *COUNT, *WRITE], indexes=[WAITING])
    # What a session had said is pinned in the task that starts, and may be large with it.
    ground.checkpoints.grant_payloads(function, READ_BODIES, WRITE_BODIES)
    workflow.machine.grant_start_execution(function)
    # What runs the execution that it finds started already.
    workflow.grant_control(function, "states:DescribeExecution")
    ground.inbox.ring(
        function, batch_size=10, max_concurrency=ground.deployment.dispatcher_concurrency
    )
    return function


def make_deliverer(ground: Ground, *, api_url: str) -> PythonFunction:
    """It announces; links in announcements lead to the API, so it is told where that answers."""
    function = ground.factory.make(
        "deliverer",
        DelivererSettings(
            table_name=ground.checkpoints.table.table_name,
            payload_bucket=ground.checkpoints.payloads.bucket_name,
            **ground.limits,
            queue_url=ground.inbox.queue.queue_url,
            topic_arn=ground.announcements.topic.topic_arn,
            webhook_secret_arn=ground.secrets.webhook.secret_arn,
            decision_links_url=api_url if ground.deployment.decision_links else "",
            tenant_caps=ground.deployment.tenant_caps,
            otlp_endpoint=ground.traces.endpoint,
            otlp_headers_secret_arn=ground.traces.headers_arn,
        ),
        sizes.DELIVERER_TIMEOUT,
        extra="webhooks",
    )
    ground.checkpoints.grant_table(function, [*READ, *COUNT, *WRITE], indexes=[WAITING])
    ground.checkpoints.grant_payloads(function, READ_BODIES)
    ground.inbox.queue.grant_send_messages(function)  # for whoever takes a slot that comes free
    ground.announcements.topic.grant_publish(function)
    ground.secrets.webhook.grant_read(function)
    ground.traces.grant(function)
    # One by one: a receiver may hang for as long as it is given. A batch of those outlasts the function, and then the
    # messages of other tenants come back, too.
    ground.outbox.ring(
        function, batch_size=1, max_concurrency=ground.deployment.deliverer_concurrency
    )
    return function


def make_sweeper(ground: Ground, workflow: Workflow) -> PythonFunction:
    """It mends, erases, and buries dead letters."""
    function = ground.factory.make(
        "sweeper",
        SweeperSettings(
            table_name=ground.checkpoints.table.table_name,
            payload_bucket=ground.checkpoints.payloads.bucket_name,
            **ground.limits,
            queue_url=ground.inbox.queue.queue_url,
            outbox_queue_url=ground.outbox.queue.queue_url,
            state_machine_arn=workflow.version_arn,
        ),
        sizes.SWEEPER_TIMEOUT,
    )
    ground.checkpoints.grant_table(
        function, [*READ, *COUNT, *WRITE, *ERASE, *ERASE_ONE], indexes=[DUE, WAITING]
    )
    ground.checkpoints.grant_payloads(function, READ_BODIES, WRITE_BODIES, ERASE_BODIES)
    ground.inbox.queue.grant_send_messages(function)
    ground.outbox.queue.grant_send_messages(function)
    workflow.machine.grant_start_execution(function)
    workflow.grant_control(function, "states:DescribeExecution")
    Poison(ground.stack, "Poison", queues=(ground.inbox, ground.outbox), sweeper=function)
    Sweeping(ground.stack, "Sweeping", sweeper=function, machine=workflow.machine)
    return function
