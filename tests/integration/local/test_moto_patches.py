"""Every patch of moto is still possible and still needed: the checklist of a moto upgrade."""

import contextlib
import inspect
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from moto.cloudformation import parsing
from moto.core import serialize
from moto.dynamodb.models.dynamo_type import Item
from moto.sqs import models as sqs_models
from moto.stepfunctions.parser import utils
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_callback,
)
from moto.stepfunctions.parser.asl.eval.event.event_manager import (
    EventHistoryContext,
    EventManager,
)
from moto.stepfunctions.parser.asl.utils import boto_client, json_path
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from ratchet.local.errors import LocalStackError
from ratchet.local.patches import sfn_stop
from ratchet.local.patches.install import install_patches
from ratchet.local.patches.patch import Patch
from ratchet.local.runtime import current
from tests.integration.local.machines import Machines, single
from tests.integration.local.waiting import eventually

Json = Any
Probe = Callable[[Machines, pytest.MonkeyPatch, Path], bool]
PROBES: dict[str, Probe] = {}
PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}


def probe(name: str) -> Callable[[Probe], Probe]:
    """Registers what must hold with the patch and must not hold without it."""

    def register(function: Probe) -> Probe:
        PROBES[name] = function
        return function

    return register


def test_every_patch_has_a_probe_and_a_reason() -> None:
    patches = install_patches()
    assert set(PROBES) == set(patches)
    assert all(patch.reason and patch.replacements for patch in patches.values())


def test_a_name_that_moto_no_longer_has_is_refused() -> None:
    with pytest.raises(LocalStackError, match=r"patch 'x': moto has no .*parsing\.gone"):
        Patch("x", "why").replace(parsing, "gone", None)


