"""AWS Signature Version 4 for deployments whose API identifies callers by IAM."""

from collections.abc import Generator
from typing import TYPE_CHECKING

import httpx

from ratchet.cli.errors import CliError

if TYPE_CHECKING:
    from botocore.credentials import Credentials

SERVICE = "execute-api"
_SIGNED = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")


class SigV4(httpx.Auth):
    """Signs every request with one set of credentials."""

    requires_request_body = True

    def __init__(self, credentials: "Credentials", region: str) -> None:
        self._credentials = credentials
        self._region = region

    @classmethod
    def from_session(cls, host: str) -> "SigV4":
        """From the AWS credentials of this machine; the region is the host's, or the configured one.

        Raises:
            CliError: there are no credentials, or no region.
        """
        import botocore.session  # noqa: PLC0415 - half a second that calls with a key need not pay

        session = botocore.session.get_session()
        credentials = session.get_credentials()
        if credentials is None:
            raise CliError(
                "no API key and no AWS credentials",
                "Set RATCHET_API_KEY (the deployment's ApiKeys secret holds it), or sign in to AWS.",
            )
        region = region_of(host) or session.get_config_variable("region")
        if not region:
            raise CliError("no AWS region to sign for", "Set AWS_REGION.")
        return cls(credentials, str(region))

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the signature's headers."""
        from botocore.auth import SigV4Auth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        unsigned = AWSRequest(
            method=request.method,
            url=str(request.url),
            data=request.content,
            headers={"Host": request.headers["Host"]},
        )
        SigV4Auth(self._credentials, SERVICE, self._region).add_auth(unsigned)
        for name in _SIGNED:
            if name in unsigned.headers:
                request.headers[name] = unsigned.headers[name]
        yield request


def region_of(host: str) -> str | None:
    """`eu-west-1` of `abc.execute-api.eu-west-1.amazonaws.com`."""
    labels = host.split(".")
    return labels[2] if len(labels) > 3 and labels[1] == SERVICE else None
