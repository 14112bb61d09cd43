"""The state machine as data: it routes, retries and ends as the contracts say."""

import json
from typing import Any

import pytest

from cdk.components.asl import PAUSES_SECONDS, definition, state_name
from ratchet.contracts.errors import retryable_error_names
from ratchet.contracts.messages import Doorbell, StepInput, StepOutput, StepRef, TaskRef
from ratchet.contracts.names import Action, Complexity, StepType
from ratchet.contracts.routing import RoutingTable, Rule

STEP_TIMEOUT = 300
TABLE = RoutingTable(
    default=("gpt-4o",),
    rules=(Rule(step=StepType.REASONING, complexity=Complexity.SIMPLE, models=("mini", "spare")),),
)
MACHINE: dict[str, Any] = definition(TABLE, step_timeout_seconds=STEP_TIMEOUT)
STATES: dict[str, Any] = MACHINE["States"]
PAIRS = [(step, level) for step in StepType for level in Complexity]
REF = TaskRef("default", "task_1")


def output(action: Action, step: StepType, level: Complexity) -> dict[str, Any]:
    return StepOutput(REF, action, StepRef(3, step, level, 1, 30), wait_seconds=30).to_dict()


def look_up(path: str, data: dict[str, Any]) -> Any:
    for name in path.removeprefix("$.").split("."):
        data = data[name]
    return data


def choose(data: dict[str, Any]) -> str:
    for choice in STATES["Route"]["Choices"]:
        rules = choice.get("And", [choice])
        if all(holds(rule, data) for rule in rules):
            return str(choice["Next"])
    return str(STATES["Route"]["Default"])


def holds(rule: dict[str, Any], data: dict[str, Any]) -> bool:
    value = look_up(rule["Variable"], data)
    if "NumericGreaterThan" in rule:
        return bool(value > rule["NumericGreaterThan"])
    return bool(value == rule["StringEquals"])


def invoke_with(state: str, data: dict[str, Any]) -> dict[str, Any]:
    event = {}
    for name, value in STATES[state]["Parameters"].items():
        if not name.endswith(".$"):
            event[name] = value
        else:
            event[name[:-2]] = look_up(value, data)
    return event


def successors(state: dict[str, Any]) -> set[str]:
    found = {state[key] for key in ("Next", "Default") if key in state}
    return found | {branch["Next"] for key in ("Choices", "Catch") for branch in state.get(key, [])}


def is_task(name: str) -> bool:
    return bool(STATES[name]["Type"] == "Task")


@pytest.mark.parametrize(("step", "level"), PAIRS)
def test_every_pair_leads_to_the_task_state_of_its_route(step: StepType, level: Complexity) -> None:
    chosen = choose(output(Action.STEP, step, level))
    assert chosen == state_name(TABLE.route(step, level))
    assert STATES[chosen]["Parameters"]["route"] == TABLE.route(step, level).to_dict()


@pytest.mark.parametrize(("step", "level"), PAIRS)
def test_a_step_costs_two_transitions(step: StepType, level: Complexity) -> None:
    assert MACHINE["StartAt"] == "Route"
    assert STATES[choose(output(Action.STEP, step, level))]["Next"] == "Route"


@pytest.mark.parametrize(("step", "level"), PAIRS)
def test_the_step_executor_understands_what_a_route_sends(
    step: StepType, level: Complexity
) -> None:
    sent = output(Action.STEP, step, level)
    sent["tries"] = {"count": 2, "seconds": 3}
    received = StepInput.from_event(invoke_with(choose(sent), sent))
    route = TABLE.route(step, level)
    assert received == StepInput(REF, StepRef(3, step, level, 1, 30), route, attempt=2)


def test_the_step_executor_understands_why_it_is_given_up() -> None:
    sent = output(Action.STEP, StepType.PLANNING, Complexity.SIMPLE)
    sent["failure"] = {"Error": "Lambda.Unknown", "Cause": "timed out"}
    received = StepInput.from_event(invoke_with("Give up", sent))
    assert received.failure == "Lambda.Unknown: timed out"
    assert received.route is not None
    assert received.route.models == ("gpt-4o", "mini", "spare")  # whatever it may have called


