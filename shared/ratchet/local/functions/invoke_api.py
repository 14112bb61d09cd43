"""The Lambda Invoke call over HTTP.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import base64
import re
from urllib.parse import parse_qs

from ratchet.local.functions.invocation import MAX_PAYLOAD_BYTES
from ratchet.local.functions.model import FunctionNotFound, Throttled
from ratchet.local.functions.service import FunctionService
from ratchet.local.web import Headers, Request, Response

_PATH = re.compile(r"^/2015-03-31/functions/([^/]+)/invocations$")
_LOG_TAIL_BYTES = 4096


class InvokeApi:
    """Answers POST /2015-03-31/functions/{name}/invocations."""

    def __init__(self, functions: FunctionService) -> None:
        self._functions = functions

    def matches(self, request: Request) -> bool:
        """Whether the request is an Invoke call."""
        return request.method == "POST" and _PATH.match(request.path) is not None

    def answer(self, request: Request) -> Response:
        """Invokes the function in the way the request asks for."""
        match = _PATH.match(request.path)
        name = match.group(1) if match else ""
        qualifier = parse_qs(request.query).get("Qualifier", [None])[0]
        if len(request.body) > MAX_PAYLOAD_BYTES:
            return _error(413, "RequestTooLargeException", "Request must be smaller than 6 MB")
        try:
            return self._invoke(request, name, qualifier)
        except FunctionNotFound as missing:
            return _error(404, "ResourceNotFoundException", f"Function not found: {missing}")
        except Throttled:
            return _error(429, "TooManyRequestsException", "Rate Exceeded.")

    def _invoke(self, request: Request, name: str, qualifier: str | None) -> Response:
        match request.headers.get("x-amz-invocation-type", "RequestResponse"):
            case "RequestResponse":
                return self._answer_with_result(request, name, qualifier)
            case "Event":
                self._functions.invoke_later(name, request.body, qualifier=qualifier)
                return Response(202)
            case "DryRun":
                self._functions.registry.config(name, qualifier)
                return Response(204)
            case other:
                return _error(400, "InvalidParameterValueException", f"not a type: {other}")

    def _answer_with_result(self, request: Request, name: str, qualifier: str | None) -> Response:
        invocation = self._functions.invoke(
            name,
            request.body,
            qualifier=qualifier,
            client_context=request.headers.get("x-amz-client-context"),
        )
        headers: Headers = [
            ("content-type", "application/json"),
            ("x-amz-executed-version", qualifier or "$LATEST"),
            ("x-amzn-requestid", invocation.id),
        ]
        if invocation.function_error:
            headers.append(("x-amz-function-error", invocation.function_error))
        if request.headers.get("x-amz-log-type") == "Tail":
            tail = "\n".join(invocation.log).encode()[-_LOG_TAIL_BYTES:]
            headers.append(("x-amz-log-result", base64.b64encode(tail).decode()))
        return Response(200, invocation.result, headers)


def _error(status: int, code: str, message: str) -> Response:
    body = {"Type": "User", "Message": message, "message": message}
    return Response.of_json(status, body, [("x-amzn-errortype", code)])
