"""The stack: it composes the components and says who may do what."""

from typing import cast

from aws_cdk import CfnOutput, CfnParameter, Duration, Fn, RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk.bundling import Bundle
from cdk.components import functions as sizes
from cdk.components.alarms import Alarms
from cdk.components.announcements import Announcements
from cdk.components.api import Api, Throttle
from cdk.components.asl import definition
from cdk.components.checkpoints import (
    BY_TENANT,
    CHECK,
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
    Checkpoints,
)
from cdk.components.dashboard import Dashboard
from cdk.components.functions import FunctionFactory
from cdk.components.identity import grant_api_keys, identify, identity_of
from cdk.components.inbox import Inbox
from cdk.components.poison import Poison
from cdk.components.python_function import Platform, PythonFunction
from cdk.components.retention import retention
from cdk.components.secrets import ProviderKeys, Secrets
from cdk.components.sweeping import Sweeping
from cdk.components.traces import Traces
from cdk.components.warm_sandboxes import WarmSandboxes
from cdk.components.workflow import Workflow
from cdk.deployment import Deployment
from ratchet.contracts.limits import (
    CLOCK_MARGIN_SECONDS,
    LINK_BURST,
    LINK_RATE,
    STEPS_PER_EXECUTION,
)
from ratchet.contracts.providers import Providers
from ratchet.contracts.routing import RoutingTable
from ratchet.contracts.settings import (
    ApiSettings,
    AuthorizerSettings,
    DelivererSettings,
    DispatcherSettings,
    StepExecutorSettings,
    SweeperSettings,
)

