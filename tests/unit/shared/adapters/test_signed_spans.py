"""Spans for CloudWatch's own endpoint: signed as AWS checks it, over real HTTP."""

import gzip
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError

from ratchet.adapters import aws, aws_spans
from ratchet.adapters.otlp import OtlpSpans
from ratchet.adapters.signed_spans import signer
from ratchet.contracts.errors import RatchetError
from ratchet.contracts.xray import region_of
from ratchet.testing.clock import FakeClock
from tests.spans import OtlpReceiver
from tests.unit.shared.adapters.test_otlp import SPAN

KEYS = Credentials("AKIAEXAMPLE", "secret", "session-token")
ENDPOINT = "https://xray.eu-central-1.amazonaws.com/v1/traces"
SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/(\d{8})/eu-central-1/xray/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


def checked(url: str, headers: Mapping[str, str], body: bytes) -> str:
    """The signature that AWS would compute of this request, from what arrived."""
    found = SIGNED.fullmatch(headers["authorization"])
    assert found is not None
    names = found[2].split(";")
    assert {"host", "x-amz-date", "x-amz-security-token"} <= set(names)
    told = {name: headers[name] for name in names}
    request = AWSRequest(method="POST", url=url, data=body, headers=told)
    at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert at.strftime("%Y%m%d") == found[1]
    request.context["timestamp"] = headers["x-amz-date"]
    auth = SigV4Auth(KEYS, "xray", "eu-central-1")
    text = auth.string_to_sign(request, auth.canonical_request(request))
    assert auth.signature(text, request) == found[3]
    return found[3]


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


def test_what_arrives_has_a_signature_of_exactly_this_request(receiver: OtlpReceiver) -> None:
    sent: list[bytes] = []
    sign = signer("xray", "eu-central-1", keys=KEYS.get_frozen_credentials)

    def signing(url: str, body: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        sent.append(body)
        return sign(url, body, headers)

    spans = OtlpSpans(receiver.endpoint, headers=str, service="step_executor", sign=signing)
    with closing(spans):
        assert spans.send([SPAN])
        assert spans.send([SPAN, SPAN])
    assert [gzip.decompress(body) for body in sent] == receiver.bodies
    signatures = {
        checked(receiver.endpoint, headers, body)
        for headers, body in zip(receiver.headers, sent, strict=True)
    }
    assert len(signatures) == 2
    with pytest.raises(AssertionError):
        checked(receiver.endpoint, receiver.headers[0], sent[1])


def test_without_credentials_nothing_is_sent_and_nothing_breaks(receiver: OtlpReceiver) -> None:
    def none() -> Any:
        raise NoCredentialsError

    sign = signer("xray", "eu-central-1", keys=none)
    with pytest.raises(RatchetError):
        sign(receiver.endpoint, b"", {})
    with closing(OtlpSpans(receiver.endpoint, headers=str, service="s", sign=sign)) as spans:
        assert not spans.send([SPAN])
    assert receiver.bodies == []


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        (ENDPOINT, "eu-central-1"),
        ("https://xray.us-gov-west-1.amazonaws.com/v1/traces", "us-gov-west-1"),
        ("https://xray.cn-north-1.amazonaws.com.cn/v1/traces", "cn-north-1"),
        ("http://xray.eu-central-1.amazonaws.com/v1/traces", None),
        ("https://xray.eu-central-1.amazonaws.com.evil.example/v1/traces", None),
        ("https://evil.example/xray.eu-central-1.amazonaws.com", None),
        ("https://otlp.example.com/v1/traces", None),
        ("none", None),
    ],
)
def test_only_x_rays_own_hosts_get_a_signature(endpoint: str, region: str | None) -> None:
    assert region_of(endpoint) == region


def test_the_sink_of_such_an_endpoint_signs_with_the_functions_own_role(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Settings:
        otlp_endpoint = ENDPOINT
        otlp_headers_secret_arn = "none"

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-token")
    aws.forget_clients()
    sink = aws_spans.span_sink(Settings(), FakeClock(), service="deliverer")
    assert isinstance(sink, OtlpSpans)
    assert sink._sign is not None
    headers = {name.lower(): value for name, value in sink._sign(ENDPOINT, b"x", {}).items()}
    checked(ENDPOINT, {"host": "xray.eu-central-1.amazonaws.com", **headers}, b"x")
    aws.forget_clients()
