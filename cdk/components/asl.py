"""The state machine's definition, generated from the routing table: one Task state per route.

Plain data, so that a test reads it without jsii and cfn-lint checks it in the template. `${...}`
names are filled in by CloudFormation. The loop is Route -> one route -> Route: two transitions.

Two kinds of failed attempts are told apart. What surely spent nothing (a throttled sandbox, an error that we raise
before a model is called) is retried where it is, and nobody counts it. What may have spent money (a crash, a timeout,
`AttemptLost`) is caught and counted in `$.tries.count`, the attempt number that step_executor sees: the retry count of
a Task state would count both. Step Functions forgets it when the step ends.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from ratchet.contracts.errors import AttemptLost, retryable_error_names
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
PAUSES_SECONDS = (2, 3, 5, 9, 17, 33)
"""The longest pauses before a step is run again after an attempt that may have spent money; as many as there may be."""
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
MAY_HAVE_SPENT = (*TRANSIENT_LAMBDA_ERRORS, AttemptLost.__name__)


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
        "Count": _count(),
        "Pause": {"Type": "Wait", "SecondsPath": "$.tries.seconds", "Next": "Route"},
        "Give up": _give_up(routes.values(), timeout),
        # An execution may have 25,000 events; long tasks go on in the next one, which the dispatcher starts.
        "Roll over": _ring("${InboxQueueUrl}", {"generation.$": "$.next_generation"}),
        "Announce": _ring("${OutboxQueueUrl}", {}),
        "Warn": _ring("${OutboxQueueUrl}", {}, then="Go on"),
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
        {"Variable": "$.action", "StringEquals": Action.WARN.value, "Next": "Warn"},
    ]
    choices.append(
        {
            "Variable": "$.tries.count",
            "NumericGreaterThan": len(PAUSES_SECONDS),
            "Next": "Give up",
        }
    )
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
            "attempt.$": "$.tries.count",
        },
        "TimeoutSeconds": timeout_seconds,
        # An hour: as long as an outage of the store may last, before which no attempt can do anything.
        "Retry": [THROTTLED, _again(retryable_error_names(), attempts=30, longest_seconds=300)],
        "Catch": [
            {"ErrorEquals": THROTTLED["ErrorEquals"], "ResultPath": None, "Next": "Route"},
            {"ErrorEquals": [*MAY_HAVE_SPENT], "ResultPath": "$.failure", "Next": "Count"},
            {"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Give up"},
        ],
        "Next": "Route",
    }


def _count() -> State:
    pauses = ", ".join(map(str, [*PAUSES_SECONDS, PAUSES_SECONDS[-1]]))
    longest = f"States.ArrayGetItem(States.Array({pauses}), $.tries.count)"
    return {
        "Type": "Pass",
        "Parameters": {
            "count.$": "States.MathAdd($.tries.count, 1)",
            "seconds.$": f"States.MathRandom(1, {longest})",
        },
        "ResultPath": "$.tries",
        "Next": "Pause",
    }


def _give_up(routes: Iterable[Route], timeout_seconds: int) -> State:
    # Which route was taken is not known here: what was lost is counted as on the dearest.
    models = tuple(dict.fromkeys(m for r in routes for m in (*r.models, *r.cheaper)))
    return {
        "Type": "Task",
        "Resource": "${StepExecutorArn}",
        "Parameters": {
            "tenant.$": "$.tenant",
            "task_id.$": "$.task_id",
            "step.$": "$.step",
            "execution.$": "$.execution",
            "failure.$": "$.failure",
            "route": cast("State", Route("any", models).to_dict()),
            "attempt.$": "$.tries.count",
        },
        "TimeoutSeconds": timeout_seconds,
        # It records why the task failed; when it cannot, the task would stay open.
        "Retry": [
            THROTTLED,
            _again([*retryable_error_names(), *MAY_HAVE_SPENT], attempts=30, longest_seconds=300),
        ],
        "Next": "Route",
    }


def _ring(queue_url: str, details: State, then: str | None = None) -> State:
    """A doorbell on a queue; without `then` the last state. If it is lost, the sweeper rings again."""
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
        **({"End": True} if then is None else {"Next": then}),
    }


def _again(errors: Sequence[str], *, attempts: int, longest_seconds: int) -> State:
    return {
        "ErrorEquals": list(errors),
        "IntervalSeconds": 1,
        "BackoffRate": 2,
        "MaxAttempts": attempts,
        "MaxDelaySeconds": longest_seconds,
        "JitterStrategy": "FULL",
    }
