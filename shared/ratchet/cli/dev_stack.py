"""The whole of Ratchet on this machine: template, local AWS, a model, and the keys to use them."""

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ratchet.cli.errors import CliError
from ratchet.cli.project import require_project
from ratchet.cli.waking import wake_tasks
from ratchet.contracts.names import Json
from ratchet.contracts.settings import PREFIX

if TYPE_CHECKING:
    from ratchet.local.stack import LocalStack
    from ratchet.testing.model_server import ModelServer

Say = Callable[[str], None]

_STACK_NAME = "Ratchet"
_SCRIPTED_KEY = "scripted"
_LEDGER = "example-refunds.jsonl"
LOCAL_CONTEXT: Mapping[str, str] = {"auth": "api_key"}
"""Where this stack is not as deployed by default: a key is all that a curl line needs."""
_NOTHING: Mapping[str, str] = {}
_TENANT = "default"  # the generated API key's
_OUTPUTS = {
    "table": "TableName",
    "topic_arn": "TopicArn",
    "queue_url": "QueueUrl",
    "state_machine_arn": "StateMachineArn",
}


@dataclass(frozen=True, slots=True)
class Keys:
    """What the stack's secrets hold for its users."""

    api_key: str
    webhook_root: str


def _quiet(_text: str) -> None:
    """Says nothing."""


class DevStack:
    """A running stack; `start` it, and close it or use it as a context manager."""

    def __init__(
        self,
        local: "LocalStack",
        models: "ModelServer | None",
        keys: Keys,
        model_base_url: str | None,
        cleanup: ExitStack,
    ) -> None:
        self.local = local
        self.models = models
        self.api_url = local.outputs["ApiUrl"]
        self.api_key = keys.api_key
        self._webhook_root = keys.webhook_root
        self.model_base_url = model_base_url
        self._cleanup = cleanup

    @classmethod
    def start(  # noqa: PLR0913 - one call configures the whole stack
        cls,
        *,
        port: int = 0,
        state_dir: Path | None = None,
        model_base_url: str | None = None,
        model_api_key: str | None = None,
        scenarios: Path | None = None,
        patience_seconds: int | None = None,
        steps_per_execution: int | None = None,
        context: Mapping[str, str] = _NOTHING,
        worker_env: Mapping[str, str] = _NOTHING,
        say: Say = _quiet,
        **local_options: Any,
    ) -> Self:
        """Synthesize, boot and hand out the keys; `say` is told of each stage.

        Without a model's address or key a scripted model is started, with these `scenarios`.
        `patience_seconds`: how long a step waits for a silent model; `steps_per_execution`: when
        a task goes on in its next execution (None: as deployed). `context`: keys of cdk.json.
        `local_options` go to LocalStack.start (`on_log`, `timing`, `max_sandboxes`).

        Raises:
            CliError: this is no checkout, the port is taken, or the template cannot be made.
        """
        require_project()
        _require_free(port)
        with ExitStack() as cleanup:
            assembly = _synthesize({**LOCAL_CONTEXT, **context}, say)
            models = None
            if model_base_url is None and model_api_key is None:
                models = _start_scripted_model(scenarios, say, cleanup)
                model_base_url = models.base_url
            else:
                say(f"model: {model_base_url or 'the real one, at its default address'}")
            say("starting the local AWS and creating the stack in it")
            local = _start_local(
                assembly,
                port=port,
                state_dir=state_dir,
                parameters=_parameters(
                    ModelBaseUrl=model_base_url,
                    ModelPatienceSeconds=patience_seconds,
                    StepsPerExecution=steps_per_execution,
                    ClockMarginSeconds=0,  # one machine, one clock
                ),
                worker_env={
                    PREFIX + "DEV_LOOPBACK_WEBHOOKS": "1",
                    # The example's refunds last as long as the tasks that made them.
                    PREFIX + "EXAMPLE_LEDGER": str(_data_folder(state_dir, cleanup) / _LEDGER),
                    **worker_env,
                },
                **local_options,
            )
            cleanup.callback(local.close)
            keys = _exchange_keys(local, model_api_key or _SCRIPTED_KEY)
            if state_dir is not None and (woken := wake_tasks(local)):
                say(f"open tasks of an earlier run that go on now: {woken}")
            return cls(local, models, keys, model_base_url, cleanup.pop_all())

    def description(self) -> dict[str, Json]:
        """Everything that a program needs to use the stack."""
        names: list[Json] = [*self.local.function_names()]
        return {
            "api_url": self.api_url,
            "api_key": self.api_key,
            "endpoint_url": self.local.endpoint_url,
            "region": self.local.region,
            **{name: self.local.outputs[output] for name, output in _OUTPUTS.items()},
            "function_names": names,
            "webhook_secret_arn": self.local.outputs["WebhookSecretArn"],
            "model_base_url": self.model_base_url,
        }

    def webhook_secret(self, url: str) -> str:
        """What the receiver at this URL verifies with, as it was when the stack started."""
        from ratchet.domain.webhook_keys import WebhookKeys  # noqa: PLC0415

        return WebhookKeys.parse(self._webhook_root).secrets(_TENANT, url, now_ms=0)[0]

    def close(self) -> None:
        """End the stack, its workers and the scripted model."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _require_free(port: int) -> None:
    """Fail before the slow part; the server's own message would come after it.

    Raises:
        CliError: something listens there.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as exc:
            raise CliError(
                f"port {port} cannot be used: {exc}",
                "Is another `ratchet dev` running? --port 0 takes a free port.",
            ) from exc


