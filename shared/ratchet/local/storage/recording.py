"""Which AWS requests change durable state, and the journal record of each."""

import base64
import json
import xml.etree.ElementTree as ET
from urllib.parse import parse_qs, quote

from ratchet.local.json_types import JsonObject
from ratchet.local.web import Request, Response

DYNAMODB_WRITES = frozenset(
    {
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "BatchWriteItem",
        "TransactWriteItems",
        "ExecuteStatement",
        "BatchExecuteStatement",
        "ExecuteTransaction",
    }
)
SECRET_WRITES = frozenset({"CreateSecret", "PutSecretValue", "UpdateSecret"})
_KEPT_HEADERS = ("content-type", "content-encoding", "content-md5", "cache-control")
_S3_SUBRESOURCES = {"acl", "tagging", "retention", "legal-hold"}
NOT_JOURNALED = Response.of_json(
    501, {"message": "the local stack keeps only PutObject, DeleteObject and DeleteObjects"}
)


def signed_service(request: Request) -> str | None:
    """The AWS service that the request is signed or presigned for."""
    scope = request.headers.get("authorization", "")
    if "Credential=" in scope:
        scope = scope.partition("Credential=")[2].partition(",")[0]
    else:
        query = parse_qs(request.query)
        if "AWSAccessKeyId" in query:  # boto3 still presigns S3 with signature version 2
            return "s3"
        scope = query.get("X-Amz-Credential", [""])[0]
    parts = scope.split("/")
    return parts[3] if len(parts) == 5 else None


def target_of(request: Request) -> str:
    """The operation of a JSON protocol request."""
    return request.headers.get("x-amz-target", "").rpartition(".")[2]


def is_object_write(request: Request) -> bool:
    """Whether this changes S3 objects (creating buckets and their settings does not)."""
    has_key = "/" in request.raw_path.strip("/")
    query = set(parse_qs(request.query, keep_blank_values=True))
    if request.method == "POST":
        return "delete" in query or has_key
    return request.method in ("PUT", "DELETE") and has_key and not query & _S3_SUBRESOURCES


def is_unsupported_write(request: Request) -> bool:
    """Copies and multipart uploads, whose replay would need more than the request."""
    query = set(parse_qs(request.query, keep_blank_values=True))
    return "x-amz-copy-source" in request.headers or bool(query & {"uploads", "uploadId"})


def object_records(request: Request) -> list[JsonObject]:
    """The records of a successful S3 object write."""
    if request.method == "POST":
        bucket = request.raw_path.strip("/").partition("/")[0]
        root = ET.fromstring(request.body)
        keys = [element.text or "" for element in root.iter() if element.tag.endswith("Key")]
        return [_deletion(f"/{bucket}/{quote(key, safe='/~')}") for key in keys]
    if request.method == "DELETE":
        return [_deletion(request.raw_path)]
    headers = {
        name: value
        for name, value in request.headers.items()
        if name in _KEPT_HEADERS or name.startswith("x-amz-")
    }
    return [
        {
            "service": "s3",
            "method": "PUT",
            "path": request.raw_path,
            "headers": headers,
            "body": base64.b64encode(request.body).decode(),
        }
    ]


def is_schedule_write(request: Request) -> bool:
    """Whether this makes, changes or deletes a schedule (groups come from the template)."""
    is_schedule = request.raw_path.startswith("/schedules/")
    return is_schedule and request.method in ("POST", "PUT", "DELETE")


def schedule_record(request: Request, *, since: float) -> JsonObject:
    """The record of a successful write of a schedule, made at `since`; a deletion has no body."""
    asked = json.loads(request.body or b"{}")
    group = asked.get("GroupName") or parse_qs(request.query).get("groupName", ["default"])[0]
    name = request.raw_path.removeprefix("/schedules/")
    return {
        "service": "scheduler",
        "name": f"{group}/{name}",
        "body": asked or None,
        "since": since,
    }


def dynamodb_record(request: Request) -> JsonObject:
    """The record of a successful DynamoDB write."""
    return {
        "service": "dynamodb",
        "target": request.headers["x-amz-target"],
        "body": json.loads(request.body),
    }


def _deletion(path: str) -> JsonObject:
    return {"service": "s3", "method": "DELETE", "path": path}
