"""What the local gateway lets through of tokens, as API Gateway does."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ratchet.local.http_api.authorizer import BROKEN, UNAUTHORIZED
from ratchet.local.http_api.jwt import JwtVerifier
from ratchet.local.http_api.model import JwtAuthorizer
from ratchet.local.web import Request
from tests.issuer import AUDIENCE, Issuer, issuer

HEADER = "$request.header.Authorization"


@pytest.fixture(scope="module")
def provider() -> Iterator[Issuer]:
    with issuer() as running:
        yield running


@pytest.fixture
def gateway(provider: Issuer) -> JwtAuthorizer:
    return JwtAuthorizer(provider.url, (AUDIENCE, "ratchet-ci"), HEADER)


def offering(text: str) -> Request:
    headers = {"authorization": text} if text else {}
    return Request(
        method="GET", raw_path="/", query="", headers=headers, body=b"", remote="", protocol=""
    )


def test_a_good_token_passes_with_its_claims_as_text(
    provider: Issuer, gateway: JwtAuthorizer
) -> None:
    token = provider.token(tenant="acme", scope="read submit", groups=["a", "b"], level=3)
    decision = JwtVerifier().decide(gateway, offering(f"Bearer {token}"))
    assert decision.is_allowed
    assert decision.context is not None
    claims = decision.context["claims"]
    assert (claims["tenant"], claims["scope"], claims["sub"]) == ("acme", "read submit", "ann")
    assert (claims["groups"], claims["level"]) == ("[a b]", "3")


@pytest.mark.parametrize("claims", [{"aud": None, "client_id": AUDIENCE}, {"aud": ["x", AUDIENCE]}])
def test_the_audience_may_be_one_of_several_or_the_client(
    provider: Issuer, gateway: JwtAuthorizer, claims: dict[str, Any]
) -> None:
    assert JwtVerifier().decide(gateway, offering(f"bearer {provider.token(**claims)}")).is_allowed


def unsigned(provider: Issuer) -> str:
    _, claims, _ = provider.token().split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "rsa-1"}).encode())
    return f"{head.decode().rstrip('=')}.{claims}."


def altered(provider: Issuer) -> str:
    head, _, signature = provider.token().split(".")
    _, claims, _ = provider.token(tenant="globex").split(".")
    return f"{head}.{claims}.{signature}"


BAD: dict[str, Callable[[Issuer], str]] = {
    "expired": lambda i: i.token(exp=time.time_ns() // 10**9 - 1),
    "without an end": lambda i: i.token(exp=None),
    "not yet": lambda i: i.token(nbf=time.time_ns() // 10**9 + 60),
    "issued later": lambda i: i.token(iat=time.time_ns() // 10**9 + 60),
    "of another issuer": lambda i: i.token(iss="https://evil.example.com"),
    "for another audience": lambda i: i.token(aud="other"),
    "for nobody": lambda i: i.token(aud=None),
    "another audience and our client": lambda i: i.token(aud="other", client_id=AUDIENCE),
    "signed by a stranger": lambda i: i.token(key=i.stranger),
    "a curve, which API Gateway does not take": lambda i: i.token(
        key=i.curve, header={"alg": "ES256", "kid": "ec-1"}
    ),
    "the public key as a secret": lambda i: i.confused(),
    "unsigned": unsigned,
    "altered": altered,
    "of an unknown key": lambda i: i.token(header={"kid": "rsa-9"}),
    "of no key": lambda i: i.token(header={"kid": None}),
    "no token": lambda _: "hello",
    "nothing": lambda _: "",
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_token_is_refused(provider: Issuer, gateway: JwtAuthorizer, case: str) -> None:
    text = BAD[case](provider)
    assert JwtVerifier().decide(gateway, offering(f"Bearer {text}")) is UNAUTHORIZED


def test_no_header_is_no_token(gateway: JwtAuthorizer) -> None:
    assert JwtVerifier().decide(gateway, offering("")) is UNAUTHORIZED


def test_the_keys_are_read_once_for_many_tokens(provider: Issuer, gateway: JwtAuthorizer) -> None:
    verifier, before = JwtVerifier(), provider.reads
    for _ in range(3):
        assert verifier.decide(gateway, offering(f"Bearer {provider.token()}")).is_allowed
    assert provider.reads - before == 2  # the configuration and the keys


def test_an_issuer_that_does_not_answer_lets_nobody_in() -> None:
    gone = JwtAuthorizer("http://127.0.0.1:9", (AUDIENCE,), HEADER)
    assert JwtVerifier().decide(gone, offering("Bearer a.b.c")) is BROKEN
