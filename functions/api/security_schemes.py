"""What the OpenAPI document says of who may call: the scheme of this deployment, and the scope of each route."""

from typing import Any

from functions.api.problems import CONTENT_TYPE
from ratchet.contracts.access import API_KEY_HEADER, ROUTE_SCOPES, Identity
from ratchet.contracts.problem import Problem

_NAME = "caller"
_PROBLEM = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_REFUSALS = {
    "401": {"description": "Nobody was verified", "content": _PROBLEM},
    "403": {"description": "The credentials lack the route's scope", "content": _PROBLEM},
    "429": {
        "description": "The tenant calls more often than it may",
        "headers": {"Retry-After": {"schema": {"type": "integer"}}},
        "content": _PROBLEM,
    },
}


def with_security(document: dict[str, Any], identity: Identity) -> dict[str, Any]:
    """The document with its security scheme; routes that are open to all say so."""
    components = document.setdefault("components", {})
    components["securitySchemes"] = {_NAME: _scheme(identity)}
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components.setdefault("schemas", {}).update({**problem.pop("$defs"), "Problem": problem})
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            scope = ROUTE_SCOPES[f"{verb.upper()} {path}"]
            # Since 3.1 a requirement may name roles for schemes other than OAuth too.
            operation["security"] = [] if scope is None else [{_NAME: [scope.value]}]
            if scope is not None:
                operation["responses"] |= _REFUSALS
    return document


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
