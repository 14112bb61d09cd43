"""Schedules: what calls, the function that is called, and what it is told and may do."""

from dataclasses import dataclass

from cdk.assembly.ground import Ground
from cdk.components import functions as sizes
from cdk.components.checkpoints import COUNT, READ, READ_BODIES, WRITE, WRITE_BODIES
from cdk.components.python_function import PythonFunction
from cdk.components.scheduling import DELETE, Scheduling
from cdk.components.workflow import Workflow
from ratchet.contracts.settings import SchedulerSettings


@dataclass(frozen=True, slots=True)
class Schedules:
    """EventBridge's side, and the function that submits what is due."""

    scheduling: Scheduling
    function: PythonFunction


def make_schedules(ground: Ground, workflow: Workflow) -> Schedules:
    """The function may do what submitting takes, and clear timers that have no record any more."""
    scheduling = Scheduling(ground.stack, "Schedules", dead_letters=ground.inbox.dead_letters)
    function = ground.factory.make(
        "scheduler",
        SchedulerSettings(
            table_name=ground.checkpoints.table.table_name,
            payload_bucket=ground.checkpoints.payloads.bucket_name,
            queue_url=ground.inbox.queue.queue_url,
            outbox_queue_url=ground.outbox.queue.queue_url,
            state_machine_arn=workflow.machine.state_machine_arn,
            default_agent=ground.deployment.default_agent,
            schedule_group=scheduling.group.ref,
            tenant_rate=ground.deployment.tenant_rate,
            tenant_burst=ground.deployment.tenant_burst,
        ),
        sizes.SCHEDULER_TIMEOUT,
    )
    ground.checkpoints.grant_table(function, [*READ, *COUNT, *WRITE])
    ground.checkpoints.grant_payloads(function, READ_BODIES, WRITE_BODIES)
    ground.inbox.queue.grant_send_messages(function)
    ground.outbox.queue.grant_send_messages(function)
    workflow.grant_control(function, "states:StopExecution")
    scheduling.call(function)
    scheduling.grant(function, DELETE)
    return Schedules(scheduling, function)
