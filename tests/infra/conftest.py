"""Two syntheses serve all tests here; they are kept under .build/ and skipped while nothing changes."""

from pathlib import Path

import pytest

from cdk.synth import BUILD, synthesize
from tests.infra.template import Synthesized

OUT = BUILD / "test-infra"
ROUTING = Path(__file__).with_name("other_routing.yaml")
MODELS = Path(__file__).with_name("other_models.yaml")
PROVIDERS = Path(__file__).with_name("other_providers.yaml")


WEB_ACL = (
    "arn:aws:wafv2:us-east-1:123456789012:global/webacl/team/0a1b2c3d-1111-2222-3333-0123456789ab"
)
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-4444-5555-6666-0123456789ab"
SECRET_VERSION = "0a1b2c3d-7777-8888-9999-0123456789ab"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.infra)


@pytest.fixture(scope="session")
def default() -> Synthesized:
    """The default deployment, checked by cdk-nag."""
    return Synthesized(synthesize({"nag": "true"}, OUT / "default"))


@pytest.fixture(scope="session")
def keyed(default: Synthesized) -> Synthesized:
    """With API keys, as `ratchet dev` runs it."""
    return Synthesized(synthesize({"nag": "true", "auth": "api_key"}, OUT / "keyed"))


@pytest.fixture(scope="session")
def tokens(default: Synthesized) -> Synthesized:
    """With the tokens of an identity provider, behind a web front."""
    context = {
        "nag": "true",
        "auth": "jwt",
        "jwt_issuer": "https://id.example.com/pool",
        "jwt_audience": "ratchet, ratchet-ci",
        "jwt_tenant_claim": "org",
        "tenant_rate": "5",
        "decision_links": "true",
        "otlp_endpoint": "https://xray.eu-central-1.amazonaws.com/v1/traces",
        "web_acl_arn": WEB_ACL,
    }
    return Synthesized(synthesize(context, OUT / "tokens"))


@pytest.fixture(scope="session")
def warm(default: Synthesized) -> Synthesized:
    """With sandboxes kept warm and limits to what runs, and keys behind a web front at an address of the team's."""
    context = {
        "nag": "true",
        "step_executor_provisioned_min": "2",
        "step_executor_provisioned_max": "20",
        "tenant_running_tasks": "5",
        "max_running_tasks": "900",
        "auth": "api_key",
        "web_acl_arn": WEB_ACL,
        "web_domain": "agents.example.com",
        "web_certificate_arn": CERTIFICATE,
        "origin_secret_version": SECRET_VERSION,
    }
    return Synthesized(synthesize(context, OUT / "warm"))


@pytest.fixture(scope="session")
def other(default: Synthesized) -> Synthesized:
    """As different as the context allows, checked too, without network: the layers are there."""
    context = {
        "nag": "true",
        "auth": "iam",
        "stage": "test",
        "kms": "true",
        "tracing": "true",
        "otlp_endpoint": "https://otlp.example.com/v1/traces",
        "removal": "destroy",
        "routing": str(ROUTING),
        "models": str(MODELS),
        "providers": str(PROVIDERS),
        "step_timeout_seconds": "120",
        "log_level": "DEBUG",
        "decision_links": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            patch.setenv(name, "http://127.0.0.1:9")
        patch.setenv("PIP_NO_INDEX", "1")
        return Synthesized(synthesize(context, OUT / "other"))
