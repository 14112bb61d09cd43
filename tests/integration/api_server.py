"""The HTTP API behind a real HTTP server, on adapters in memory; `python -m tests.integration.api_server` tells where.

Requests become events by the local stack's own code, and the handler is the one that Lambda runs; only what lies behind
the use cases is in memory. So thousands of requests take seconds, and none of them starts a task.
"""

import json
import logging
from threading import Lock
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from functions.api import current, handler
from ratchet import Agent, tool
from ratchet.contracts.access import API_KEY_HEADER, ROUTE_SCOPES
from ratchet.contracts.names import Scope
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.messages import ToolCall
from ratchet.local.endpoint import Endpoint
from ratchet.local.http_api.event import proxy_event, response_of
from ratchet.local.http_api.model import HttpApi, Route
from ratchet.local.web import Request, Response, read_request
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import asks, says
from tests.api_wiring import wired
from tests.envelopes import LambdaContext
from tests.unit.shared.app.world import World

KEY = "a-key-of-these-tests"
_ONE_AT_A_TIME = Lock()


@tool(effect="unsafe", approval="always")
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


def _answer(call: ModelCall) -> ModelAnswer:
    return (
        asks(ToolCall("c1", "pay", '{"amount": 1}'))
        if len(call.prompt.messages) < 3
        else says("Done.")
    )


class Api:
    """API Gateway with one authorizer, and the function behind it."""

    def __init__(self) -> None:
        self.world = World(Agent("support", "Help.", tools=[pay], policy="react"), chat=_answer)
        self._endpoint = Endpoint("http://127.0.0.1", region="us-east-1", account="123456789012")
        self._api = HttpApi("api")
        for key in [*ROUTE_SCOPES, "$default"]:
            kind = "CUSTOM" if ROUTE_SCOPES.get(key) else "NONE"
            self._api.routes.append(
                Route.create(key, integration_id="i", authorization=kind, authorizer_id=None)
            )
        self._wiring = wired(self.world)
        self._fill()

    def _fill(self) -> None:
        for number in range(3):
            asked = TaskRequest(goal=f"goal {number}", session_id="talk")
            ref = self.world.submit(asked, tenant="default").task.ref
            if number == 0:
                self.world.run(ref)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        with _ONE_AT_A_TIME:  # a sandbox answers one request at a time
            return self._answer(read_request(environ)).send(start_response)

    def _answer(self, request: Request) -> Response:
        found = self._api.match(request.method, request.raw_path)
        assert found is not None
        route, parameters = found
        event = proxy_event(request, route, parameters, api_id="api", endpoint=self._endpoint)
        if route.authorization == "CUSTOM":
            key = request.headers.get(API_KEY_HEADER, "")
            if key != KEY:
                return Response.of_json(403 if key else 401, {"message": "refused"})
            scopes = " ".join(sorted(scope.value for scope in Scope))
            event["requestContext"]["authorizer"] = {
                "lambda": {"tenant": "default", "scopes": scopes}
            }
        # As it reaches Lambda: JSON, once each way.
        result = handler.lambda_handler(json.loads(json.dumps(event)), LambdaContext())  # type: ignore[arg-type]
        return response_of(json.dumps(result).encode())


class _Quiet(WSGIRequestHandler):  # type: ignore[misc]
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:
        pass


def main() -> None:
    """Serve until the other side of the pipe is gone."""
    logging.disable(logging.CRITICAL)
    api = Api()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(current, "wiring", lambda: api._wiring)
        server = make_server("127.0.0.1", 0, api, threaded=True, request_handler=_Quiet)
        print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
        server.serve_forever()


if __name__ == "__main__":
    main()
