"""Who callers are: what API Gateway verifies of them, and what the function is told of it."""

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from cdk.components.checkpoints import Checkpoints
from cdk.deployment import Deployment
from ratchet.contracts.access import (
    API_KEY_HEADER,
    AUTHORIZER_CACHE_SECONDS,
    ORIGIN_HEADER,
    Identity,
)


def identity_of(deployment: Deployment) -> Identity:
    """What the api is told of its callers."""
    return Identity(
        auth=deployment.auth,
        iam_tenant=deployment.iam_tenant,
        jwt_issuer=deployment.jwt_issuer,
        jwt_tenant_claim=deployment.jwt_tenant_claim,
        jwt_user_claim=deployment.jwt_user_claim,
        jwt_scope_claim=deployment.jwt_scope_claim,
        jwt_scope_prefix=deployment.jwt_scope_prefix,
    )


def identify(
    deployment: Deployment, authorizer: lambda_.IFunction | None
) -> apigateway.IHttpRouteAuthorizer:
    """What stands before every route that is not open.

    API Gateway's own JWT check pins the algorithm: it accepts RSA signatures only, whatever a token says of itself.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
    """
    if authorizer is not None:
        # The verdict on a key is kept by all that is named here: a request around the web front must neither use the
        # verdict on one that came through it, nor leave its own.
        headers = [API_KEY_HEADER, *([ORIGIN_HEADER] if deployment.web_acl_arn else [])]
        return authorizers.HttpLambdaAuthorizer(
            "ApiKey",
            authorizer,
            response_types=[authorizers.HttpLambdaResponseType.SIMPLE],
            identity_source=[f"$request.header.{name}" for name in headers],
            results_cache_ttl=Duration.seconds(AUTHORIZER_CACHE_SECONDS),
        )
    if deployment.auth == "jwt":
        audience = [part.strip() for part in deployment.jwt_audience.split(",") if part.strip()]
        return authorizers.HttpJwtAuthorizer("Jwt", deployment.jwt_issuer, jwt_audience=audience)
    return authorizers.HttpIamAuthorizer()


def grant_api_keys(checkpoints: Checkpoints, grantee: lambda_.IFunction) -> None:
    """Allow to read what is kept of API keys, and no other item of the table."""
    iam.Grant.add_to_principal(
        grantee=grantee,
        actions=["dynamodb:GetItem"],
        resource_arns=[checkpoints.table.table_arn],
        conditions={
            "ForAllValues:StringLike": {
                "dynamodb:LeadingKeys": ["APIKEY#*", "TENANT#*#APIKEYS"],
            }
        },
    )
    if checkpoints.key is not None:
        checkpoints.key.grant_decrypt(grantee)
