"""CloudWatch's own OTLP endpoint, which wants requests signed instead of a key."""

import re
from urllib.parse import urlsplit

SERVICE = "xray"
ACTIONS = ("xray:PutTraceSegments", "xray:PutSpans", "xray:PutSpansForIndexing")
"""What whoever sends there must be allowed. X-Ray knows no resource-level permissions."""

_HOST = re.compile(r"xray\.([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com(?:\.cn)?")


def region_of(endpoint: str) -> str | None:
    """The region of an X-Ray OTLP endpoint; None of any other URL.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html
    """
    url = urlsplit(endpoint)
    found = _HOST.fullmatch(url.hostname or "")
    return found[1] if found is not None and url.scheme == "https" else None
