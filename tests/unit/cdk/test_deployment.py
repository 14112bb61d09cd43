"""The context: defaults, parsing, refusals."""

import dataclasses

import pytest

from cdk.deployment import BadContext, Deployment


def test_an_empty_context_is_the_default_deployment() -> None:
    assert Deployment.from_context({"auth": None}) == Deployment()


def test_values_are_read_as_text_as_the_cli_sends_them() -> None:
    given = {"step_timeout_seconds": "120", "kms": "true", "log_level": "DEBUG"}
    deployment = Deployment.from_context(given)
    assert deployment == dataclasses.replace(
        Deployment(), step_timeout_seconds=120, kms=True, log_level="DEBUG"
    )


def test_values_are_read_as_json_as_cdk_json_has_them() -> None:
    deployment = Deployment.from_context({"step_timeout_seconds": 120, "kms": True})
    assert (deployment.step_timeout_seconds, deployment.kms) == (120, True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auth", "none"),
        ("log_level", "info"),
        ("architecture", "riscv"),
        ("removal", "snapshot"),
        ("kms", "yes"),
        ("step_timeout_seconds", "900"),
        ("step_timeout_seconds", "fast"),
        ("dispatcher_concurrency", "1"),
        ("throttle_rate", "-1"),
        ("otlp_endpoint", "http://collector.example.com/v1/traces"),
        ("otlp_endpoint", "otlp.example.com"),
    ],
)
def test_a_value_that_no_deployment_can_have_is_refused_by_name(key: str, value: str) -> None:
    with pytest.raises(BadContext, match=key):
        Deployment.from_context({key: value})


@pytest.mark.parametrize(
    "endpoint",
    ["https://otlp.example.com/v1/traces", "http://localhost:4318/v1/traces", "none"],
)
def test_spans_go_by_tls_or_to_a_collector_on_the_same_machine(endpoint: str) -> None:
    assert Deployment.from_context({"otlp_endpoint": endpoint}).otlp_endpoint == endpoint


def test_a_stage_has_a_stack_of_its_own() -> None:
    assert Deployment().full_name == "Ratchet"
    assert Deployment.from_context({"stage": "test"}).full_name == "Ratchet-test"


@pytest.mark.parametrize(
    ("least", "most"),
    [
        ("min_running_tasks", "max_running_tasks"),
        ("step_executor_provisioned_min", "step_executor_provisioned_max"),
    ],
)
def test_a_least_value_above_the_most_is_refused_unless_that_is_none(least: str, most: str) -> None:
    with pytest.raises(BadContext, match=f"{least}=30 is above {most}=29"):
        Deployment.from_context({least: 30, most: 29})
    assert getattr(Deployment.from_context({least: 30, most: 30}), least) == 30
    assert getattr(Deployment.from_context({least: 30, most: 0}), most) == 0


JWT = {"auth": "jwt", "jwt_issuer": "https://id.example.com", "jwt_audience": "ratchet"}


def test_tokens_need_an_issuer_and_an_audience() -> None:
    assert Deployment.from_context(JWT).jwt_issuer == "https://id.example.com"
    local = JWT | {"jwt_issuer": "http://127.0.0.1:9000"}  # API Gateway itself refuses it
    assert Deployment.from_context(local).auth == "jwt"


UUID = "0a1b2c3d-1111-2222-3333-0123456789ab"
ACL = f"arn:aws:wafv2:us-east-1:123456789012:global/webacl/team_1/{UUID}"
CERTIFICATE = f"arn:aws:acm:us-east-1:123456789012:certificate/{UUID}"
FRONT = {"auth": "api_key", "web_acl_arn": ACL}
OWN = {"web_domain": "agents.example.com", "web_certificate_arn": CERTIFICATE}


def test_a_web_acl_goes_before_callers_with_keys_or_tokens() -> None:
    assert Deployment.from_context(FRONT).web_acl_arn == ACL
    assert Deployment.from_context(JWT | {"web_acl_arn": ACL}).auth == "jwt"
    own = Deployment.from_context(FRONT | OWN | {"origin_secret_version": UUID})
    assert (own.web_domain, own.origin_secret_version) == ("agents.example.com", UUID)


@pytest.mark.parametrize("auth", ["iam", None])
def test_a_web_acl_before_signed_requests_is_refused_with_what_to_do(auth: str | None) -> None:
    with pytest.raises(BadContext, match=r"auth=jwt or auth=api_key.*Host"):
        Deployment.from_context({"auth": auth, "web_acl_arn": ACL})


@pytest.mark.parametrize(
    "arn",
    [
        "team",
        UUID,
        ACL.replace("global", "regional"),
        ACL.replace("us-east-1", "eu-central-1"),
        ACL.replace("wafv2", "waf-regional"),
        ACL.replace("webacl", "rulegroup"),
        ACL.replace("123456789012", "<account>"),
        ACL.removesuffix(UUID),
        ACL + "\n",
        f"arn:aws:waf::123456789012:webacl/{UUID}",
    ],
)
def test_a_web_acl_that_cloudfront_cannot_hold_is_refused(arn: str) -> None:
    with pytest.raises(BadContext, match=r"web_acl_arn=.*scope CLOUDFRONT.*no regional one"):
        Deployment.from_context(FRONT | {"web_acl_arn": arn})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"web_acl_arn": ""} | OWN, "web_domain needs web_acl_arn"),
        ({"web_acl_arn": "", "origin_secret_version": UUID}, "needs web_acl_arn"),
        ({"web_domain": "agents.example.com"}, "say both, or neither"),
        ({"web_certificate_arn": CERTIFICATE}, "say both, or neither"),
        (OWN | {"web_domain": "https://agents.example.com"}, "host name"),
        (OWN | {"web_domain": "localhost"}, "host name"),
        (OWN | {"web_certificate_arn": CERTIFICATE.replace("us-east-1", "eu-west-1")}, "us-east-1"),
        ({"origin_secret_version": "AWSCURRENT"}, "VersionId"),
    ],
)
def test_what_belongs_to_a_web_front_is_refused_where_it_cannot_be(
    changes: dict[str, str], said: str
) -> None:
    with pytest.raises(BadContext, match=said):
        Deployment.from_context(FRONT | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"jwt_issuer": ""}, "jwt_issuer"),
        ({"jwt_issuer": "http://id.example.com"}, "https://"),
        ({"jwt_issuer": "http://127.0.0.1.evil.example.com"}, "https://"),
        ({"jwt_audience": ""}, "jwt_audience"),
        ({"jwt_audience": " , "}, "jwt_audience"),
        ({"auth": "iam"}, "auth=jwt"),
        ({"auth": "api_key"}, "auth=jwt"),
        ({"tenant_rate": "-1"}, "tenant_rate"),
    ],
)
def test_tokens_of_nobody_or_for_anybody_are_refused(changes: dict[str, str], said: str) -> None:
    with pytest.raises(BadContext, match=said):
        Deployment.from_context(JWT | changes)