REMOVAL = {"retain": RemovalPolicy.RETAIN, "destroy": RemovalPolicy.DESTROY}


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
        self._deployment = deployment
        self._retention = retention(deployment.log_retention_days)
        self._checkpoints = Checkpoints(
            self,
            "Checkpoints",
            removal=REMOVAL[deployment.removal],
            customer_key=deployment.kms,
        )
        self._inbox = self._queue("Inbox", sizes.DISPATCHER_TIMEOUT)
        self._outbox = self._queue("Outbox", sizes.DELIVERER_TIMEOUT)
        self._announcements = Announcements(self, "Announcements")
        self._secrets = Secrets(self, "Secrets", api_keys=deployment.auth == "api_key")
        self._provider_keys = ProviderKeys(self, "ProviderKeys", providers=providers)
        self._traces = Traces(self, "Traces", endpoint=deployment.otlp_endpoint)
        self._factory = FunctionFactory.create(
            self, deployment=deployment, bundle=bundle, platform=self._platform(bundle)
        )
        self._step_executor = self._make_step_executor()
        self._workflow = Workflow(
            self,
            "Workflow",
            definition=definition(routing, step_timeout_seconds=deployment.step_timeout_seconds),
            step_executor=self._step_executor,
            inbox=self._inbox.queue,
            outbox=self._outbox.queue,
            platform=self._factory.platform,
        )
        of_api = self._make_api()  # the deliverer is told where it answers
        functions = [
            self._step_executor,
            self._make_dispatcher(),
            self._make_deliverer(),
            sweeper := self._make_sweeper(),
            *of_api,
        ]
        self._keep_warm()
        Alarms(
            self,
            "Alarms",
            inbox=self._inbox,
            outbox=self._outbox,
            machine=self._workflow.machine,
            step_executor=self._step_executor,
            sweeper=sweeper,
        )
        queues = {"inbox": self._inbox, "outbox": self._outbox}
        Dashboard(self, "Dashboard", **queues, machine=self._workflow.machine)
        self._write_outputs(functions)

    @property
    def _limits(self) -> dict[str, int]:
        """What those who admit tasks are told."""
        names = ("tenant_running_tasks", "min_running_tasks", "max_running_tasks")
        return {name: getattr(self._deployment, name) for name in names}

    def _queue(self, id_: str, consumer_timeout: Duration) -> Inbox:
        return Inbox(
            self,
            id_,
            consumer_timeout=consumer_timeout,
            burier_timeout=sizes.SWEEPER_TIMEOUT,
        )

    def _keep_warm(self) -> None:
        most = self._deployment.step_executor_provisioned_max
        if most:
            WarmSandboxes(
                self,
                "WarmSandboxes",
                version=self._step_executor.current_version,
                minimum=self._deployment.step_executor_provisioned_min,
                maximum=most,
            )

    def _platform(self, bundle: Bundle) -> Platform:
        return Platform(
            runtime=lambda_.Runtime(
                f"python{bundle.python}", lambda_.RuntimeFamily.PYTHON, supports_inline_code=True
            ),
            architecture=(
                lambda_.Architecture.ARM_64
                if self._deployment.architecture == "arm64"
                else lambda_.Architecture.X86_64
            ),
            log_level=self._deployment.log_level,
            log_retention=self._retention,
            tracing=self._deployment.tracing,
        )

    def _make_step_executor(self) -> PythonFunction:
        base_url = CfnParameter(
            self,
            "ModelBaseUrl",
            default="https://api.openai.com/v1",
            allowed_pattern="https?://.+",
            description="Where the models answer (any OpenAI-compatible API).",
        )
        patience = self._seconds(
            "ModelPatienceSeconds", 180, "How long a step waits for a model that does not answer."
        )
        margin = self._seconds(
            "ClockMarginSeconds",
            CLOCK_MARGIN_SECONDS,
            "How far the clocks of two sandboxes may differ.",
        )
        steps = CfnParameter(
            self,
            "StepsPerExecution",
            type="Number",
            default=STEPS_PER_EXECUTION,
            min_value=1,
            max_value=STEPS_PER_EXECUTION,
            description="Steps after which a task goes on in an execution of its own.",
        )
        function = self._factory.make(
            "step_executor",
            StepExecutorSettings(
                table_name=self._checkpoints.table.table_name,
                payload_bucket=self._checkpoints.payloads.bucket_name,
                model_base_url=base_url.value_as_string,
                model_key_secret_arn=self._secrets.model_key.secret_arn,
                providers=self._provider_keys.setting(),
                model_patience_seconds=patience,
                steps_per_execution=_as_number(steps),
                clock_margin_seconds=margin,
                tenant_caps=self._deployment.tenant_caps,
                otlp_endpoint=self._traces.endpoint,
                otlp_headers_secret_arn=self._traces.headers_arn,
            ),
            Duration.seconds(self._deployment.step_timeout_seconds),
            extra="llm",
        )
        self._checkpoints.grant_table(function, [*READ, *COUNT, *WRITE, *CHECK])
        self._checkpoints.grant_forgetting(function)
        self._checkpoints.grant_payloads(function, READ_BODIES, WRITE_BODIES)
        self._secrets.model_key.grant_read(function)
        self._provider_keys.grant_read(function)
        self._traces.grant(function)
        return function

    def _seconds(self, name: str, default: int, description: str) -> int:
        parameter = CfnParameter(
            self, name, type="Number", default=default, min_value=0, description=description
        )
        return _as_number(parameter)

    def _make_dispatcher(self) -> PythonFunction:
        function = self._factory.make(
            "dispatcher",
            DispatcherSettings(
                table_name=self._checkpoints.table.table_name,
                payload_bucket=self._checkpoints.payloads.bucket_name,
                **self._limits,
                state_machine_arn=self._workflow.version_arn,
            ),
            sizes.DISPATCHER_TIMEOUT,
        )
        self._checkpoints.grant_table(function, [*READ, *COUNT, *WRITE], indexes=[WAITING])
        # What a session had said is pinned in the task that starts, and may be large with it.
        self._checkpoints.grant_payloads(function, READ_BODIES, WRITE_BODIES)
        self._workflow.machine.grant_start_execution(function)
        # What runs the execution that it finds started already.
        self._workflow.grant_control(function, "states:DescribeExecution")
        self._inbox.ring(
            function, batch_size=10, max_concurrency=self._deployment.dispatcher_concurrency
        )
        return function

    def _make_deliverer(self) -> PythonFunction:
        function = self._factory.make(
            "deliverer",
            DelivererSettings(
                table_name=self._checkpoints.table.table_name,
                payload_bucket=self._checkpoints.payloads.bucket_name,
                **self._limits,
                queue_url=self._inbox.queue.queue_url,
                topic_arn=self._announcements.topic.topic_arn,
                webhook_secret_arn=self._secrets.webhook.secret_arn,
                decision_links_url=self.api.url if self._deployment.decision_links else "",
                tenant_caps=self._deployment.tenant_caps,
                otlp_endpoint=self._traces.endpoint,
                otlp_headers_secret_arn=self._traces.headers_arn,
            ),
            sizes.DELIVERER_TIMEOUT,
            extra="webhooks",
        )
        self._checkpoints.grant_table(function, [*READ, *COUNT, *WRITE], indexes=[WAITING])
        self._checkpoints.grant_payloads(function, READ_BODIES)
        self._inbox.queue.grant_send_messages(function)  # for whoever takes a slot that comes free
        self._announcements.topic.grant_publish(function)
        self._secrets.webhook.grant_read(function)
        self._traces.grant(function)
        self._outbox.ring(
            function, batch_size=5, max_concurrency=self._deployment.deliverer_concurrency
        )
        return function

    def _make_sweeper(self) -> PythonFunction:
        function = self._factory.make(
            "sweeper",
            SweeperSettings(
                table_name=self._checkpoints.table.table_name,
                payload_bucket=self._checkpoints.payloads.bucket_name,
                **self._limits,
                queue_url=self._inbox.queue.queue_url,
                outbox_queue_url=self._outbox.queue.queue_url,
                state_machine_arn=self._workflow.version_arn,
            ),
            sizes.SWEEPER_TIMEOUT,
        )
        self._checkpoints.grant_table(
            function, [*READ, *COUNT, *WRITE, *ERASE], indexes=[DUE, WAITING]
        )
        self._checkpoints.grant_payloads(function, READ_BODIES, WRITE_BODIES, ERASE_BODIES)
        self._inbox.queue.grant_send_messages(function)
        self._outbox.queue.grant_send_messages(function)
        self._workflow.machine.grant_start_execution(function)
        self._workflow.grant_control(function, "states:DescribeExecution")
        Poison(self, "Poison", queues=(self._inbox, self._outbox), sweeper=function)
        Sweeping(self, "Sweeping", sweeper=function, machine=self._workflow.machine)
        return function

    def _make_api(self) -> list[PythonFunction]:
        handler = self._factory.make(
            "api",
            ApiSettings(
                table_name=self._checkpoints.table.table_name,
                payload_bucket=self._checkpoints.payloads.bucket_name,
                queue_url=self._inbox.queue.queue_url,
                outbox_queue_url=self._outbox.queue.queue_url,
                state_machine_arn=self._workflow.machine.state_machine_arn,
                default_agent=self._deployment.default_agent,
                root_key_secret_arn=self._secrets.webhook.secret_arn,
                step_executor_memory_mb=self._deployment.step_executor_memory_mb,
                architecture=self._deployment.architecture,
                identity=identity_of(self._deployment).to_setting(),
                decision_links="on" if self._deployment.decision_links else "off",
                tenant_rate=self._deployment.tenant_rate,
                tenant_burst=self._deployment.tenant_burst,
            ),
            sizes.API_TIMEOUT,
        )
        actions = [*READ, *WRITE, *COUNT, *ERASE, *ERASE_ONE]
        self._checkpoints.grant_table(handler, actions, indexes=[BY_TENANT])
        self._checkpoints.grant_payloads(handler, READ_BODIES, WRITE_BODIES, ERASE_BODIES)
        self._inbox.queue.grant_send_messages(handler)
        self._outbox.queue.grant_send_messages(handler)
        self._workflow.grant_control(handler, "states:StopExecution")
        self._secrets.webhook.grant_read(handler)
        authorizer = self._make_authorizer()
        self.api = Api(
            self,
            "Api",
            handler=handler,
            identify=identify(self._deployment, authorizer),
            throttle=Throttle(self._deployment.throttle_rate, self._deployment.throttle_burst),
            log_retention=self._retention,
        )
        if self._deployment.decision_links:
            self.api.add_links(Throttle(LINK_RATE, LINK_BURST))
        return [handler, *([authorizer] if authorizer else [])]

    def _make_authorizer(self) -> PythonFunction | None:
        if self._secrets.api_keys is None:
            return None
        function = self._factory.make(
            "authorizer",
            AuthorizerSettings(
                api_keys_secret_arn=self._secrets.api_keys.secret_arn,
                table_name=self._checkpoints.table.table_name,
            ),
            sizes.AUTHORIZER_TIMEOUT,
        )
        grant_api_keys(self._checkpoints, function)
        self._secrets.api_keys.grant_read(function)
        return function

    def _write_outputs(self, functions: list[PythonFunction]) -> None:
        values = {
            "ApiUrl": self.api.url,
            "TopicArn": self._announcements.topic.topic_arn,
            "StateMachineArn": self._workflow.machine.state_machine_arn,
            "TableName": self._checkpoints.table.table_name,
            "PayloadBucketName": self._checkpoints.payloads.bucket_name,
            "QueueUrl": self._inbox.queue.queue_url,
            "OutboxQueueUrl": self._outbox.queue.queue_url,
            "ModelKeySecretArn": self._secrets.model_key.secret_arn,
            "WebhookSecretArn": self._secrets.webhook.secret_arn,
            **self._provider_keys.outputs(),
            "FunctionNames": Fn.join(",", [function.function_name for function in functions]),
        }
        if self._secrets.api_keys is not None:
            values["ApiKeysSecretArn"] = self._secrets.api_keys.secret_arn
        for name, value in values.items():
            CfnOutput(self, name, value=value)


def _as_number(parameter: CfnParameter) -> int:
    """A number token does not survive str(); CloudFormation has checked that it is one."""
    return cast("int", parameter.value_as_string)
