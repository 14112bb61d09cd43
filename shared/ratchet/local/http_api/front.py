"""The HTTP API: route, authorize, invoke, answer."""

import json
from queue import Empty, Queue
from threading import Thread

from ratchet.local.endpoint import Endpoint
from ratchet.local.functions.invocation import Invocation
from ratchet.local.functions.model import FunctionNotFound, Throttled
from ratchet.local.functions.service import FunctionService
from ratchet.local.http_api.authorizer import AuthorizerRunner, Decision
from ratchet.local.http_api.event import INTERNAL_ERROR, proxy_event, response_of
from ratchet.local.http_api.jwt import JwtVerifier
from ratchet.local.http_api.model import HttpApi, Integration, JwtAuthorizer, Route
from ratchet.local.http_api.sigv4 import verified_identity
from ratchet.local.json_types import JsonObject
from ratchet.local.web import Request, Response

MAX_BODY_BYTES = 10 * 1024 * 1024
TOO_LARGE = Response.of_json(413, {"message": "Request Entity Too Large"})
PREFIX = "/_aws/execute-api/"

_NOT_FOUND = Response.of_json(404, {"message": "Not Found"})
_UNAVAILABLE = Response.of_json(503, {"message": "Service Unavailable"})
_REFUSALS = {
    401: Response.of_json(401, {"message": "Unauthorized"}),
    403: Response.of_json(403, {"message": "Forbidden"}),
    500: INTERNAL_ERROR,
}


class HttpApiFront:
    """Answers requests to the template's HTTP APIs; the first one also owns the root path."""

    def __init__(self, functions: FunctionService, endpoint: Endpoint) -> None:
        self.apis: dict[str, HttpApi] = {}
        self._functions = functions
        self._endpoint = endpoint
        self._authorizers = AuthorizerRunner(functions, endpoint)
        self._tokens = JwtVerifier()

    def url(self, api_id: str) -> str:
        """Where clients reach the API."""
        is_first = next(iter(self.apis), None) == api_id
        return self._endpoint.url if is_first else f"{self._endpoint.url}{PREFIX}{api_id}"

    def answer(self, request: Request) -> Response:
        """The response of the API that the path belongs to."""
        path = request.raw_path
        api_id = next(iter(self.apis), "")
        if path.startswith(PREFIX):
            api_id, slash, rest = path.removeprefix(PREFIX).partition("/")
            path = slash + rest
        api = self.apis.get(api_id)
        found = api.match(request.method, path or "/") if api else None
        if api is None or found is None:
            return _NOT_FOUND
        return self._answer_route(api, *found, request, path or "/")

    def _answer_route(
        self, api: HttpApi, route: Route, parameters: dict[str, str], request: Request, path: str
    ) -> Response:
        inner = Request(
            method=request.method,
            raw_path=path,
            query=request.query,
            headers=request.headers,
            body=request.body,
            remote=request.remote,
            protocol=request.protocol,
        )
        event = proxy_event(inner, route, parameters, api_id=api.id, endpoint=self._endpoint)
        try:
            refusal = self._authorize(api, route, request, event)
            return refusal or self._invoke(api.integrations[route.integration_id], event)
        except (FunctionNotFound, Throttled):
            return INTERNAL_ERROR

    def _authorize(
        self, api: HttpApi, route: Route, request: Request, event: JsonObject
    ) -> Response | None:
        if route.authorization == "AWS_IAM":
            iam = verified_identity(request, account=self._endpoint.account)
            decision, kind = Decision(403 if iam is None else 200, iam), "iam"
        elif route.authorizer_id is not None:
            authorizer = api.authorizers[route.authorizer_id]
            if isinstance(authorizer, JwtAuthorizer):
                decision, kind = self._tokens.decide(authorizer, request), "jwt"
            else:
                decision, kind = self._authorizers.decide(authorizer, request, event), "lambda"
        else:
            return None
        if not decision.is_allowed:
            return _REFUSALS[decision.status]
        event["requestContext"]["authorizer"] = {kind: decision.context}
        return None

    def _invoke(self, integration: Integration, event: JsonObject) -> Response:
        arn, payload = integration.function_arn, json.dumps(event).encode()
        if self._functions.registry.config(arn).timeout > integration.timeout:
            return self._invoke_within(integration.timeout, arn, payload)
        return _answer_of(self._functions.invoke(arn, payload))

    def _invoke_within(self, seconds: float, arn: str, payload: bytes) -> Response:
        """The answer, or 503 when the function outlasts the integration; it runs on."""
        answers: Queue[Response] = Queue()

        def run() -> None:
            try:
                answers.put(_answer_of(self._functions.invoke(arn, payload)))
            except (FunctionNotFound, Throttled):
                answers.put(INTERNAL_ERROR)

        Thread(target=run, daemon=True, name="http-api").start()
        try:
            return answers.get(timeout=seconds)
        except Empty:
            return _UNAVAILABLE


def _answer_of(invocation: Invocation) -> Response:
    return INTERNAL_ERROR if invocation.function_error else response_of(invocation.result)
