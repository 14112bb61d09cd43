"""The web front: CloudFront with the team's web ACL before the API, and no way around it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.api import handler
from functions.api import wiring as api_wiring
from functions.authorizer import handler as authorizer
from ratchet.adapters import aws
from ratchet.contracts.access import API_KEY_HEADER, ORIGIN_HEADER
from tests.contract.moto_aws import mocked_aws
from tests.envelopes import LambdaContext, envelope
from tests.infra.conftest import CERTIFICATE, SECRET_VERSION, WEB_ACL
from tests.infra.template import Resource, Synthesized

DISTRIBUTION = "AWS::CloudFront::Distribution"
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html
ALL_VIEWER_EXCEPT_HOST_HEADER = "b689b0a8-53d0-40ab-baf2-68738e2966ac"


@pytest.fixture(params=["tokens", "warm"])
def template(request: pytest.FixtureRequest) -> Synthesized:
    synthesized: Synthesized = request.getfixturevalue(request.param)
    return synthesized


def front(template: Synthesized) -> Resource:
    found: Resource = template.only(DISTRIBUTION)["DistributionConfig"]
    return found


def origin(template: Synthesized) -> Resource:
    (found,) = front(template)["Origins"]
    return dict(found)


def origin_secret(template: Synthesized) -> str:
    (found,) = (
        name
        for name in template.of_type("AWS::SecretsManager::Secret")
        if name.startswith("OriginSecret")
    )
    return found


def test_cfn_lint_and_cdk_nag_find_nothing(template: Synthesized) -> None:
    program = Path(sys.executable).with_name("cfn-lint")
    command = [str(program), "-i", "W3005", "-t", str(template.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    report = json.loads((template.out / "validation-report.json").read_text(encoding="utf-8"))
    assert report["pluginReports"] == []


def test_without_a_web_acl_there_is_no_front_and_nothing_to_show(
    default: Synthesized, keyed: Synthesized
) -> None:
    for template in (default, keyed):
        assert template.of_type(DISTRIBUTION) == {}
        assert ORIGIN_HEADER not in json.dumps(template.document)
        told = template.functions()["api"]["Environment"]["Variables"]
        assert told["RATCHET_ORIGIN_SECRET_ARN"] == ""


def test_the_acl_stands_before_every_request_and_nothing_is_kept(template: Synthesized) -> None:
    config = front(template)
    assert config["WebACLId"] == WEB_ACL
    assert config["Enabled"] is True
    assert "CacheBehaviors" not in config
    behavior = config["DefaultCacheBehavior"]
    assert behavior["CachePolicyId"] == CACHING_DISABLED
    assert behavior["OriginRequestPolicyId"] == ALL_VIEWER_EXCEPT_HOST_HEADER
    assert behavior["ViewerProtocolPolicy"] == "https-only"
    every = {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"}
    assert set(behavior["AllowedMethods"]) == every
    kept = {e["ErrorCode"]: e["ErrorCachingMinTTL"] for e in config["CustomErrorResponses"]}
    assert kept == dict.fromkeys((400, 403, 404, 405, 414, 500, 501, 502, 503, 504), 0)


def test_it_leads_to_the_api_by_tls_and_waits_longer_than_the_api_does(
    template: Synthesized,
) -> None:
    (api,) = template.of_type("AWS::ApiGatewayV2::Api")
    endpoint = {"Fn::GetAtt": [api, "ApiEndpoint"]}
    to = origin(template)
    assert to["DomainName"] == {"Fn::Select": [2, {"Fn::Split": ["/", endpoint]}]}
    how = to["CustomOriginConfig"]
    assert (how["OriginProtocolPolicy"], how["OriginSSLProtocols"]) == ("https-only", ["TLSv1.2"])
    assert how["OriginReadTimeout"] > 30  # API Gateway's own limit


def test_what_it_shows_is_a_reference_and_never_a_text(
    tokens: Synthesized, warm: Synthesized
) -> None:
    for template, version in ((tokens, ""), (warm, SECRET_VERSION)):
        (header,) = origin(template)["OriginCustomHeaders"]
        assert header["HeaderName"] == ORIGIN_HEADER
        secret = {"Ref": origin_secret(template)}
        parts = ["{{resolve:secretsmanager:", secret, f":SecretString:::{version}}}}}"]
        assert header["HeaderValue"] == {"Fn::Join": ["", parts]}


def test_callers_are_told_the_fronts_address_and_not_the_apis(
    tokens: Synthesized, warm: Synthesized
) -> None:
    (name,) = tokens.of_type(DISTRIBUTION)
    domain = {"Fn::GetAtt": [name, "DomainName"]}
    outputs = tokens.document["Outputs"]
    assert outputs["ApiUrl"]["Value"] == {"Fn::Join": ["", ["https://", domain]]}
    assert outputs["WebFrontDomain"]["Value"] == domain
    assert outputs["OriginSecretArn"]["Value"] == {"Ref": origin_secret(tokens)}
    assert warm.document["Outputs"]["ApiUrl"]["Value"] == "https://agents.example.com"


def test_an_address_of_the_teams_own_takes_tls_1_2_and_nothing_below(
    tokens: Synthesized, warm: Synthesized
) -> None:
    assert front(warm)["Aliases"] == ["agents.example.com"]
    assert front(warm)["ViewerCertificate"] == {
        "AcmCertificateArn": CERTIFICATE,
        "MinimumProtocolVersion": "TLSv1.2_2021",
        "SslSupportMethod": "sni-only",
    }
    # CloudFront's own certificate goes with no other minimum than its own.
    assert "ViewerCertificate" not in front(tokens)


def test_a_verdict_on_a_key_is_kept_with_what_was_shown(warm: Synthesized) -> None:
    source = warm.only("AWS::ApiGatewayV2::Authorizer")["IdentitySource"]
    assert source == [f"$request.header.{name}" for name in (API_KEY_HEADER, ORIGIN_HEADER)]


def test_who_asks_for_it_may_read_it(template: Synthesized) -> None:
    secret = {"Ref": origin_secret(template)}
    readers = {
        name
        for name in template.functions()
        for statement in template.statements(template.role_of(name))
        if secret in statement["Resource"]
    }
    assert readers == {"api", *({"authorizer"} & set(template.functions()))}


@pytest.fixture
def deployed(warm: Synthesized) -> Iterator[dict[str, str]]:
    """The functions, told what the template tells them; what CloudFront sends them with every request."""
    with mocked_aws(), pytest.MonkeyPatch.context() as patch:
        manager = aws.client("secretsmanager")
        arns = {
            name: manager.create_secret(Name=name, SecretString=f"value-of-{name}")["ARN"]
            for name in warm.of_type("AWS::SecretsManager::Secret")
        }
        for function in ("api", "authorizer"):
            told: dict[str, Any] = warm.functions()[function]["Environment"]["Variables"]
            for variable, value in told.items():
                is_reference = isinstance(value, dict)
                patch.setenv(
                    variable,
                    arns.get(str(value.get("Ref")), "somewhere") if is_reference else value,
                )
        patch.setattr(api_wiring, "_BUNDLE", warm.code_of("api"))
        _forget()
        (header,) = origin(warm)["OriginCustomHeaders"]
        (reference,) = (p for p in header["HeaderValue"]["Fn::Join"][1] if isinstance(p, dict))
        yield {header["HeaderName"]: f"value-of-{reference['Ref']}"}
        _forget()


def _forget() -> None:
    api_wiring.wiring.cache_clear()  # type: ignore[attr-defined]
    authorizer.front_door.cache_clear()  # type: ignore[attr-defined]


def health(headers: dict[str, str]) -> tuple[int, str | None]:
    event = envelope("api/submit")
    event["rawPath"] = event["requestContext"]["http"]["path"] = "/v1/health"
    event["requestContext"]["http"]["method"] = "GET"
    event["headers"] = headers
    answer = handler.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
    return answer["statusCode"], json.loads(answer["body"]).get("code")


def test_the_functions_take_what_the_front_of_their_template_shows_and_nothing_else(
    deployed: dict[str, str],
) -> None:
    assert health(deployed) == (200, None)
    guessed = {name: value + "x" for name, value in deployed.items()}
    for around in ({}, guessed):
        assert health(around) == (403, "around_the_front")
    event = envelope("authorizer/request")
    door = authorizer.front_door()
    assert door is not None
    assert door.is_passed(event | {"headers": deployed})
    assert authorizer.lambda_handler(event, None) == {"isAuthorized": False}
