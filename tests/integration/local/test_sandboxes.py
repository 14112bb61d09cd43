import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ratchet.local.stack import LocalStack, Timing
from tests.integration.local.builder import STACK, Assembly, att
from tests.integration.local.waiting import eventually

HANDLERS = """
    import json, os, pathlib, subprocess, time

    def echo(event, context):
        return {"event": event, "arn": context.invoked_function_arn, "env": dict(os.environ),
                "pid": os.getpid(), "left": context.get_remaining_time_in_millis()}

    def hang(event, context):
        print("hanging", flush=True)
        while not os.path.exists(event.get("release", "/nonexistent")):
            time.sleep(0.02)
        return "released"

    def parent(event, context):
        print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
        time.sleep(600)

    def boom(event, context):
        raise LookupError("no such thing")

    def leave(event, context):
        os._exit(3)

    def big(event, context):
        return "x" * (6 * 1024 * 1024)

    def fails_twice(event, context):
        path = pathlib.Path(event["file"])
        attempts = len(path.read_text()) if path.exists() else 0
        path.write_text("x" * (attempts + 1))
        if attempts < 2:
            raise RuntimeError("not yet")
        print("finally")
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    assembly = Assembly(tmp_path_factory.mktemp("cdk.out"))
    assembly.function("Echo", "handlers.echo", Environment={"Variables": {"FROM": "template"}})
    assembly.function("Hang", "handlers.hang")
    assembly.function("Single", "handlers.hang", ReservedConcurrentExecutions=1)
    assembly.function("Slow", "handlers.hang", Timeout=1)
    assembly.function("Parent", "handlers.parent", Timeout=1)
    assembly.function("Boom", "handlers.boom")
    assembly.function("Leave", "handlers.leave")
    assembly.function("Big", "handlers.big")
    assembly.function("Flaky", "handlers.fails_twice")
    assembly.function("Missing", "handlers.not_there")
    assembly.add("Lost", "AWS::SQS::Queue")
    assembly.add(
        "BoomEvents",
        "AWS::Lambda::EventInvokeConfig",
        FunctionName={"Ref": "Boom"},
        Qualifier="$LATEST",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": att("Lost", "Arn")}},
    )
    assembly.output("Lost", {"Ref": "Lost"})
    for name in [name for name in assembly.resources if name not in ("Lost", "BoomEvents")]:
        assembly.output(name, {"Ref": name})
    with LocalStack.start(
        assembly.write(HANDLERS),
        stack_name=STACK,
        worker_env={"FROM_CALLER": "1"},
        timing=Timing(async_retry_seconds=(0.01,)),
    ) as running:
        yield running


def _invoke(stack: LocalStack, name: str, payload: Any = None, **options: Any) -> dict[str, Any]:
    reply = stack.client("lambda").invoke(
        FunctionName=stack.outputs[name], Payload=json.dumps(payload or {}), **options
    )
    body = reply["Payload"].read()
    return {**reply, "body": json.loads(body) if body else None}


class Hanging:
    """An invocation in flight, which ends when it is released."""

    def __init__(self, stack: LocalStack, name: str, release: Path) -> None:
        self.payload = {"release": str(release)}
        self._release = release
        self._replies: list[dict[str, Any]] = []
        before = stack.log_lines(name).count("hanging")
        self._thread = Thread(
            target=lambda: self._replies.append(_invoke(stack, name, self.payload))
        )
        self._thread.start()
        eventually(lambda: stack.log_lines(name).count("hanging") > before)

    def release(self) -> dict[str, Any]:
        self._release.touch()
        return self.reply()

    def reply(self) -> dict[str, Any]:
        self._thread.join()
        return self._replies[0]


def test_a_sandbox_sees_the_template_the_caller_and_aws(stack: LocalStack) -> None:
    env = _invoke(stack, "Echo")["body"]["env"]
    assert env["FROM"] == "template"
    assert env["FROM_CALLER"] == "1"
    assert env["AWS_ENDPOINT_URL"] == stack.endpoint_url
    assert env["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert "PYTHONDONTWRITEBYTECODE" not in env
    assert "HOME" not in env


def test_a_sandbox_is_used_again(stack: LocalStack) -> None:
    assert len({_invoke(stack, "Echo")["body"]["pid"] for _ in range(3)}) == 1


def test_a_handler_error_is_reported_with_its_class(stack: LocalStack) -> None:
    reply = _invoke(stack, "Boom")
    assert reply["FunctionError"] == "Unhandled"
    assert reply["body"]["errorType"] == "LookupError"


def test_a_handler_that_cannot_be_loaded_is_reported(stack: LocalStack) -> None:
    assert _invoke(stack, "Missing")["body"]["errorType"] == "Runtime.HandlerNotFound"


def test_a_timeout_kills_the_sandbox(stack: LocalStack) -> None:
    reply = _invoke(stack, "Slow")
    assert reply["FunctionError"] == "Unhandled"
    assert reply["body"]["errorType"] == "Sandbox.Timedout"
    eventually(lambda: not stack.sandbox_pids(stack.outputs["Slow"]))


def test_a_timeout_kills_what_the_handler_started(stack: LocalStack) -> None:
    _invoke(stack, "Parent")
    [child] = [int(line) for line in stack.log_lines("Parent")]
    eventually(lambda: not _is_running(child))


def test_a_runtime_that_exits_is_reported(stack: LocalStack) -> None:
    body = _invoke(stack, "Leave")["body"]
    assert body["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in body["errorMessage"]


def test_kill_9_in_mid_invocation_fails_it_and_the_next_one_runs(
    stack: LocalStack, tmp_path: Path
) -> None:
    hanging = Hanging(stack, "Hang", tmp_path / "release")
    for pid in stack.sandbox_pids("Hang"):
        os.kill(pid, signal.SIGKILL)
    reply = hanging.reply()
    assert reply["FunctionError"] == "Unhandled"
    assert reply["body"]["errorType"] == "Runtime.ExitError"
    assert Hanging(stack, "Hang", tmp_path / "release").release()["body"] == "released"


def test_reserved_concurrency_throttles(stack: LocalStack, tmp_path: Path) -> None:
    hanging = Hanging(stack, "Single", tmp_path / "release")
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        _invoke(stack, "Single", hanging.payload)
    assert hanging.release()["body"] == "released"


def test_a_result_above_six_megabytes_is_refused(stack: LocalStack) -> None:
    assert _invoke(stack, "Big")["body"]["errorType"] == "Function.ResponseSizeTooLarge"


def test_an_event_invocation_is_retried_until_it_succeeds(
    stack: LocalStack, tmp_path: Path
) -> None:
    reply = _invoke(stack, "Flaky", {"file": str(tmp_path / "n")}, InvocationType="Event")
    assert reply["StatusCode"] == 202
    eventually(lambda: "finally" in stack.log_lines("Flaky"))


def test_an_event_invocation_that_fails_reaches_its_destination(stack: LocalStack) -> None:
    _invoke(stack, "Boom", {"id": 7}, InvocationType="Event")
    queue = stack.outputs["Lost"]
    [message] = eventually(
        lambda: stack.client("sqs").receive_message(QueueUrl=queue).get("Messages")
    )
    record = json.loads(message["Body"])
    assert record["requestPayload"] == {"id": 7}
    assert record["responsePayload"]["errorType"] == "LookupError"


def test_an_unknown_function_or_qualifier_is_not_found(stack: LocalStack) -> None:
    for reference in ("nope", f"{stack.outputs['Echo']}:nope"):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            stack.client("lambda").invoke(FunctionName=reference)


def test_an_unknown_invocation_type_is_refused(stack: LocalStack) -> None:
    with pytest.raises(ClientError, match="InvalidParameterValueException"):
        _invoke(stack, "Echo", InvocationType="Sometimes")


def test_reload_runs_new_code_and_lets_busy_sandboxes_finish(
    stack: LocalStack, tmp_path: Path
) -> None:
    hanging = Hanging(stack, "Hang", tmp_path / "release")
    (tmp_path / "handlers.py").write_text("def hang(event, context):\n    return 'new'\n")
    stack.reload({"Hang": tmp_path})
    assert _invoke(stack, "Hang")["body"] == "new"
    assert hanging.release()["body"] == "released"
    assert _invoke(stack, "Hang")["body"] == "new"


OWNER = """
    import sys, time
    from pathlib import Path
    from ratchet.local.stack import LocalStack
    stack = LocalStack.start(Path(sys.argv[1]), stack_name="Small")
    stack.client("lambda").invoke(FunctionName=stack.function_names()[0])
    print(*stack.sandbox_pids(stack.function_names()[0]), flush=True)
    time.sleep(600)
"""


def test_sandboxes_die_with_a_stack_that_is_killed(tmp_path: Path) -> None:
    assembly = Assembly(tmp_path / "cdk.out")
    assembly.function("Echo", "handlers.echo")
    command = [sys.executable, "-c", textwrap.dedent(OWNER), str(assembly.write(HANDLERS))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        owner.kill()
    assert pids
    eventually(lambda: not any(_is_running(pid) for pid in pids))


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
