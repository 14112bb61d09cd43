"""What an adapter raises when AWS says no for good. Without botocore, so that the in-memory twins can say it too."""

from ratchet.contracts.errors import RatchetError


class ServiceRefused(RatchetError):
    """AWS refuses the request for good: permissions, a missing resource, or a request that is not valid."""

    code = "service_refused"
