"""A running stack as the tests use it: its API over real HTTP, and a look behind it."""

import json
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from ratchet.cli.dev_stack import DevStack
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.domain.identifiers import execution_name
from ratchet.testing.model_faults import Fault
from ratchet.testing.model_server import ModelServer, RecordedRequest
from tests.e2e.waiting import wait_until
from tests.e2e.wire import Wire

Json = Any

TERMINAL = {"succeeded", "failed", "cancelled", "timed_out", "budget_exceeded"}
MAX_SANDBOXES = 7
STEP_TIMEOUT_SECONDS = 30
"""So long may an attempt be alive: who finds an unsafe call of unknown outcome waits for its end."""
OTHER_TENANT, OTHER_KEY = "globex", "key-of-globex"
_HTTP_SECONDS = 60.0
_OF_NO_TASK = TaskRef("default", "task_00000000000000000000000000")


def api_client(url: str, key: str | None) -> httpx.Client:
    """A client of a stack's API; without a key it is a stranger."""
    return httpx.Client(
        base_url=url,
        headers={"x-api-key": key} if key else {},
        timeout=_HTTP_SECONDS,
        trust_env=False,  # a proxy of the environment cannot reach this machine's loopback
    )


class Stage:
    """A stack with its scripted model, the wire below its functions, and a queue on its topic."""

    def __init__(
        self,
        stack: DevStack,
        wire: Wire,
        ledger: Path,
        models: ModelServer | None,
        cleanup: ExitStack,
    ) -> None:
        self.stack = stack
        self._models = models or stack.models
        self.local = stack.local
        self.wire = wire
        self.ledger = ledger
        self.http = cleanup.enter_context(api_client(stack.api_url, stack.api_key))
        self.other_tenant = cleanup.enter_context(api_client(stack.api_url, OTHER_KEY))
        self.stranger = cleanup.enter_context(api_client(stack.api_url, None))
        self.dynamodb = self.local.client("dynamodb")
        self.sqs = self.local.client("sqs")
        self.workflow = self.local.client("stepfunctions")
        self.s3 = self.local.client("s3")
        self._announced: defaultdict[str, list[Json]] = defaultdict(list)
        self._queue_url = self._subscribe()
        self._cleanup = cleanup

    @classmethod
    def start(cls, folder: Path, models: ModelServer | None = None, **options: Any) -> Self:
        """Start a stack with two tenants, and models of its own or these; `options` are those of DevStack."""
        ledger = folder / "refunds.jsonl"
        with ExitStack() as cleanup:
            wire = cleanup.enter_context(Wire())
            env = {**wire.worker_env, "RATCHET_EXAMPLE_LEDGER": str(ledger)}
            if models is not None:
                options["model_base_url"] = models.base_url
            context = {"step_timeout_seconds": str(STEP_TIMEOUT_SECONDS)}
            options = {
                "context": context,
                "max_sandboxes": MAX_SANDBOXES,
                "worker_env": env,
                **options,
            }
            stack = cleanup.enter_context(DevStack.start(**options))
            wire.upstream = stack.local.endpoint_url
            _add_tenant(stack)
            return cls(stack, wire, ledger, models, cleanup.pop_all())

    def close(self) -> None:
        """End the stack."""
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

    @property
    def models(self) -> ModelServer:
        """The scripted model."""
        if self._models is None:
            raise AssertionError("this stack has no scripted model")
        return self._models

    def inject(self, **fault: Any) -> None:
        """Let the model fail so."""
        self.models.inject(Fault(**fault))

    def submit(self, goal: str, **fields: Json) -> str:
        """Submit a goal; the task's id."""
        answer = self.http.post("/v1/tasks", json={"goal": goal, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    def task(self, task_id: str) -> Json:
        """The task as it stands."""
        return self.http.get(f"/v1/tasks/{task_id}").raise_for_status().json()

    def outcome(self, task_id: str) -> Json:
        """The task once it has ended, by long polls."""

        def ended() -> Json:
            answer = self.http.get(f"/v1/tasks/{task_id}", params={"wait": 25})
            task = answer.raise_for_status().json()
            return task if task["status"] in TERMINAL else None

        return wait_until(ended, f"the end of {task_id}")

    def asks(self, task_id: str) -> list[Json]:
        """The questions with which the task waits for a person, by long polls."""

        def asking() -> Json:
            answer = self.http.get(f"/v1/tasks/{task_id}", params={"wait": 25})
            return answer.raise_for_status().json()["interrupts"]

        found: list[Json] = wait_until(asking, f"a question of {task_id}")
        return found

    def answer(self, task_id: str, interrupt_id: str, answer: str) -> httpx.Response:
        """What a person answers."""
        path = f"/v1/tasks/{task_id}/interrupts/{interrupt_id}"
        return self.http.post(path, json={"answer": answer})

    def steps(self, task_id: str) -> list[Json]:
        """The timeline."""
        found: list[Json] = self.http.get(f"/v1/tasks/{task_id}/steps").json()["steps"]
        return found

    def asked(self, word: str) -> list[RecordedRequest]:
        """The model requests of the goals that contain a word."""
        return [r for r in self.models.requests() if word in _goal_of(r)]

    def asked_per_turn(self, word: str) -> Counter[int]:
        """How often the model was asked, by its turn in the conversation: each step is one turn."""
        return Counter(request.turn for request in self.asked(word))

    def items(self, task_id: str) -> dict[str, Json]:
        """All items of a task's partition, by sort key."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.local.outputs["TableName"],
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"TENANT#default#TASK#{task_id}"}},
        )
        return {item["sk"]["S"]: item for page in pages for item in page["Items"]}

    def step_keys(self, task_id: str) -> list[str]:
        """The sort keys of the committed steps."""
        return [sk for sk in self.items(task_id) if sk.startswith("STEP#")]

    def heard(self, task_id: str) -> list[Json]:
        """What the topic has said about a task so far."""
        self._receive()
        return [json.loads(message["Body"]) for message in self._announced[task_id]]

    def announced(self, task_id: str) -> list[Json]:
        """What the topic said about a task, once nothing is left to announce."""

        def only_erasing_is_due() -> bool:
            head = self.items(task_id)["TASK"]
            kept_ms = int(head["due_at"]["N"]) - int(head["updated_at"]["N"])
            ended = head["status"]["S"] in TERMINAL
            return ended and kept_ms == TERMINAL_RETENTION_SECONDS * 1000

        wait_until(only_erasing_is_due, f"the announcement of {task_id}")
        self._receive()
        return self._announced[task_id]

    def execution(self, task_id: str, generation: int = 1) -> Json:
        """One execution of the task, once it is over."""
        arn = self.execution_arn(task_id, generation)

        def over() -> Json:
            try:
                described = self.workflow.describe_execution(executionArn=arn)
            except self.workflow.exceptions.ExecutionDoesNotExist:
                return None  # not started yet
            return described if described["status"] != "RUNNING" else None

        return wait_until(over, f"the end of {arn}")

    def execution_arn(self, task_id: str, generation: int = 1) -> str:
        """The execution named after the task and its generation."""
        machine = self.local.outputs["StateMachineArn"]
        name = execution_name(TaskRef("default", task_id), generation)
        return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"

    def executions(self, task_id: str) -> list[str]:
        """The names of the task's executions, in the order in which they began."""
        pages = self.workflow.get_paginator("list_executions").paginate(
            stateMachineArn=self.local.outputs["StateMachineArn"]
        )
        found = [e for page in pages for e in page["executions"] if e["name"].startswith(task_id)]
        return [e["name"] for e in sorted(found, key=lambda e: e["startDate"])]

    def history(self, task_id: str, generation: int = 1) -> list[Json]:
        """The events of an execution of the task."""
        pages = self.workflow.get_paginator("get_execution_history").paginate(
            executionArn=self.execution_arn(task_id, generation)
        )
        return [event for page in pages for event in page["events"]]

    def states(self, task_id: str, generation: int = 1) -> list[str]:
        """The states that an execution of the task entered: what AWS bills."""
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in self.history(task_id, generation)
            if event["type"].endswith("StateEntered")
        ]

    def stop(self, task_id: str, generation: int = 1) -> None:
        """StopExecution, as somebody would in the console."""
        self.workflow.stop_execution(
            executionArn=self.execution_arn(task_id, generation), cause="stopped by a test"
        )

    def sweep(self) -> Json:
        """Run the sweeper, as the schedule does each minute; what it says it did."""
        name = next(n for n in self.local.function_names() if "Sweeper" in n)
        answer = self.local.client("lambda").invoke(FunctionName=name, Payload=b"{}")
        assert "FunctionError" not in answer, answer["Payload"].read()
        return json.loads(answer["Payload"].read())

    def make_due(self, task_id: str) -> None:
        """Let the time pass until somebody should look at the task."""
        self._set(task_id, "TASK", "due_at", _now_ms())

    def pass_time(self, task_id: str, seconds: int) -> None:
        """Let so many seconds pass for what waits for a time: the task's next look, its next deliveries."""
        items = self.items(task_id)
        due_at = int(items["TASK"]["due_at"]["N"])
        self._set(task_id, "TASK", "due_at", due_at - seconds * 1000)
        for sk, item in items.items():
            for place, attempt in enumerate(item.get("attempts", {"L": []})["L"]):
                at = int(attempt["M"]["at"]["N"]) - seconds * 1000
                self._set(task_id, sk, f"attempts[{place}].#at", at)

    def pass_retention(self, task_id: str) -> None:
        """Let the time be over for which a finished task is kept."""
        ended_at = _now_ms() - TERMINAL_RETENTION_SECONDS * 1000
        self._set(task_id, "TASK", "updated_at", ended_at)
        self.make_due(task_id)

    def objects(self, task_id: str) -> list[str]:
        """The keys of the task's large bodies."""
        found = self.s3.list_objects_v2(
            Bucket=self.local.outputs["PayloadBucketName"], Prefix=f"default/{task_id}/"
        )
        return [entry["Key"] for entry in found.get("Contents", ())]

    def kill(self, function: str) -> None:
        """kill -9 every sandbox of a function."""
        pids = self.local.sandbox_pids(function)
        assert pids, f"no sandbox of {function} runs"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: not set(pids) & set(self.local.sandbox_pids(function)), f"death of {pids}"
        )

    @contextmanager
    def visibility(self, output: str, seconds: int) -> Iterator[None]:
        """Let what a queue's consumer leaves behind come back after so many seconds."""
        url, name = self.local.outputs[output], "VisibilityTimeout"
        before = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"]
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes={name: str(seconds)})
        self._finish_running_poll(url)
        try:
            yield
        finally:
            self.sqs.set_queue_attributes(QueueUrl=url, Attributes=before)

    def refunds(self) -> list[Json]:
        """What the support agent's refund tool has booked."""
        lines = self.ledger.read_text(encoding="utf-8").splitlines() if self.ledger.exists() else []
        return [json.loads(line) for line in lines]

    def _set(self, task_id: str, sk: str, path: str, value: int) -> None:
        names = {"#at": "at"} if "#at" in path else {}
        self.dynamodb.update_item(
            TableName=self.local.outputs["TableName"],
            Key={"pk": {"S": f"TENANT#default#TASK#{task_id}"}, "sk": {"S": sk}},
            UpdateExpression=f"SET {path} = :value",
            ExpressionAttributeValues={":value": {"N": str(value)}},
            **({"ExpressionAttributeNames": names} if names else {}),
        )

    def _finish_running_poll(self, url: str) -> None:
        """A long poll keeps the timeout that the queue had when it began: give it a message to end with."""
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        self.sqs.send_message(QueueUrl=url, MessageBody=Doorbell(_OF_NO_TASK).to_json())

        def is_empty() -> bool:
            answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)
            return not any(int(count) for count in answer["Attributes"].values())

        wait_until(is_empty, f"an empty {url}")

    def _subscribe(self) -> str:
        url = str(self.sqs.create_queue(QueueName="e2e-announcements")["QueueUrl"])
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        self.local.client("sns").subscribe(
            TopicArn=self.local.outputs["TopicArn"],
            Protocol="sqs",
            Endpoint=arn["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        return url

    def _receive(self) -> None:
        while messages := self.sqs.receive_message(
            QueueUrl=self._queue_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                task_id = json.loads(message["Body"])["data"]["task_id"]
                self._announced[task_id].append(message)
                self.sqs.delete_message(
                    QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"]
                )


def _add_tenant(stack: DevStack) -> None:
    """A second API key. Before any request: the authorizer keeps the keys it read for minutes."""
    keys = [
        {"tenant": "default", "key": stack.api_key},
        {"tenant": OTHER_TENANT, "key": OTHER_KEY},
    ]
    stack.local.client("secretsmanager").put_secret_value(
        SecretId=stack.local.outputs["ApiKeysSecretArn"], SecretString=json.dumps({"keys": keys})
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _goal_of(request: RecordedRequest) -> str:
    first: Mapping[str, Json] = next((m for m in request.messages if m["role"] == "user"), {})
    return str(first.get("content", ""))
