"""Requests that AWS takes because the function's own role has signed them: Signature Version 4, by botocore."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from ratchet.adapters.aws import AWS_ERRORS, credentials, store_error

Sign = Callable[[str, bytes, Mapping[str, str]], Mapping[str, str]]


def signer(service: str, region: str, *, keys: Callable[[], Any] = credentials) -> Sign:
    """What signs a POST of a body to a URL: the headers that were given, with those of the signature.

    Raises (when it signs):
        StoreUnavailable: there are no credentials now.
    """

    def sign(url: str, body: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        request = AWSRequest(method="POST", url=url, data=body, headers=dict(headers))
        try:
            SigV4Auth(keys(), service, region).add_auth(request)
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc
        return dict(request.headers.items())

    return sign
