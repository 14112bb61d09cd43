"""What the OpenAPI document says beyond the routes themselves: who may call them, what refusals look like, examples."""

import json
from typing import Any

from functions.api.answer_examples import ANSWERS, PROBLEMS
from functions.api.examples import BODIES
from functions.api.problems import CONTENT_TYPE, from_request_error
from ratchet.contracts.access import API_KEY_HEADER, ROUTE_SCOPES, Identity
from ratchet.contracts.problem import Problem

_NAME = "caller"
_PROBLEM = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
# What API Gateway's authorizers refuse never reaches the function, and has the gateway's own form.
_GATEWAYS_TOO = {
    **_PROBLEM,
    "application/json": {
        "schema": {
            "type": "object",
            "properties": {"message": {"type": "string"}},
            "required": ["message"],
        }
    },
}
_ERRORS = {
    "4XX": {
        "description": "The request cannot be carried out; `detail` says what to do",
        "content": _PROBLEM,
    },
    "503": {"description": "Send the same request again in a moment", "content": _PROBLEM},
}
_REFUSALS = {
    "401": {"description": "Nobody was verified", "content": _GATEWAYS_TOO},
    "403": {"description": "The credentials lack the route's scope", "content": _GATEWAYS_TOO},
    "429": {
        "description": "The tenant calls more often than it may",
        "headers": {"Retry-After": {"schema": {"type": "integer"}}},
        "content": _PROBLEM,
    },
}


def completed(document: dict[str, Any], identity: Identity) -> dict[str, Any]:
    """The document with its security scheme, refusals and examples; routes that are open to all say so."""
    components = document.setdefault("components", {})
    components["securitySchemes"] = {_NAME: _scheme(identity)}
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components.setdefault("schemas", {}).update({**problem.pop("$defs"), "Problem": problem})
    components["examples"] = {
        error.code: {"value": json.loads(from_request_error(error).body or "")}
        for errors in PROBLEMS.values()
        for error in errors
    }
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            scope = ROUTE_SCOPES[f"{verb.upper()} {path}"]
            # Since 3.1 a requirement may name roles for schemes other than OAuth too.
            operation["security"] = [] if scope is None else [{_NAME: [scope.value]}]
            # The framework's own words for a request that does not fit: ours is a problem with status 400.
            operation["responses"].pop("422", None)
            operation["responses"].get("204", {}).pop("content", None)  # it has none
            operation["responses"] |= _ERRORS | ({} if scope is None else _REFUSALS)
            _exemplify(operation)
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                content["example"] = BODIES[operation["operationId"]]
    for unused in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    return document


def _exemplify(operation: dict[str, Any]) -> None:
    """Show what is answered: when it went well, where there is an example of it, and when it did not."""
    answers = operation["responses"]
    for status in ("200", "202"):
        if status in answers and operation["operationId"] in ANSWERS:
            content = answers[status]["content"]["application/json"]
            content["example"] = ANSWERS[operation["operationId"]]
    for status, errors in PROBLEMS.items():
        if status in answers:
            shown = {
                error.code: {"$ref": f"#/components/examples/{error.code}"} for error in errors
            }
            content = {**answers[status]["content"][CONTENT_TYPE], "examples": shown}
            kept = {**answers[status]["content"], CONTENT_TYPE: content}
            answers[status] = {**answers[status], "content": kept}


def _scheme(identity: Identity) -> dict[str, str]:
    match identity.auth:
        case "iam":
            return {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "AWS Signature Version 4, service execute-api.",
                "x-amazon-apigateway-authtype": "awsSigv4",
            }
        case "jwt":
            return {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": f"An access token of {identity.jwt_issuer}.",
            }
        case _:
            return {"type": "apiKey", "in": "header", "name": API_KEY_HEADER}
