"""Bodies too large for an item, in S3 under their own hash: writing one twice is harmless, altering one is noticed."""

import base64
import hashlib
from typing import TYPE_CHECKING, Protocol

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


class S3Payloads:
    """Payloads in a bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, ref: TaskRef, body: bytes) -> str:
        """Keep a body; returns its sha256, which S3 has checked."""
        digest = hashlib.sha256(body)
        try:
            self._client.put_object(
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
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except AWS_ERRORS as exc:
            if error_code(exc) == "NoSuchKey":
                raise DataMissing(f"the stored body {key} is gone") from exc
            raise store_error(exc) from exc
        if hashlib.sha256(body).hexdigest() != sha256:
            raise DataMissing(f"the stored body {key} was altered")
        return body