def _synthesize(context: Mapping[str, str], say: Say) -> Path:
    from cdk.bundling import BundlingError  # noqa: PLC0415
    from cdk.synth import SynthError, synthesize_beside  # noqa: PLC0415

    say("writing the CloudFormation template (the first time takes a minute: it builds the layers)")
    try:
        return synthesize_beside(context)
    except (SynthError, BundlingError) as exc:
        raise CliError(str(exc), "`make synth` shows the same; fix it and start again.") from exc


def _data_folder(state_dir: Path | None, cleanup: ExitStack) -> Path:
    if state_dir is not None:
        return state_dir.resolve()
    return Path(cleanup.enter_context(TemporaryDirectory(prefix="ratchet-dev-")))


def _start_scripted_model(scenarios: Path | None, say: Say, cleanup: ExitStack) -> "ModelServer":
    from ratchet.testing.model_server import ModelServer  # noqa: PLC0415

    say("model: scripted, no key needed (set OPENAI_API_KEY for the real one)")
    return cleanup.enter_context(ModelServer.start(scenarios))


def _start_local(assembly: Path, **options: Any) -> "LocalStack":
    from ratchet.local.errors import LocalStackError  # noqa: PLC0415
    from ratchet.local.stack import LocalStack  # noqa: PLC0415 - moto takes seconds to import

    try:
        return LocalStack.start(assembly, stack_name=_STACK_NAME, **options)
    except LocalStackError as exc:
        raise CliError(f"the local stack cannot run the template: {exc}") from exc


def _parameters(**values: str | int | None) -> dict[str, str]:
    """What is given for parameters of the template."""
    return {name: str(value) for name, value in values.items() if value is not None}


def _exchange_keys(local: "LocalStack", model_key: str) -> Keys:
    secrets = local.client("secretsmanager")
    secrets.put_secret_value(SecretId=local.outputs["ModelKeySecretArn"], SecretString=model_key)

    def read(output: str) -> str:
        value = secrets.get_secret_value(SecretId=local.outputs[output])["SecretString"]
        return str(value)

    takes_keys = "ApiKeysSecretArn" in local.outputs  # not with -c auth=iam or jwt
    return Keys(
        api_key=_first_key(read("ApiKeysSecretArn")) if takes_keys else "",
        webhook_root=read("WebhookSecretArn"),
    )


def _first_key(secret: str) -> str:
    stored = json.loads(secret)
    return str(stored.get("keys", [stored])[0]["key"])