def test_a_finished_task_is_announced_to_the_outbox() -> None:
    sent = output(Action.FINISH, StepType.FINAL_SYNTHESIS, Complexity.SIMPLE)
    assert choose(sent) == "Announce"
    body = {
        name.removesuffix(".$"): look_up(path, sent)
        for name, path in STATES["Announce"]["Parameters"]["MessageBody"].items()
    }
    assert Doorbell.from_json(json.dumps(body)) == Doorbell(REF)
    assert STATES["Announce"]["End"] is True


def test_a_full_execution_rings_for_the_next_one() -> None:
    sent = output(Action.ROLL_OVER, StepType.TOOL_DISPATCH, Complexity.SIMPLE)
    assert choose(sent) == "Roll over"
    state = STATES["Roll over"]
    body = {
        name.removesuffix(".$"): look_up(path, sent)
        for name, path in state["Parameters"]["MessageBody"].items()
    }
    assert Doorbell.from_json(json.dumps(body)) == Doorbell(REF, generation=2)
    assert state["Parameters"]["QueueUrl"] == "${InboxQueueUrl}"
    assert state["End"] is True


def test_a_wait_goes_on_with_the_same_step() -> None:
    sent = output(Action.WAIT, StepType.REASONING, Complexity.SIMPLE)
    assert choose(sent) == "Wait"
    assert look_up(STATES["Wait"]["SecondsPath"], sent) == 30
    go_on = STATES[STATES["Wait"]["Next"]]
    assert (go_on["ResultPath"], go_on["Result"], go_on["Next"]) == ("$.action", "step", "Route")


def test_a_pair_that_nobody_knows_fails_loudly() -> None:
    sent = output(Action.STEP, StepType.REASONING, Complexity.SIMPLE)
    sent["step"]["type"] = "dreaming"
    assert STATES[choose(sent)]["Type"] == "Fail"


def test_no_transition_dangles_and_every_state_is_reached() -> None:
    reached, todo = set[str](), [str(MACHINE["StartAt"])]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo.extend(successors(STATES[name]))
    assert reached == set(STATES)


@pytest.mark.parametrize("name", [name for name in STATES if is_task(name)])
def test_a_task_state_outlives_its_lambda(name: str) -> None:
    if STATES[name]["Resource"] == "${StepExecutorArn}":
        assert STATES[name]["TimeoutSeconds"] == STEP_TIMEOUT + 30
    else:
        assert STATES[name]["TimeoutSeconds"] > 0


@pytest.mark.parametrize(
    "name", [n for n in STATES if is_task(n) and STATES[n]["Resource"] == "${StepExecutorArn}"]
)
def test_transient_errors_are_retried_or_counted(name: str) -> None:
    retries = STATES[name]["Retry"]
    retried = {error for retry in retries for error in retry["ErrorEquals"]}
    caught = {
        error
        for catch in STATES[name].get("Catch", ())
        if catch["Next"] == "Count"
        for error in catch["ErrorEquals"]
    }
    assert not retried & caught
    assert retried | caught == {
        "AttemptLost",
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.TooManyRequestsException",
        "Lambda.Unknown",
        "Sandbox.Timedout",
        "Runtime.ExitError",
        "States.Timeout",
        *retryable_error_names(),
    }
    assert {retry["JitterStrategy"] for retry in retries} == {"FULL"}


@pytest.mark.parametrize("pair", PAIRS)
def test_half_an_hour_without_free_sandboxes_does_not_fail_a_task(
    pair: tuple[StepType, Complexity],
) -> None:
    throttled = STATES[state_name(TABLE.route(*pair))]["Retry"][0]
    assert throttled["ErrorEquals"] == ["Lambda.TooManyRequestsException"]
    delays = [
        min(throttled["MaxDelaySeconds"], throttled["IntervalSeconds"] * 2**attempt) / 2
        for attempt in range(throttled["MaxAttempts"])
    ]
    assert sum(delays) > 30 * 60


