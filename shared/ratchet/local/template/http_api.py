"""AWS::ApiGatewayV2 types: HTTP APIs with Lambda proxy integrations."""

import hashlib
import re

from ratchet.local.errors import LocalStackError
from ratchet.local.http_api.model import (
    Authorizer,
    HttpApi,
    Integration,
    JwtAuthorizer,
    Route,
)
from ratchet.local.runtime import Runtime
from ratchet.local.template.resource import Created, Wanted, resource

_IDENTITY_SOURCE = re.compile(r"^\$request\.(header|querystring)\.[^.]+$")
_AUTHORIZATION_TYPES = (None, "NONE", "CUSTOM", "AWS_IAM", "JWT")


@resource(
    "AWS::ApiGatewayV2::Api",
    honours="Name ProtocolType",
    ignores={
        "CorsConfiguration": "no browser calls the local stack",
        "DisableExecuteApiEndpoint": "there is no other endpoint locally",
        "IpAddressType": "loopback only",
    },
)
def api(runtime: Runtime, wanted: Wanted) -> Created:
    """An HTTP API on the stack's port."""
    wanted.require("ProtocolType", "HTTP")
    digest = hashlib.sha256(f"{runtime.stack_name}/{wanted.logical_id}".encode()).hexdigest()
    api_id = f"a{digest[:9]}"
    runtime.front.apis[api_id] = HttpApi(api_id)
    return Created(api_id, {"ApiId": api_id, "ApiEndpoint": runtime.front.url(api_id)})


@resource(
    "AWS::ApiGatewayV2::Integration",
    honours="ApiId IntegrationType IntegrationUri PayloadFormatVersion TimeoutInMillis",
    ignores={
        "IntegrationMethod": "Lambda is always called the same way",
        "ConnectionType": "no private links locally",
        "CredentialsArn": "no access control locally",
    },
)
def integration(runtime: Runtime, wanted: Wanted) -> Created:
    """A Lambda proxy integration."""
    wanted.require("IntegrationType", "AWS_PROXY")
    wanted.require("PayloadFormatVersion", "2.0")
    properties = wanted.properties
    runtime.front.apis[properties["ApiId"]].integrations[wanted.name] = Integration(
        function_arn=_function_arn(properties["IntegrationUri"]),
        timeout=int(properties.get("TimeoutInMillis", 30_000)) / 1000,
    )
    return Created(wanted.name, {"IntegrationId": wanted.name})


@resource(
    "AWS::ApiGatewayV2::Authorizer",
    honours="ApiId Name AuthorizerType AuthorizerUri AuthorizerPayloadFormatVersion "
    "EnableSimpleResponses IdentitySource AuthorizerResultTtlInSeconds JwtConfiguration",
    ignores={"AuthorizerCredentialsArn": "no access control locally"},
)
def authorizer(runtime: Runtime, wanted: Wanted) -> Created:
    """A REQUEST authorizer with simple responses, or a JWT one."""
    if wanted.require("AuthorizerType", "REQUEST", "JWT") == "JWT":
        return _jwt_authorizer(runtime, wanted)
    wanted.require("AuthorizerPayloadFormatVersion", "2.0")
    wanted.require("EnableSimpleResponses", True, "true")
    properties = wanted.properties
    sources = tuple(properties.get("IdentitySource") or ())
    for source in sources:
        if not _IDENTITY_SOURCE.match(source):
            raise LocalStackError(f"IdentitySource {source!r} is not supported locally")
    runtime.front.apis[properties["ApiId"]].authorizers[wanted.name] = Authorizer(
        function_arn=_function_arn(properties["AuthorizerUri"]),
        identity_sources=sources,
        ttl_seconds=float(properties.get("AuthorizerResultTtlInSeconds", 300)),
    )
    return Created(wanted.name, {"AuthorizerId": wanted.name})


@resource(
    "AWS::ApiGatewayV2::Route",
    honours="ApiId RouteKey Target AuthorizationType AuthorizerId",
    ignores={"OperationName": "documentation", "ApiKeyRequired": "HTTP APIs have no API keys"},
)
def route(runtime: Runtime, wanted: Wanted) -> Created:
    """A route."""
    properties = wanted.properties
    kind = wanted.require("AuthorizationType", *_AUTHORIZATION_TYPES) or "NONE"
    runtime.front.apis[properties["ApiId"]].routes.append(
        Route.create(
            properties["RouteKey"],
            integration_id=properties["Target"].removeprefix("integrations/"),
            authorization=kind,
            authorizer_id=properties["AuthorizerId"] if kind in ("CUSTOM", "JWT") else None,
        )
    )
    return Created(wanted.name, {"RouteId": wanted.name})


@resource(
    "AWS::ApiGatewayV2::Stage",
    honours="ApiId StageName",
    ignores={
        "AutoDeploy": "the template is what runs",
        "DefaultRouteSettings": "no throttling locally",
        "RouteSettings": "no throttling locally",
        "AccessLogSettings": "no access log locally",
    },
)
def stage(_: Runtime, wanted: Wanted) -> Created:
    """The default stage; others would need their own path prefix."""
    return Created(wanted.require("StageName", "$default"))


def _jwt_authorizer(runtime: Runtime, wanted: Wanted) -> Created:
    properties = wanted.properties
    (source,) = properties["IdentitySource"]
    if not _IDENTITY_SOURCE.match(source) or not source.startswith("$request.header."):
        raise LocalStackError(f"IdentitySource {source!r} of tokens is not supported locally")
    configuration = properties["JwtConfiguration"]
    runtime.front.apis[properties["ApiId"]].authorizers[wanted.name] = JwtAuthorizer(
        configuration["Issuer"], tuple(configuration["Audience"]), source
    )
    return Created(wanted.name, {"AuthorizerId": wanted.name})


def _function_arn(uri: str) -> str:
    """The function of an integration or authorizer URI."""
    match = re.search(r"(arn:aws:lambda:[^/]+?)(?:/invocations)?$", uri)
    if match is None:
        raise LocalStackError(f"URI {uri} is not supported locally: only functions are")
    return match[1]
