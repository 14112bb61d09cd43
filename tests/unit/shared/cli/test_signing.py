import httpx
import pytest
from botocore.credentials import Credentials

from ratchet.cli.client import ApiClient
from ratchet.cli.config import ApiConfig
from ratchet.cli.errors import CliError
from ratchet.cli.signing import SigV4
from tests.unit.shared.cli.conftest import FakeApi, ok, task

HOST = "https://abc.execute-api.eu-west-1.amazonaws.com"


@pytest.fixture
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")


@pytest.fixture
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")


@pytest.mark.usefixtures("_credentials")
def test_without_a_key_requests_are_signed_for_the_region_of_the_address() -> None:
    fake = FakeApi()
    fake.on("POST /v1/tasks", ok(task()))
    config = ApiConfig(HOST, None, "RATCHET_API_URL")

    with ApiClient.connect(config, transport=httpx.MockTransport(fake)) as client:
        client.submit({"goal": "go"}, wait=5)

    headers = fake.requests[0].headers
    assert "/eu-west-1/execute-api/aws4_request" in headers["authorization"]
    assert headers["x-amz-security-token"] == "session"
    assert "x-amz-date" in headers
    assert "x-api-key" not in headers


def test_signature_covers_the_body() -> None:
    auth = SigV4(Credentials("AKIDEXAMPLE", "secret"), "eu-west-1")
    signed = [
        next(auth.auth_flow(httpx.Request("POST", HOST + "/v1/tasks?wait=1", content=body)))
        for body in (b"one", b"two")
    ]

    assert signed[0].headers["authorization"] != signed[1].headers["authorization"]


@pytest.mark.usefixtures("_no_credentials")
def test_neither_key_nor_credentials_is_reported() -> None:
    with pytest.raises(CliError, match="no API key and no AWS credentials"):
        ApiClient.connect(ApiConfig(HOST, None, "RATCHET_API_URL"))


@pytest.mark.usefixtures("_no_credentials", "_credentials")
def test_missing_region_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CliError, match="region"):
        ApiClient.connect(ApiConfig("https://ratchet.example.com", None, "RATCHET_API_URL"))
