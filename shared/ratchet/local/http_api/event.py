"""HTTP request to payload format 2.0 and function result to HTTP response.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
import json
import time
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from ratchet.local.endpoint import Endpoint
from ratchet.local.http_api.model import Route
from ratchet.local.json_types import Json, JsonObject
from ratchet.local.web import Headers, Request, Response

INTERNAL_ERROR = Response.of_json(500, {"message": "Internal Server Error"})


def proxy_event(
    request: Request,
    route: Route,
    path_parameters: dict[str, str],
    *,
    api_id: str,
    endpoint: Endpoint,
) -> JsonObject:
    """The event without an authorizer's context."""
    headers = dict(request.headers)
    cookies = [part.strip() for part in headers.pop("cookie", "").split(";") if part.strip()]
    event: JsonObject = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": _request_context(request, route, api_id, endpoint),
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query := _query_parameters(request.query):
        event["queryStringParameters"] = query
    if path_parameters:
        event["pathParameters"] = {k: unquote(v) for k, v in path_parameters.items()}
    if request.body:
        event["body"], event["isBase64Encoded"] = _body(request.body)
    return event


def response_of(result: bytes) -> Response:
    """What API Gateway answers for a function's result."""
    value: Json = json.loads(result or b"null")
    if not isinstance(value, dict) or "statusCode" not in value:
        return Response.of_json(200, value)
    headers: Headers = [(name, str(v)) for name, v in (value.get("headers") or {}).items()]
    headers += [("set-cookie", cookie) for cookie in value.get("cookies") or []]
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain; charset=utf-8"))
    body = value.get("body") or ""
    if not isinstance(body, str):
        return INTERNAL_ERROR
    try:
        raw = base64.b64decode(body) if value.get("isBase64Encoded") else body.encode()
        return Response(int(value["statusCode"]), raw, headers)
    except (binascii.Error, ValueError):
        return INTERNAL_ERROR


def _request_context(request: Request, route: Route, api_id: str, endpoint: Endpoint) -> JsonObject:
    now = time.time()
    return {
        "accountId": endpoint.account,
        "apiId": api_id,
        "domainName": request.headers.get("host", "localhost"),
        "domainPrefix": api_id,
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": request.protocol,
            "sourceIp": request.remote,
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": uuid4().hex[:15] + "=",
        "routeKey": route.key,
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }


def _query_parameters(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(raw: bytes) -> tuple[str, bool]:
    try:
        return raw.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode(), True
