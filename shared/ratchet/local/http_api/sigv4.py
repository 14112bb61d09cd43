"""Verifies the signature of a request to an AWS_IAM route."""

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ratchet.local.endpoint import ACCESS_KEY, SECRET_KEY
from ratchet.local.json_types import JsonObject
from ratchet.local.web import Request

_AUTHORIZATION = re.compile(
    r"^AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/execute-api/"
    r"aws4_request, ?SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})$"
)
_MAX_SKEW = timedelta(minutes=5)


def verified_identity(request: Request, *, account: str) -> JsonObject | None:
    """requestContext.authorizer.iam of a correctly signed request, or None."""
    match = _AUTHORIZATION.match(request.headers.get("authorization", ""))
    if match is None or match["key"] != ACCESS_KEY:
        return None
    timestamp = request.headers.get("x-amz-date", "")
    if not (timestamp.startswith(match["date"]) and _is_recent(timestamp)):
        return None
    payload_hash = hashlib.sha256(request.body).hexdigest()
    announced = request.headers.get("x-amz-content-sha256", payload_hash)
    if announced not in (payload_hash, "UNSIGNED-PAYLOAD"):
        return None
    expected = _signature(request, match["region"], match["headers"].split(";"), timestamp)
    if not hmac.compare_digest(expected, match["signature"]):
        return None
    return {
        "accessKey": match["key"],
        "accountId": account,
        "callerId": "AIDALOCAL",
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": f"arn:aws:iam::{account}:user/local",
        "userId": "AIDALOCAL",
    }


def _is_recent(timestamp: str) -> bool:
    try:
        signed_at = datetime.strptime(timestamp, SIGV4_TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(datetime.now(UTC) - signed_at) <= _MAX_SKEW


def _signature(request: Request, region: str, signed: list[str], timestamp: str) -> str:
    query = f"?{request.query}" if request.query else ""
    aws_request = AWSRequest(
        method=request.method,
        url=f"http://{request.headers.get('host', '')}{request.raw_path}{query}",
        headers={name: request.headers.get(name, "") for name in signed},
        data=request.body,
    )
    if "x-amz-content-sha256" in request.headers:
        aws_request.headers["X-Amz-Content-SHA256"] = request.headers["x-amz-content-sha256"]
    aws_request.context["timestamp"] = timestamp
    auth = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "execute-api", region)
    to_sign = auth.string_to_sign(aws_request, auth.canonical_request(aws_request))
    signature: str = auth.signature(to_sign, aws_request)
    return signature
