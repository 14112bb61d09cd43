"""Sends an event to the ARN of whatever should get it."""

import json

from ratchet.local.endpoint import Endpoint
from ratchet.local.errors import LocalStackError
from ratchet.local.functions.service import FunctionService
from ratchet.local.json_types import Json

_SERVICES = ("lambda", "sqs", "sns", "states")


class Delivery:
    """Delivers to Lambda functions, queues, topics and state machines."""

    def __init__(self, functions: FunctionService, endpoint: Endpoint) -> None:
        self._functions = functions
        self._endpoint = endpoint

    def __call__(self, arn: str, body: Json) -> None:
        """Delivers one JSON body."""
        text = json.dumps(body)
        match check_target(arn):
            case "lambda":
                self._functions.invoke_later(arn, text.encode())
            case "sqs":
                sqs = self._endpoint.client("sqs")
                url = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
                sqs.send_message(QueueUrl=url, MessageBody=text)
            case "sns":
                self._endpoint.client("sns").publish(TopicArn=arn, Message=text)
            case _:
                self._endpoint.client("stepfunctions").start_execution(
                    stateMachineArn=arn, input=text
                )


def check_target(arn: str) -> str:
    """The service of a target that can be delivered to.

    Raises:
        LocalStackError: nothing here delivers to it.
    """
    service = arn.split(":")[2] if arn.count(":") >= 5 else arn
    if service not in _SERVICES:
        raise LocalStackError(
            f"target {arn} is not supported locally: only {', '.join(_SERVICES)} are"
        )
    return service
