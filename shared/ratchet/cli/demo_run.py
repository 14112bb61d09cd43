"""The demo's two tasks: submitted over HTTP, watched step by step, announced on both channels."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ratchet.cli.client import ApiClient
from ratchet.cli.config import ApiConfig
from ratchet.cli.dev_stack import DevStack
from ratchet.cli.output import console, dollars
from ratchet.cli.stages import Stages
from ratchet.cli.watch_view import show
from ratchet.cli.watching import StepCompleted, TaskEvent, follow
from ratchet.contracts.names import Json
from ratchet.contracts.step_api import StepView
from ratchet.contracts.task_api import TaskView
from ratchet.testing.receiver import ReceivedWebhook, WebhookReceiver

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

GOALS = (
    "What size battery does a small cabin need that uses 600 Wh a day, and how do I make it last?",
    "A cabin uses 600 Wh a day: what battery and panel carry it through three days without sun?",
)
_ANNOUNCEMENT_SECONDS = 30.0
_TASK_SECONDS = 180.0  # a real model takes about 20 s a step
_QUEUE = "ratchet-demo"


@dataclass(frozen=True, slots=True)
class DemoTask:
    """One task and everything that came of it; None is what did not come."""

    view: TaskView
    steps: tuple[StepView, ...]
    webhook: Json  # the body, its signature verified
    sns: Json

    def to_json(self) -> dict[str, Json]:
        """For `--json`."""
        return {
            **self.view.model_dump(mode="json"),
            "steps": [step.model_dump(mode="json") for step in self.steps],
            "webhook": self.webhook,
            "sns": self.sns,
        }


class DemoRun:
    """Drives a running stack as a client would."""

    def __init__(
        self,
        stack: DevStack,
        receiver: WebhookReceiver,
        client: ApiClient,
        stages: Stages,
        *,
        as_json: bool,
    ) -> None:
        self.is_scripted = stack.models is not None
        self._secret = stack.webhook_secret(receiver.url)
        self._receiver = receiver
        self._client = client
        self._stages = stages
        self._as_json = as_json
        self._sqs: SQSClient = stack.local.client("sqs")
        self._queue_url = _subscribe(stack)

    @classmethod
    def connect(
        cls, stack: DevStack, receiver: WebhookReceiver, stages: Stages, *, as_json: bool
    ) -> Self:
        """With a client of its own, and a queue subscribed to the stack's topic."""
        client = ApiClient.connect(ApiConfig(stack.api_url, stack.api_key, "the demo's stack"))
        return cls(stack, receiver, client, stages, as_json=as_json)

    def all_tasks(self) -> list[DemoTask]:
        """Run the goals one after the other."""
        return [self._run(goal) for goal in GOALS]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def _run(self, goal: str) -> DemoTask:
        self._stages.say(f"POST /v1/tasks  {json.dumps({'goal': goal})}")
        accepted = self._client.submit(
            {"goal": goal, "agent": "research", "webhook": {"url": self._receiver.url}}
        )
        self._stages.say(f"202 {accepted.status.value}: {accepted.task_id}")
        steps: list[StepView] = []
        events = _collect(
            follow(self._client, accepted.task_id, give_up_after=_TASK_SECONDS), steps
        )
        if self._as_json:
            for _ in events:
                pass
            view = self._client.task(accepted.task_id)
        else:
            print()
            view = show(events, with_outcome=False)
            _print_answer(view)
        webhook = self._webhook(view.task_id)
        self._stages.say(_announced("webhook", webhook, "signature verified"))
        sns = self._sns_message(view.task_id)
        self._stages.say(_announced("SNS message", sns, "received through a subscribed queue"))
        return DemoTask(view, tuple(steps), webhook, sns)

    def _webhook(self, task_id: str) -> Json:
        """The task's announcement, verified as a receiver would."""
        deadline = time.monotonic() + _ANNOUNCEMENT_SECONDS
        seen = 0
        while (left := deadline - time.monotonic()) > 0:
            try:
                requests = self._receiver.wait_for(seen + 1, timeout=left)
            except TimeoutError:
                return None
            for request in requests[seen:]:
                body = _verified(request, self._secret)
                if _task_id(body) == task_id:
                    return body
            seen = len(requests)
        return None

    def _sns_message(self, task_id: str) -> Json:
        deadline = time.monotonic() + _ANNOUNCEMENT_SECONDS
        while time.monotonic() < deadline:
            answer = self._sqs.receive_message(QueueUrl=self._queue_url, WaitTimeSeconds=2)
            for message in answer.get("Messages", []):
                body: Json = json.loads(message["Body"])
                if _task_id(body) == task_id:
                    return body
        return None


def _subscribe(stack: DevStack) -> str:
    """A queue that gets what the topic announces, as another service of the team would."""
    sqs, sns = stack.local.client("sqs"), stack.local.client("sns")
    url = str(sqs.create_queue(QueueName=_QUEUE)["QueueUrl"])
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    sns.subscribe(
        TopicArn=stack.local.outputs["TopicArn"],
        Protocol="sqs",
        Endpoint=attributes["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    return url


def _collect(events: Iterator[TaskEvent], steps: list[StepView]) -> Iterator[TaskEvent]:
    for event in events:
        if isinstance(event, StepCompleted):
            steps.append(event.step)
        yield event


def _verified(request: ReceivedWebhook, secret: str) -> Json:
    from standardwebhooks import WebhookVerificationError  # noqa: PLC0415

    try:
        return request.verify(secret)
    except WebhookVerificationError:
        return None


def _task_id(event: Json) -> Json:
    data = event.get("data") if isinstance(event, dict) else None
    return data.get("task_id") if isinstance(data, dict) else None


def _announced(what: str, body: Json, how: str) -> str:
    if not isinstance(body, dict):
        return f"{what}: NONE that verifies came within {_ANNOUNCEMENT_SECONDS:.0f} s"
    return f"{what}: {body.get('type')}, {how}"


def _print_answer(task: TaskView) -> None:
    out = console()
    out.print()
    if isinstance(task.result, dict):
        out.print(f"Answer: {task.result.get('answer')}")
        out.print(f"Sources: {', '.join(task.result.get('sources') or ['none'])}")
    if task.error is not None:
        out.print(f"{task.status.value}: {task.error.code}: {task.error.message}")
    out.print(f"Cost: {dollars(task.cost_usd)} for {task.progress.steps} steps")
    out.print()