@pytest.mark.parametrize("name", PROBES)
def test_a_patch_works_and_moto_still_needs_it(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    def holds(folder: str) -> bool:
        (tmp_path / folder).mkdir()
        with monkeypatch.context() as inner:
            return PROBES[name](machines, inner, tmp_path / folder)

    assert holds("patched"), "the patch does not do its work"
    with install_patches()[name].suspended():
        assert not holds("stock"), "moto no longer needs this patch: remove it"
    assert holds("restored"), "the patch did not come back"


@probe("cfn-types")
def unknown_types_are_refused(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    try:
        parsing.resource_class_from_type("AWS::Nonsense::Thing")
    except LocalStackError:
        return True
    return False


@probe("cfn-errors")
def failed_resources_are_named(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    resource = {"Type": "AWS::SQS::Queue", "Properties": {"Nonsense": 1}}
    with pytest.raises(LocalStackError) as caught:
        parsing.parse_and_create_resource(
            "Culprit", resource, _Names(), account_id="1", region_name="us-east-1"
        )
    return "Culprit" in str(caught.value)


class _Names(dict[str, str]):
    stack_id = "id"

    def __missing__(self, key: str) -> str:
        return key


@probe("dynamodb-transactions")
def a_transaction_leaves_other_items_alone(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> bool:
    dynamodb, copied = machines.stack.client("dynamodb"), list[str]()
    table = _table(dynamodb, f"copied-{folder.name}")
    dynamodb.put_item(TableName=table, Item={"pk": {"S": "other"}})
    original = Item.__deepcopy__

    def deepcopy(self: Item, memo: dict[int, Any]) -> Item:
        copied.append(self.hash_key.value)
        return original(self, memo)

    monkeypatch.setattr(Item, "__deepcopy__", deepcopy)
    dynamodb.transact_write_items(
        TransactItems=[{"Put": {"TableName": table, "Item": {"pk": {"S": "one"}}}}]
    )
    return "other" not in copied


@probe("dynamodb-attributes")
def an_attribute_is_not_sought(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> bool:
    dynamodb, sought = machines.stack.client("dynamodb"), list[str]()
    table = _table(dynamodb, f"sought-{folder.name}")
    item = {"pk": {"S": "one"}, "map": {"M": {"list": {"L": [{"N": "1"}, {"B": b"1"}]}}}}
    dynamodb.put_item(TableName=table, Item=item)
    original = serialize.get_value

    def get_value(value: Any, key: Any, default: Any) -> Any:
        sought.append(key)
        return original(value, key, default)

    monkeypatch.setattr(serialize, "get_value", get_value)
    assert dynamodb.get_item(TableName=table, Key={"pk": {"S": "one"}})["Item"] == item
    return "BOOL" not in sought


def _table(dynamodb: Any, name: str) -> str:
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )
    return name


@probe("events-put")
def put_events_reaches_our_rules(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, _: Path
) -> bool:
    seen: list[str] = []
    monkeypatch.setattr(current().rules, "put", lambda source, *_: seen.append(source))
    entry = {"Source": "my.app", "DetailType": "Hello", "Detail": "{}"}
    machines.stack.client("events").put_events(Entries=[entry])
    return seen == ["my.app"]


@probe("sns-lambda")
def topics_reach_our_functions(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, _: Path
) -> bool:
    seen: list[str] = []
    monkeypatch.setattr(current().functions, "invoke_later", lambda arn, _: seen.append(arn))
    sns, topic = machines.stack.client("sns"), machines.stack.outputs["Topic"]
    subscription = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=machines.arns["echo"])[
        "SubscriptionArn"
    ]
    try:
        sns.publish(TopicArn=topic, Message="x")
    except (ClientError, ResponseParserError):
        return False
    finally:
        sns.unsubscribe(SubscriptionArn=subscription)
    return seen == [machines.arns["echo"]]


@probe("sqs-locking")
def a_message_has_one_receiver(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> bool:
    sqs = machines.stack.client("sqs")
    queue = sqs.create_queue(QueueName=f"race-{folder.name}")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    both_inside = threading.Barrier(2)
    mark_received = sqs_models.Message.mark_received

    def slow_mark(self: Any, **options: Any) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            both_inside.wait(0.5)
        mark_received(self, **options)

    monkeypatch.setattr(sqs_models.Message, "mark_received", slow_mark)
    received: list[Json] = []

    def receive() -> None:
        received.extend(sqs.receive_message(QueueUrl=queue).get("Messages", []))

    threads = [threading.Thread(target=receive) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(received) == 1


@probe("sqs-speed")
def polls_do_not_ask_motos_clock(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, _: Path
) -> bool:
    asked: list[bool] = []

    def clock() -> float:
        asked.append(True)
        return 0.0

    monkeypatch.setattr(sqs_models, "unix_time_millis", clock)
    message = sqs_models.Message("id", "body")
    return message.visible and not message.delayed and not asked


@probe("sfn-default-name")
def runs_get_a_name(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    run = machines.api.start_execution(stateMachineArn=machines.create(PASS))["executionArn"]
    return not str(run).endswith("None")


@probe("sfn-qualifiers")
def versions_start_machines(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    machine = machines.create(PASS)
    try:
        machines.api.start_execution(stateMachineArn=machines.publish(machine))
    except ClientError:
        return False
    return True


@probe("sfn-tokens")
def a_failed_token_keeps_its_cause(machines: Machines, _: pytest.MonkeyPatch, folder: Path) -> bool:
    run = machines.start(_waiting(machines, folder))
    machines.api.send_task_failure(taskToken=_token(folder), error="E", cause="why")
    return bool(machines.finish(run).get("cause") == "why")


def _waiting(machines: Machines, folder: Path) -> Json:
    payload = {"file": str(folder / "token"), "token.$": "$$.Task.Token"}
    parameters = {"FunctionName": machines.arns["token"], "Payload": payload}
    resource = "arn:aws:states:::lambda:invoke.waitForTaskToken"
    return single({"Type": "Task", "Resource": resource, "Parameters": parameters})


def _token(folder: Path) -> str:
    file = folder / "token"
    return eventually(lambda: file.exists() and file.read_text()) or ""


@probe("sfn-history-paging")
def histories_are_paged(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    run = machines.start(PASS)
    machines.finish(run)
    page = machines.api.get_execution_history(executionArn=run, maxResults=1)
    return len(page["events"]) == 1


@probe("sfn-redrive-count")
def the_redrive_count_is_known(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    parameters = {"n.$": "$$.Execution.RedriveCount"}
    return bool(
        machines.run(single({"Type": "Pass", "Parameters": parameters}))["status"] == "SUCCEEDED"
    )


@probe("sfn-casing")
def nested_executions_work(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    parameters = {"StateMachineArn": machines.create(PASS), "Input": {}}
    resource = "arn:aws:states:::states:startExecution.sync:2"
    state = {"Type": "Task", "Resource": resource, "Parameters": parameters}
    return bool(machines.run(single(state))["status"] == "SUCCEEDED")


@probe("sfn-assign-literal")
def assign_literals_keep_their_quotes(
    machines: Machines, _: pytest.MonkeyPatch, folder: Path
) -> bool:
    first = {"Type": "Pass", "Assign": {"s": f'"{folder.name}"'}, "Next": "B"}
    second = {"Type": "Pass", "Parameters": {"s.$": "$s"}, "End": True}
    ended = machines.run({"StartAt": "A", "States": {"A": first, "B": second}})
    return bool(json.loads(ended.get("output", "{}")) == {"s": f'"{folder.name}"'})


@probe("sfn-sync-polling")
def children_are_polled_often(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    return bool(state_task_service_callback._DELAY_SECONDS_SYNC_CONDITION_CHECK < 0.5)


@probe("sfn-jsonata")
def values_with_quotes_survive(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    state = {"Type": "Pass", "Output": "{% $states.input.s & $uuid() %}"}
    ended = machines.run(single(state, QueryLanguage="JSONata"), {"s": 'say "hi"'})
    return ended["status"] == "SUCCEEDED" and "say" in ended["output"]


@probe("sfn-lambda-call")
def tasks_need_no_client(machines: Machines, monkeypatch: pytest.MonkeyPatch, _: Path) -> bool:
    def no_client(**_: Any) -> None:
        raise AssertionError("asked for a client")

    monkeypatch.setattr(lambda_eval_utils, "boto_client_for", no_client)
    return bool(machines.run(single(machines.task("echo")))["status"] == "SUCCEEDED")


@probe("sfn-lambda-errors")
def lambda_errors_have_their_names(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    nope = "arn:aws:lambda:us-east-1:123456789012:function:nope"
    ended = machines.run(single({"Type": "Task", "Resource": nope}))
    return bool(ended["error"] == "Lambda.ResourceNotFoundException")


@probe("sfn-event-limit")
def histories_end_at_25_000_events(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    manager = EventManager()
    manager._history_event_list.extend([None] * 24_999)
    try:
        manager.add_event(
            context=EventHistoryContext.of_program_start(), event_type="PassStateEntered"
        )
    except RuntimeError:
        return True
    return False


@probe("sfn-clients")
def clients_are_kept(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    first, second = (
        boto_client.boto_client_for(region="us-east-1", service="sqs") for _ in range(2)
    )
    return first is second


@probe("sfn-jsonpath")
def paths_are_parsed_once(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    return json_path.parse("$.a") is json_path.parse("$.a")


@probe("sfn-programs")
def definitions_are_parsed_once(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    class Details:
        class state_machine_details:
            definition = json.dumps(PASS)

    class Worker:
        _evaluation_details = Details

    first, second = (ExecutionWorker._get_evaluation_entrypoint(Worker()) for _ in range(2))
    return first is second


@probe("sfn-threads")
def threads_are_not_kept(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    before = len(utils.TMP_THREADS)
    utils.TMP_THREADS.append(object())
    return len(utils.TMP_THREADS) == before


@probe("sfn-logs")
def failures_are_not_rendered(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    rendered: list[bool] = []

    class Tree:
        def __repr__(self) -> str:
            rendered.append(True)
            return "tree"

    EvalComponent._log_exception(Tree(), exception=ValueError("x"))
    return not rendered


@probe("sfn-stop")
def a_waiting_run_can_be_stopped(machines: Machines, _: pytest.MonkeyPatch, folder: Path) -> bool:
    run = machines.start(_waiting(machines, folder))
    token = _token(folder)
    machines.api.stop_execution(executionArn=run, error="E", cause="why")
    ended = machines.describe(run)
    if ended["status"] == "RUNNING":
        machines.api.send_task_success(taskToken=token, output="{}")
    return bool(ended["status"] == "ABORTED" and ended.get("cause") == "why")


@probe("sfn-status-events")
def status_changes_are_announced(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, _: Path
) -> bool:
    seen: list[str] = []
    monkeypatch.setattr(sfn_stop, "_announce", lambda run: seen.append(run.exec_status.value))
    machines.start(single({"Type": "Wait", "Seconds": 600}))
    return seen == ["RUNNING"]


@probe("sfn-retry-sleep")
def retries_sleep_lightly(machines: Machines, _: pytest.MonkeyPatch, __: Path) -> bool:
    return "time.sleep" not in inspect.getsource(retrier_decl.RetrierDecl._eval_body)
