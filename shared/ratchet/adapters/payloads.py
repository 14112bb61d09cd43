"""Bodies too large for an item, in S3 under their own hash: writing one twice is harmless, altering one is noticed."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from ratchet.adapters.aws import AWS_ERRORS, error_code, store_error
from ratchet.contracts.errors import DataMissing
from ratchet.contracts.messages import TaskRef
from ratchet.domain import keys

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class Payloads(Protocol):
    """Where large bodies are kept."""

    def put(self, ref: TaskRef, body: bytes) -> str:
        """Keep a body; returns its sha256."""
        ...

    def get(self, ref: TaskRef, sha256: str) -> bytes:
        """The body of that hash.

        Raises:
            DataMissing: it is gone, or is not what was written.
        """
        ...

    def erase(self, ref: TaskRef) -> None:
        """Delete all bodies of a task."""
        ...


class S3Payloads:
    """Payloads in a bucket."""

    def __init__(self, client: "Callable[[], S3Client]", bucket: str) -> None:
        self._client = client  # made on demand: few tasks have a body that is too large for an item
        self._bucket = bucket

    def put(self, ref: TaskRef, body: bytes) -> str:
        """Keep a body; returns its sha256, which S3 has checked."""
        digest = hashlib.sha256(body)
        try:
            self._client().put_object(
                Bucket=self._bucket,
                Key=keys.payload_key(ref, digest.hexdigest()),
                Body=body,
                ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
            )
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc
        return digest.hexdigest()

    def get(self, ref: TaskRef, sha256: str) -> bytes:
        """The body of that hash, checked."""
        key = keys.payload_key(ref, sha256)
        try:
            body = self._client().get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except AWS_ERRORS as exc:
            if error_code(exc) == "NoSuchKey":
                raise DataMissing(f"the stored body {key} is gone") from exc
            raise store_error(exc) from exc
        if hashlib.sha256(body).hexdigest() != sha256:
            raise DataMissing(f"the stored body {key} was altered")
        return body

    def erase(self, ref: TaskRef) -> None:
        """Delete all bodies of a task, a page of at most 1,000 at a time."""
        self.erase_below(keys.payload_prefix(ref))

    def erase_below(self, prefix: str) -> int:
        """Delete the bodies whose keys begin so; how many there were."""
        where: Any = {"Bucket": self._bucket, "Prefix": prefix}
        deleted = 0
        try:
            while True:
                page = self._client().list_objects_v2(**where)
                doomed = [found["Key"] for found in page.get("Contents", ())]
                self._delete(doomed)
                deleted += len(doomed)
                if not page.get("IsTruncated"):
                    return deleted
                where["ContinuationToken"] = page["NextContinuationToken"]
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc

    def _delete(self, found: Sequence[str]) -> None:
        if not found:
            return
        doomed: Any = {"Objects": [{"Key": key} for key in found], "Quiet": True}
        answer = self._client().delete_objects(Bucket=self._bucket, Delete=doomed)
        for error in answer.get("Errors", ()):
            response: Any = {"Error": error}
            raise ClientError(response, "DeleteObjects")


class S3Holdings:
    """The TenantHoldings of the bucket."""

    def __init__(self, client: "Callable[[], S3Client]", bucket: str) -> None:
        self._payloads = S3Payloads(client, bucket)

    def erase(self, tenant: str) -> Mapping[str, int]:
        """Delete the large bodies of all tasks of the tenant, also of those that have no items any more."""
        return {"bodies": self._payloads.erase_below(keys.tenant_prefix(tenant))}