@pytest.mark.parametrize("pair", PAIRS)
def test_a_step_that_never_got_a_sandbox_is_not_given_up(pair: tuple[StepType, Complexity]) -> None:
    state = STATES[state_name(TABLE.route(*pair))]
    first = next(c for c in state["Catch"] if "Lambda.TooManyRequestsException" in c["ErrorEquals"])
    assert (first["Next"], first["ResultPath"]) == ("Route", None)


@pytest.mark.parametrize("pair", PAIRS)
def test_half_an_hour_without_the_store_does_not_fail_a_task(
    pair: tuple[StepType, Complexity],
) -> None:
    retries = STATES[state_name(TABLE.route(*pair))]["Retry"]
    (again,) = [retry for retry in retries if "StoreUnavailable" in retry["ErrorEquals"]]
    delays = [
        min(again["MaxDelaySeconds"], again["IntervalSeconds"] * 2**attempt) / 2
        for attempt in range(again["MaxAttempts"])
    ]
    assert sum(delays) > 30 * 60


@pytest.mark.parametrize("pair", PAIRS)
def test_what_stays_wrong_is_given_up_with_its_reason(pair: tuple[StepType, Complexity]) -> None:
    *_, catch = STATES[state_name(TABLE.route(*pair))]["Catch"]
    assert catch == {"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Give up"}


@pytest.mark.parametrize("pair", PAIRS)
def test_an_attempt_that_spent_nothing_does_not_count(pair: tuple[StepType, Complexity]) -> None:
    state = STATES[state_name(TABLE.route(*pair))]
    retried = {error for retry in state["Retry"] for error in retry["ErrorEquals"]}
    assert retried == {"Lambda.TooManyRequestsException", *retryable_error_names()}
    assert "AttemptLost" not in retried


def test_a_counted_attempt_is_paused_for_and_followed_by_the_next() -> None:
    assert STATES["Count"]["ResultPath"] == "$.tries"
    assert STATES[STATES["Count"]["Next"]] == {
        "Type": "Wait",
        "SecondsPath": "$.tries.seconds",
        "Next": "Route",
    }


def test_after_the_last_pause_the_step_is_given_up() -> None:
    sent = output(Action.STEP, StepType.REASONING, Complexity.SIMPLE)
    sent["tries"]["count"] = len(PAUSES_SECONDS)
    assert choose(sent) == "reasoning simple: mini"
    sent["tries"]["count"] += 1
    assert choose(sent) == "Give up"
    sent["action"] = Action.FINISH.value
    assert choose(sent) == "Announce"


def test_only_ids_and_counters_travel() -> None:
    sent = {
        name
        for state in STATES.values()
        for name in state.get("Parameters", {})
        if state.get("Resource") == "${StepExecutorArn}"
    }
    assert sent == {
        "tenant.$",
        "task_id.$",
        "step.$",
        "execution.$",
        "route",
        "attempt.$",
        "failure.$",
    }


def test_a_warning_rings_the_outbox_and_the_next_step_goes_on() -> None:
    sent = output(Action.WARN, StepType.REASONING, Complexity.SIMPLE)
    assert choose(sent) == "Warn"
    warn = STATES["Warn"]
    assert warn["Parameters"]["QueueUrl"] == "${OutboxQueueUrl}"
    assert (warn["Next"], warn["ResultPath"], STATES["Go on"]["Next"]) == ("Go on", None, "Route")


def test_long_model_names_still_give_valid_state_names() -> None:
    table = RoutingTable(default=("provider/" + "x" * 200,))
    states: Any = definition(table, step_timeout_seconds=60)["States"]
    assert len(states) == len(PAIRS) + 10
    assert max(map(len, states)) <= 80
