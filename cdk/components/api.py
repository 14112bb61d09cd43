"""The HTTP API: which routes exist, who may call them, how often, and what is logged of it."""

import json
from dataclasses import dataclass

from aws_cdk import Fn
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk.components.acknowledged import acknowledge
from cdk.components.retention import LogKeeping
from ratchet.contracts.access import LINK_ROUTES, ROUTE_SCOPES

# An allowlist: no headers, no query strings, no bodies.
LOGGED = {
    "requestId": "$context.requestId",
    "time": "$context.requestTime",
    "route": "$context.routeKey",
    "status": "$context.status",
    "responseLength": "$context.responseLength",
    "latencyMs": "$context.responseLatency",
    "sourceIp": "$context.identity.sourceIp",
    "integrationError": "$context.integrationErrorMessage",
    "authorizerError": "$context.authorizer.error",
}


@dataclass(frozen=True, slots=True)
class Throttle:
    """Requests per second, on average and at once; the rest are answered 429."""

    rate: int
    burst: int


class Api(Construct):
    """Every route goes to one function; only health, the schema and signed links are open to all.

    AWS WAF does not attach to it (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-vs-rest.html):
    a web ACL stands before it in a `WebFront`, and the function refuses what came around that.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        handler: lambda_.IFunction,
        identify: apigateway.IHttpRouteAuthorizer,
        throttle: Throttle,
        logs: LogKeeping,
    ) -> None:
        super().__init__(scope, id_)
        self.http = apigateway.HttpApi(self, "Http", create_default_stage=False)
        self._integration = integrations.HttpLambdaIntegration(
            "Handler", handler, scope_permission_to_route=False
        )
        self._add_routes(identify)
        self._stage = self._add_stage(throttle, logs)

    @property
    def url(self) -> str:
        """Where the API answers."""
        return self.http.api_endpoint

    @property
    def host(self) -> str:
        """The same address without its scheme."""
        return Fn.select(2, Fn.split("/", self.http.api_endpoint))

    def add_links(self, throttle: Throttle) -> None:
        """Signed links: open to who holds one, and throttled on their own, so that guessing costs callers nothing."""
        for key in LINK_ROUTES:
            route = self._add_route(key, None)
            self._stage.node.add_dependency(route)  # no settings of a route that is not there
            acknowledge(route, {"APIG4": "The path itself is the credential: a signed link."})
        self._stage.route_settings = {
            key: {
                "ThrottlingRateLimit": throttle.rate,
                "ThrottlingBurstLimit": throttle.burst,
            }
            for key in LINK_ROUTES
        }

    def _add_routes(self, identify: apigateway.IHttpRouteAuthorizer) -> None:
        public = []
        for key, scope in ROUTE_SCOPES.items():
            route = self._add_route(key, None if scope is None else identify)
            if scope is None:
                public.append(route)
        # Unknown paths get our 404 and no identity: the handler must refuse to act without one.
        unknown = apigateway.HttpRoute(
            self,
            "Unknown",
            http_api=self.http,
            route_key=apigateway.HttpRouteKey.DEFAULT,
            integration=self._integration,
        )
        for route in (unknown, *public):
            acknowledge(
                route,
                {"APIG4": "Open by design: health, the schema and the 404 of unknown paths."},
            )

    def _add_route(
        self,
        key: str,
        identify: apigateway.IHttpRouteAuthorizer | None,
    ) -> apigateway.HttpRoute:
        method, _, path = key.partition(" ")
        (route,) = self.http.add_routes(
            path=path,
            methods=[apigateway.HttpMethod[method]],
            integration=self._integration,
            authorizer=identify,
        )
        return route

    def _add_stage(self, throttle: Throttle, logs: LogKeeping) -> apigateway.CfnStage:
        log_group = logs.group(self, "AccessLogs")
        return apigateway.CfnStage(
            self,
            "Stage",
            api_id=self.http.api_id,
            stage_name="$default",
            auto_deploy=True,
            access_log_settings=apigateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=log_group.log_group_arn, format=json.dumps(LOGGED)
            ),
            default_route_settings=apigateway.CfnStage.RouteSettingsProperty(
                throttling_rate_limit=throttle.rate, throttling_burst_limit=throttle.burst
            ),
        )
