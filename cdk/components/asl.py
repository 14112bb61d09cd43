"""The state machine's definition, generated from the routing table: one Task state per route.

Plain data, so that a test reads it without jsii and cfn-lint checks it in the template. `${...}`
names are filled in by CloudFormation. The loop is Route -> one route -> Route: two transitions.
"""

from collections.abc import Mapping
from typing import cast

from ratchet.contracts.errors import retryable_error_names
from ratchet.contracts.messages import Route
from ratchet.contracts.names import Action, Complexity, Json, StepType
from ratchet.contracts.routing import RoutingTable

State = dict[str, Json]

STATE_NAME_CHARS = 80
TIMEOUT_MARGIN_SECONDS = 30
"""How much longer than its Lambda a Task state lives, so as not to give up on one that runs."""

# A throttled sandbox has not run, so waiting costs nothing and must never end the task.
THROTTLED: State = {
    "ErrorEquals": ["Lambda.TooManyRequestsException"],
    "IntervalSeconds": 2,
    "BackoffRate": 2,
    "MaxAttempts": 100,
    "MaxDelaySeconds": 300,
    "JitterStrategy": "FULL",
}
TRANSIENT_LAMBDA_ERRORS = (
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.Unknown",  # how a timeout or an out-of-memory kill is reported
    "Sandbox.Timedout",
    "Runtime.ExitError",
    "States.Timeout",
)


def definition(table: RoutingTable, *, step_timeout_seconds: int) -> State:
    """The whole definition; its input is a `StepOutput`."""
    routes = {(step, level): table.route(step, level) for step in StepType for level in Complexity}
    timeout = step_timeout_seconds + TIMEOUT_MARGIN_SECONDS
    states: State = {"Route": _route_choice(routes)}
    states |= {state_name(route): _step(route, timeout) for route in routes.values()}
    states |= {
        "Wait": {"Type": "Wait", "SecondsPath": "$.wait_seconds", "Next": "Go on"},
        "Go on": {
            "Type": "Pass",
            "Result": Action.STEP.value,
            "ResultPath": "$.action",
            "Next": "Route",
        },
        "Give up": _give_up(timeout),
        # An execution may have 25,000 events; long tasks go on in the next one, which the dispatcher starts.
        "Roll over": _ring("${InboxQueueUrl}", {"generation.$": "$.next_generation"}),
        "Announce": _ring("${OutboxQueueUrl}", {}),
        "Unroutable": {
            "Type": "Fail",
            "Error": "Unroutable",
            "Cause": "The state names a step type or complexity that no route is for.",
        },
    }
    return {
        "Comment": "One agent step per Task state; written by cdk/components/asl.py.",
        "StartAt": "Route",
        "States": states,
    }


def state_name(route: Route) -> str:
    """What the Step Functions console shows for a route."""
    return f"{route.name}: {route.models[0]}"[:STATE_NAME_CHARS]


def _route_choice(routes: Mapping[tuple[StepType, Complexity], Route]) -> State:
    choices: list[Json] = [
        {"Variable": "$.action", "StringEquals": Action.FINISH.value, "Next": "Announce"},
        {"Variable": "$.action", "StringEquals": Action.WAIT.value, "Next": "Wait"},
        {"Variable": "$.action", "StringEquals": Action.ROLL_OVER.value, "Next": "Roll over"},
    ]
    for (step, level), route in routes.items():
        choices.append(
            {
                "And": [
                    {"Variable": "$.step.type", "StringEquals": step.value},
                    {"Variable": "$.step.complexity", "StringEquals": level.value},
                ],
                "Next": state_name(route),
            }
        )
    return {"Type": "Choice", "Choices": choices, "Default": "Unroutable"}


def _step(route: Route, timeout_seconds: int) -> State:
    return {
        "Type": "Task",
        "Resource": "${StepExecutorArn}",
        "Parameters": {
            "tenant.$": "$.tenant",
            "task_id.$": "$.task_id",
            "step.$": "$.step",
            "execution.$": "$.execution",
            "route": cast("State", route.to_dict()),
            "attempt.$": "$$.State.RetryCount",
        },
        "TimeoutSeconds": timeout_seconds,
        "Retry": [THROTTLED, _transient(attempts=6, longest_seconds=60)],
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Give up"}],
        "Next": "Route",
    }


def _give_up(timeout_seconds: int) -> State:
    return {
        "Type": "Task",
        "Resource": "${StepExecutorArn}",
        "Parameters": {
            "tenant.$": "$.tenant",
            "task_id.$": "$.task_id",
            "step.$": "$.step",
            "execution.$": "$.execution",
            "failure.$": "$.failure",
        },
        "TimeoutSeconds": timeout_seconds,
        # It records why the task failed; when it cannot, the task would stay open.
        "Retry": [THROTTLED, _transient(attempts=30, longest_seconds=300)],
        "Next": "Route",
    }


def _ring(queue_url: str, details: State) -> State:
    """The last state: a doorbell on a queue. If it is lost, the sweeper rings again."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {
            "QueueUrl": queue_url,
            "MessageBody": {"tenant.$": "$.tenant", "task_id.$": "$.task_id", **details},
            "MessageGroupId.$": "$.tenant",  # a fair queue: see ratchet/adapters/sqs.py
        },
        "TimeoutSeconds": 60,
        "Retry": [
            {
                "ErrorEquals": ["States.ALL"],
                "IntervalSeconds": 1,
                "BackoffRate": 2,
                "MaxAttempts": 30,
                "MaxDelaySeconds": 300,
                "JitterStrategy": "FULL",
            }
        ],
        "ResultPath": None,
        "End": True,
    }


def _transient(*, attempts: int, longest_seconds: int) -> State:
    return {
        "ErrorEquals": [*TRANSIENT_LAMBDA_ERRORS, *retryable_error_names()],
        "IntervalSeconds": 1,
        "BackoffRate": 2,
        "MaxAttempts": attempts,
        "MaxDelaySeconds": longest_seconds,
        "JitterStrategy": "FULL",
    }
