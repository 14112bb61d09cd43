"""Who calls: from what the API Gateway's authorizer verified, never from the request itself."""

from typing import Any

from ratchet.contracts.errors import BadCredentials


def principal_of(event: dict[str, Any]) -> str:
    """Who the verified caller is, as records name them: an IAM principal, or whose key it was.

    Raises:
        BadCredentials: the request came past no authorizer.
    """
    authorizer = event.get("requestContext", {}).get("authorizer") or {}
    arn = (authorizer.get("iam") or {}).get("userArn")
    return arn if isinstance(arn, str) else f"key:{tenant_of(event)}"


def tenant_of(event: dict[str, Any]) -> str:
    """The tenant of the verified caller: the key's tenant, or the AWS account of an IAM principal.

    Raises:
        BadCredentials: the request came past no authorizer.
    """
    authorizer = event.get("requestContext", {}).get("authorizer") or {}
    tenant = (authorizer.get("lambda") or {}).get("tenant")
    account = (authorizer.get("iam") or {}).get("accountId")
    found = tenant or account
    if not isinstance(found, str):
        raise BadCredentials("send your API key in the x-api-key header, or sign with IAM SigV4")
    return found
