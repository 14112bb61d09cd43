"""The Step Functions behaviour that the product relies on, seen from outside."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cdk.components.asl import PAUSES_SECONDS, definition
from ratchet.contracts.routing import RoutingTable
from tests.integration.local.machines import Machines, single
from tests.integration.local.waiting import eventually

Json = Any
LOOP = {
    "StartAt": "A",
    "States": {
        "A": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "C"},
        "C": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericLessThan": 5, "Next": "A"}],
            "Default": "E",
        },
        "E": {"Type": "Succeed"},
    },
}


def test_a_loop_of_lambda_steps_with_a_choice(machines: Machines) -> None:
    loop = {**LOOP, "States": {**LOOP["States"], "A": machines.task("inc", Next="C")}}  # type: ignore[dict-item]
    assert machines.output(loop, {"n": 0}) == {"n": 5}


def test_retry_repeats_the_task_with_its_retry_count(machines: Machines, tmp_path: Path) -> None:
    parameters = {
        "file": str(tmp_path / "calls"),
        "fails": 1,
        "attempt.$": "States.Format('{}-{}', $$.State.RetryCount, $$.Execution.RedriveCount)",
    }
    retry = [{"ErrorEquals": ["Transient"], "IntervalSeconds": 1, "MaxAttempts": 3}]
    state = machines.task("flaky", Parameters=parameters, Retry=retry)
    assert machines.output(single(state)) == {"calls": ["0-0", "1-0"]}


def test_an_exhausted_retry_is_caught_into_the_result_path(
    machines: Machines, tmp_path: Path
) -> None:
    retry = [{"ErrorEquals": ["Transient"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught", "ResultPath": "$.error"}]
    state = machines.task("flaky", Retry=retry, Catch=catch)
    output = machines.output(single(state), {"file": str(tmp_path / "calls"), "fails": 9})
    assert output["error"]["Error"] == "Transient"
    assert output["fails"] == 9


def test_the_optimized_lambda_integration_gives_payload_and_error_name(machines: Machines) -> None:
    def invoke(name: str) -> Json:
        parameters = {"FunctionName": machines.arns[name], "Payload": {"x.$": "$.x"}}
        resource = "arn:aws:states:::lambda:invoke"
        return single({"Type": "Task", "Resource": resource, "Parameters": parameters})

    assert machines.output(invoke("echo"), {"x": 3})["Payload"] == {"x": 3}
    assert machines.run(invoke("boom"), {"x": 3})["error"] == "ValueError"


@pytest.mark.parametrize("optimized", [True, False])
@pytest.mark.parametrize("error", ["ResourceNotFoundException", "TooManyRequestsException"])
def test_lambda_client_errors_have_their_aws_names(
    machines: Machines, error: str, *, optimized: bool
) -> None:
    arn = machines.stack.outputs["throttled"]
    if error == "ResourceNotFoundException":
        arn += "-not"
    parameters = {"FunctionName": arn, "Payload": {}}
    resource = "arn:aws:states:::lambda:invoke"
    called = {"Type": "Task", "Resource": resource, "Parameters": parameters}
    state = called if optimized else {"Type": "Task", "Resource": arn}
    assert machines.run(single(state))["error"] == f"Lambda.{error}"


def test_intrinsic_functions(machines: Machines) -> None:
    parameters = {
        "format.$": "States.Format('{}-{}', $.a, $.b)",
        "array.$": "States.Array($.a, $.b)",
        "text.$": "States.JsonToString($.o)",
        "json.$": "States.StringToJson('{\"k\":1}')",
        "item.$": "States.ArrayGetItem($.l, 1)",
        "merged.$": "States.JsonMerge($.o, $.p, false)",
        "split.$": "States.StringSplit('a,b', ',')",
        "range.$": "States.ArrayRange(1, 9, 4)",
    }
    given = {"a": "q", "b": 2, "l": [1, 2, 3], "o": {"x": 1}, "p": {"y": 2}}
    output = machines.output(single({"Type": "Pass", "Parameters": parameters}), given)
    assert json.loads(output.pop("text")) == {"x": 1}
    assert output == {
        "format": "q-2",
        "array": ["q", 2],
        "json": {"k": 1},
        "item": 2,
        "merged": {"x": 1, "y": 2},
        "split": ["a", "b"],
        "range": [1, 5, 9],
    }


def test_assign_and_variables_in_a_jsonpath_machine(machines: Machines) -> None:
    states = {
        "A": {
            "Type": "Pass",
            "Assign": {"k.$": "$.x", "s": 'say "hi"', "o.$": "$.o"},
            "Next": "B",
        },
        "B": {
            "Type": "Pass",
            "Parameters": {"k.$": "$k", "s.$": "$s", "deep.$": "$o.z"},
            "End": True,
        },
    }
    output = machines.output({"StartAt": "A", "States": states}, {"x": 7, "o": {"z": [1]}})
    assert output == {"k": 7, "s": 'say "hi"', "deep": [1]}


def test_a_jsonata_machine(machines: Machines) -> None:
    step = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {
            "FunctionName": machines.arns["inc"],
            "Payload": "{% {'n': $states.input.n} %}",
        },
        "Assign": {"n": "{% $states.result.Payload.n %}"},
        "Output": "{% $states.result.Payload %}",
        "Next": "C",
    }
    choices = [{"Condition": "{% $n < 3 %}", "Next": "A"}]
    output = {
        "n": "{% $n %}",
        "quoted": "{% $uppercase('a\"b') %}",
        "parts": "{% $partition([1,2,3],2) %}",
        "range": "{% $range(1,5,2) %}",
        "parsed": "{% $parse('{\"a\":[1]}') %}",
        "retries": "{% $states.context.Execution.RedriveCount %}",
    }
    machine = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {
            "A": step,
            "C": {"Type": "Choice", "Choices": choices, "Default": "E"},
            "E": {"Type": "Succeed", "Output": output},
        },
    }
    assert machines.output(machine, {"n": 0}) == {
        "n": 3,
        "quoted": 'A"B',
        "parts": [[1, 2], [3]],
        "range": [1, 3, 5],
        "parsed": {"a": [1]},
        "retries": 0,
    }


def test_an_undefined_jsonata_value_is_a_query_evaluation_error(machines: Machines) -> None:
    catch = [
        {
            "ErrorEquals": ["States.QueryEvaluationError"],
            "Next": "Caught",
            "Output": "{% $states.errorOutput %}",
        }
    ]
    state = machines.task("echo", Arguments={"x": "{% $states.input.nope %}"}, Catch=catch)
    output = machines.output(single(state, QueryLanguage="JSONata"))
    assert output["Error"] == "States.QueryEvaluationError"


def test_map_and_parallel(machines: Machines) -> None:
    inner = {"StartAt": "I", "States": {"I": machines.task("inc", End=True)}}
    mapped = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "MaxConcurrency": 2,
        "ItemSelector": {"n.$": "$$.Map.Item.Value"},
        "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, **inner},
    }
    parallel = {"Type": "Parallel", "Branches": [inner, inner]}
    assert machines.output(single(mapped), {"items": [1, 2, 3]}) == [{"n": 2}, {"n": 3}, {"n": 4}]
    assert machines.output(single(parallel), {"n": 1}) == [{"n": 2}, {"n": 2}]


class Waiting:
    """A run that waits for a task token."""

    def __init__(self, machines: Machines, file: Path, **fields: Json) -> None:
        parameters = {
            "FunctionName": machines.arns["token"],
            "Payload": {"file": str(file), "token.$": "$$.Task.Token"},
        }
        resource = "arn:aws:states:::lambda:invoke.waitForTaskToken"
        state = {"Type": "Task", "Resource": resource, "Parameters": parameters, **fields}
        self.run = machines.start(single(state))
        self.token = eventually(lambda: file.exists() and file.read_text())


def test_a_task_token_resumes_the_run_once(machines: Machines, tmp_path: Path) -> None:
    waiting = Waiting(machines, tmp_path / "token")
    machines.api.send_task_heartbeat(taskToken=waiting.token)
    machines.api.send_task_success(taskToken=waiting.token, output='{"a":1}')
    assert json.loads(machines.finish(waiting.run)["output"]) == {"a": 1}
    with pytest.raises(ClientError, match="TaskTimedOut"):
        machines.api.send_task_success(taskToken=waiting.token, output="{}")
    with pytest.raises(ClientError, match="InvalidToken"):
        machines.api.send_task_success(taskToken="nonsense", output="{}")


def test_a_task_token_fails_the_run_with_error_and_cause(
    machines: Machines, tmp_path: Path
) -> None:
    waiting = Waiting(machines, tmp_path / "token")
    machines.api.send_task_failure(taskToken=waiting.token, error="E1", cause="why")
    ended = machines.finish(waiting.run)
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "E1", "why")


@pytest.mark.parametrize(
    "fields", [{"HeartbeatSeconds": 1, "TimeoutSeconds": 30}, {"TimeoutSeconds": 1}]
)
def test_a_silent_task_token_times_out(
    machines: Machines, tmp_path: Path, fields: dict[str, int]
) -> None:
    waiting = Waiting(machines, tmp_path / "token", **fields)
    assert machines.finish(waiting.run)["error"] in ("States.Timeout", "States.HeartbeatTimeout")
    with pytest.raises(ClientError, match="TaskTimedOut"):
        machines.api.send_task_success(taskToken=waiting.token, output="{}")


def _assert_stopped(machines: Machines, run: str) -> None:
    machines.api.stop_execution(executionArn=run, error="Cancelled", cause="by hand")
    ended = machines.describe(run)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "Cancelled", "by hand")
    assert machines.events(run)[-1] == "ExecutionAborted"


def test_stop_ends_a_run_that_waits_for_a_token(machines: Machines, tmp_path: Path) -> None:
    _assert_stopped(machines, Waiting(machines, tmp_path / "token").run)


def test_stop_ends_a_run_in_a_wait_state(machines: Machines) -> None:
    run = machines.start(single({"Type": "Wait", "Seconds": 600}))
    machines.reaches(run, "WaitStateEntered")
    _assert_stopped(machines, run)


def test_stop_ends_a_run_that_runs_a_task(machines: Machines, tmp_path: Path) -> None:
    release = tmp_path / "release"
    run = machines.start(single(machines.task("hang")), {"release": str(release)})
    machines.reaches(run, "LambdaFunctionStarted")
    _assert_stopped(machines, run)
    release.touch()
    assert machines.events(run)[-1] == "ExecutionAborted"


def test_stop_ends_a_run_that_sleeps_before_a_retry(machines: Machines) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 600, "MaxAttempts": 3}]
    run = machines.start(single(machines.task("boom", Retry=retry)))
    machines.reaches(run, "LambdaFunctionFailed")
    _assert_stopped(machines, run)


def test_a_task_timeout_is_caught(machines: Machines, tmp_path: Path) -> None:
    release = tmp_path / "release"
    catch = [{"ErrorEquals": ["States.Timeout"], "Next": "Caught"}]
    state = machines.task("hang", TimeoutSeconds=1, Catch=catch)
    assert machines.run(single(state), {"release": str(release)})["status"] == "SUCCEEDED"
    release.touch()


def test_a_machine_timeout_ends_the_run(machines: Machines) -> None:
    machine = single({"Type": "Wait", "Seconds": 600}, TimeoutSeconds=1)
    assert machines.run(machine)["status"] == "TIMED_OUT"


def test_a_result_above_256_kib_exceeds_the_data_limit(machines: Machines) -> None:
    assert machines.run(single(machines.task("big")))["error"] == "States.DataLimitExceeded"


def test_a_child_execution_is_awaited_and_its_failure_reported(machines: Machines) -> None:
    child = machines.create(LOOP)

    def parent(given: Json) -> Json:
        resource = "arn:aws:states:::states:startExecution.sync:2"
        parameters = {"StateMachineArn": child, "Input": given}
        return single({"Type": "Task", "Resource": resource, "Parameters": parameters})

    assert machines.output(parent({"n": 3}))["Output"] == {"n": 5}
    assert machines.run(parent({"q": 3}))["error"] == "States.TaskFailed"


def test_a_run_can_hand_over_to_a_child_without_waiting(machines: Machines) -> None:
    parameters = {"StateMachineArn": machines.create(LOOP), "Name": "gen-2", "Input": {"n": 1}}
    resource = "arn:aws:states:::states:startExecution"
    state = {"Type": "Task", "Resource": resource, "Parameters": parameters}
    child = machines.output(single(state))["ExecutionArn"]
    assert child.endswith(":gen-2")
    assert machines.finish(child)["status"] == "SUCCEEDED"


@pytest.mark.parametrize("integration", ["dynamodb", "aws-sdk:dynamodb"])
def test_dynamodb_updates_and_the_conditional_failure(machines: Machines, integration: str) -> None:
    parameters = {
        "TableName": machines.stack.outputs["Table"],
        "Key": {"pk": {"S.$": "$.id"}},
        "UpdateExpression": "SET n = :n",
        "ConditionExpression": "attribute_not_exists(pk)",
        "ExpressionAttributeValues": {":n": {"N": "1"}},
        "ReturnValues": "ALL_NEW",
    }
    resource = f"arn:aws:states:::{integration}:updateItem"
    machine = single({"Type": "Task", "Resource": resource, "Parameters": parameters})
    first = machines.output(machine, {"id": integration})
    assert first["Attributes"]["n"] == {"N": "1"}
    second = machines.run(machine, {"id": integration})
    assert second["error"].endswith("ConditionalCheckFailedException")


def test_messages_and_notifications_are_sent(machines: Machines) -> None:
    outputs = machines.stack.outputs
    send = {"QueueUrl": outputs["Queue"], "MessageBody": {"run.$": "$$.Execution.Name"}}
    publish = {"TopicArn": outputs["Topic"], "Message": {"a": 1}}
    for resource, parameters in (("sqs:sendMessage", send), ("sns:publish", publish)):
        state = {
            "Type": "Task",
            "Resource": f"arn:aws:states:::{resource}",
            "Parameters": parameters,
        }
        assert machines.output(single(state))["MessageId"]
    reply = machines.stack.client("sqs").receive_message(QueueUrl=outputs["Queue"])
    assert json.loads(reply["Messages"][0]["Body"])["run"].startswith("e")


def test_a_name_is_given_to_a_run_without_one(machines: Machines) -> None:
    machine = machines.create(LOOP)
    runs = {machines.api.start_execution(stateMachineArn=machine)["executionArn"] for _ in "ab"}
    assert len(runs) == 2


def test_a_name_is_used_once(machines: Machines) -> None:
    machine = machines.create(single({"Type": "Wait", "Seconds": 600}))
    same = {"stateMachineArn": machine, "name": "once", "input": '{"n":0}'}
    first = machines.api.start_execution(**same)["executionArn"]
    assert machines.api.start_execution(**same)["executionArn"] == first
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        machines.api.start_execution(**{**same, "input": '{"n":1}'})
    machines.api.stop_execution(executionArn=first)
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        machines.api.start_execution(**same)


def says(word: str) -> Json:
    return single({"Type": "Pass", "Result": {"said": word}})


def test_a_version_or_alias_arn_starts_the_machine_as_it_was_published(machines: Machines) -> None:
    machine = machines.create(says("one"))
    first = machines.publish(machine)
    second = machines.publish(machine, says("two"))
    route = [{"stateMachineVersionArn": first, "weight": 100}]
    live = machines.api.create_state_machine_alias(name="live", routingConfiguration=route)
    qualified = (machine, first, second, live["stateMachineAliasArn"])
    said = {}
    for number, arn in enumerate(qualified):
        run = machines.api.start_execution(stateMachineArn=arn, name=f"q{number}")["executionArn"]
        assert run == f"{machine.replace(':stateMachine:', ':execution:')}:q{number}"
        said[arn] = json.loads(machines.finish(run)["output"])["said"]
    assert list(said.values()) == ["two", "one", "two", "one"]
    listed = machines.api.list_executions(stateMachineArn=machine)["executions"]
    assert len(listed) == 4


def test_names_are_unique_across_the_versions_of_a_machine(machines: Machines) -> None:
    machine = machines.create(says("one"))
    first, second = machines.publish(machine), machines.publish(machine, says("two"))
    machines.api.start_execution(stateMachineArn=first, name="q", input='{"v":1}')
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        machines.api.start_execution(stateMachineArn=second, name="q", input='{"v":2}')


def test_a_version_or_alias_that_is_not_there_starts_nothing(machines: Machines) -> None:
    machine = machines.create(says("one"))
    for qualifier in ("7", "gone"):
        with pytest.raises(ClientError, match="StateMachineDoesNotExist"):
            machines.api.start_execution(stateMachineArn=f"{machine}:{qualifier}", name="q")


def test_the_history_is_paged_and_reversible(machines: Machines) -> None:
    run = machines.start(LOOP, {"n": 0})
    machines.finish(run)
    read = machines.api.get_execution_history
    first = read(executionArn=run, maxResults=5)
    rest = read(executionArn=run, nextToken=first["nextToken"])
    assert len(first["events"]) == 5
    assert [event["id"] for event in first["events"] + rest["events"]] == list(
        range(1, len(machines.events(run)) + 1)
    )
    last = read(executionArn=run, maxResults=1, reverseOrder=True)["events"]
    assert [event["type"] for event in last] == ["ExecutionSucceeded"]


def test_fail_takes_error_and_cause_from_paths(machines: Machines) -> None:
    machine = {
        "StartAt": "A",
        "States": {"A": {"Type": "Fail", "ErrorPath": "$.e", "CausePath": "$.c"}},
    }
    ended = machines.run(machine, {"e": "EE", "c": "CC"})
    assert (ended["error"], ended["cause"]) == ("EE", "CC")


def test_attempts_that_may_have_spent_are_counted_and_paused_for(machines: Machines) -> None:
    states: Any = definition(RoutingTable(), step_timeout_seconds=60)["States"]
    count: Json = {k: v for k, v in states["Count"].items() if k != "Next"}
    for before in (0, len(PAUSES_SECONDS)):
        given = {"tries": {"count": before}, "failure": {"Error": "E"}}
        output = machines.output(single(count), given)
        assert output["failure"] == {"Error": "E"}
        assert output["tries"]["count"] == before + 1
        assert 1 <= output["tries"]["seconds"] <= PAUSES_SECONDS[min(before, 5)]
