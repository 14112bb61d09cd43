"""The stack: it composes the components; `cdk/assembly` says what each function is told and may do."""

from aws_cdk import CfnOutput, Fn, Stack
from constructs import Construct

from cdk.assembly.front import Front, make_front
from cdk.assembly.ground import Ground
from cdk.assembly.scheduling import Schedules, make_schedules
from cdk.assembly.step_executor import make_step_executor
from cdk.assembly.workers import make_deliverer, make_dispatcher, make_sweeper
from cdk.bundling import Bundle
from cdk.components.alarms import Alarms
from cdk.components.asl import definition
from cdk.components.dashboard import Dashboard
from cdk.components.python_function import PythonFunction
from cdk.components.warm_sandboxes import WarmSandboxes
from cdk.components.workflow import Workflow
from cdk.deployment import Deployment
from ratchet.contracts.providers import Providers
from ratchet.contracts.routing import RoutingTable


class RatchetStack(Stack):
    """Everything that Ratchet needs in one account and region."""

    def __init__(
        self,
        scope: Construct,
        *,
        deployment: Deployment,
        routing: RoutingTable,
        providers: Providers,
        bundle: Bundle,
    ) -> None:
        super().__init__(scope, deployment.full_name, description="Ratchet: durable AI agents.")
        self._ground = Ground.lay(self, deployment=deployment, providers=providers, bundle=bundle)
        self._step_executor = make_step_executor(self._ground)
        self._workflow = self._make_workflow(routing)
        schedules = make_schedules(self._ground, self._workflow)
        front = make_front(self._ground, self._workflow, schedules)
        functions = [
            self._step_executor,
            make_dispatcher(self._ground, self._workflow),
            make_deliverer(self._ground, api_url=front.url),
            sweeper := make_sweeper(self._ground, self._workflow),
            schedules.function,
            *front.functions,
        ]
        self._keep_warm()
        self._watch(sweeper)
        self._write_outputs(front, schedules, functions)

    def _make_workflow(self, routing: RoutingTable) -> Workflow:
        seconds = self._ground.deployment.step_timeout_seconds
        return Workflow(
            self,
            "Workflow",
            definition=definition(routing, step_timeout_seconds=seconds),
            step_executor=self._step_executor,
            inbox=self._ground.inbox.queue,
            outbox=self._ground.outbox.queue,
            platform=self._ground.factory.platform,
        )

    def _keep_warm(self) -> None:
        most = self._ground.deployment.step_executor_provisioned_max
        if most:
            WarmSandboxes(
                self,
                "WarmSandboxes",
                version=self._step_executor.current_version,
                logs=self._ground.factory.platform.logs,
                minimum=self._ground.deployment.step_executor_provisioned_min,
                maximum=most,
            )

    def _watch(self, sweeper: PythonFunction) -> None:
        queues = {"inbox": self._ground.inbox, "outbox": self._ground.outbox}
        machine = self._workflow.machine
        Alarms(
            self,
            "Alarms",
            **queues,
            machine=machine,
            step_executor=self._step_executor,
            sweeper=sweeper,
        )
        Dashboard(self, "Dashboard", **queues, machine=machine)

    def _write_outputs(
        self, front: Front, schedules: Schedules, functions: list[PythonFunction]
    ) -> None:
        ground = self._ground
        values = {
            "ApiUrl": front.url,
            "TopicArn": ground.announcements.topic.topic_arn,
            "StateMachineArn": self._workflow.machine.state_machine_arn,
            "TableName": ground.checkpoints.table.table_name,
            "PayloadBucketName": ground.checkpoints.payloads.bucket_name,
            "ScheduleGroupName": schedules.scheduling.group.ref,
            "QueueUrl": ground.inbox.queue.queue_url,
            "OutboxQueueUrl": ground.outbox.queue.queue_url,
            "ModelKeySecretArn": ground.secrets.model_key.secret_arn,
            "WebhookSecretArn": ground.secrets.webhook.secret_arn,
            **ground.provider_keys.outputs(),
            **front.outputs,
            "FunctionNames": Fn.join(",", [function.function_name for function in functions]),
        }
        if ground.secrets.api_keys is not None:
            values["ApiKeysSecretArn"] = ground.secrets.api_keys.secret_arn
        for name, value in values.items():
            CfnOutput(self, name, value=value)
