import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ratchet.local.stack import LocalStack
from tests.integration.local.builder import STACK, Assembly, att, join

HANDLERS = """
    import json, time

    def echo(event, context):
        return {"statusCode": 200, "headers": {"content-type": "application/json"},
                "cookies": ["a=1"], "body": json.dumps(event)}

    def value(event, context):
        return {"plain": True}

    def broken(event, context):
        raise ValueError("bad")

    def authorize(event, context):
        token = event["identitySource"][0]
        print("authorizing", token)
        if token == "crash":
            raise ValueError("bad")
        return {"isAuthorized": token.startswith("good"), "context": {"tenant": token, "type": event["type"]}}
"""


def _api(assembly: Assembly) -> None:
    assembly.add("Api", "AWS::ApiGatewayV2::Api", Name="api", ProtocolType="HTTP")
    assembly.add("Stage", "AWS::ApiGatewayV2::Stage", ApiId={"Ref": "Api"}, StageName="$default")
    for name in ("Echo", "Value", "Broken"):
        assembly.function(name, f"handlers.{name.lower()}")
        assembly.add(
            f"{name}Integration",
            "AWS::ApiGatewayV2::Integration",
            ApiId={"Ref": "Api"},
            IntegrationType="AWS_PROXY",
            IntegrationUri=att(name, "Arn"),
            PayloadFormatVersion="2.0",
        )
    authorize = assembly.function("Authorize", "handlers.authorize")
    assembly.add(
        "Authorizer",
        "AWS::ApiGatewayV2::Authorizer",
        ApiId={"Ref": "Api"},
        Name="tokens",
        AuthorizerType="REQUEST",
        AuthorizerPayloadFormatVersion="2.0",
        EnableSimpleResponses=True,
        IdentitySource=["$request.header.Authorization"],
        AuthorizerResultTtlInSeconds=300,
        AuthorizerUri=join(
            "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/",
            authorize,
            "/invocations",
        ),
    )


def _route(assembly: Assembly, name: str, key: str, target: str, **properties: Any) -> None:
    assembly.add(
        name,
        "AWS::ApiGatewayV2::Route",
        ApiId={"Ref": "Api"},
        RouteKey=key,
        Target=join("integrations/", {"Ref": f"{target}Integration"}),
        **properties,
    )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    assembly = Assembly(tmp_path_factory.mktemp("cdk.out"))
    _api(assembly)
    _route(assembly, "Open", "POST /v1/tasks/{id}", "Echo", AuthorizationType="NONE")
    _route(assembly, "Plain", "GET /v1/value", "Value")
    _route(assembly, "Any", "ANY /v1/{rest+}", "Echo")
    _route(assembly, "Bad", "GET /v1/broken", "Broken")
    custom = {"AuthorizationType": "CUSTOM", "AuthorizerId": {"Ref": "Authorizer"}}
    _route(assembly, "Private", "GET /v1/private", "Echo", **custom)
    _route(assembly, "Iam", "POST /v1/iam", "Echo", AuthorizationType="AWS_IAM")
    assembly.output("Endpoint", att("Api", "ApiEndpoint"))
    assembly.output(
        "Url", join("https://", {"Ref": "Api"}, ".execute-api.us-east-1.amazonaws.com/")
    )
    with LocalStack.start(assembly.write(HANDLERS), stack_name=STACK) as running:
        yield running


class Http:
    def __init__(self, stack: LocalStack) -> None:
        self.base = stack.outputs["Endpoint"]

    def __call__(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any]:
        request = Request(self.base + path, method=method, data=body, headers=headers)
        try:
            with urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read())
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def http(stack: LocalStack) -> Http:
    return Http(stack)


def test_a_route_gets_the_payload_format_2_event(http: Http) -> None:
    status, event = http("POST", "/v1/tasks/a%20b?x=1&x=2&y=", b'{"a":1}', Cookie="k=v; l=w")
    assert status == 200
    assert event["version"] == "2.0"
    assert event["routeKey"] == "POST /v1/tasks/{id}"
    assert event["rawPath"] == "/v1/tasks/a b"
    assert event["pathParameters"] == {"id": "a b"}
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert event["cookies"] == ["k=v", "l=w"]
    assert event["body"] == '{"a":1}'
    assert event["requestContext"]["http"]["method"] == "POST"
    assert "authorizer" not in event["requestContext"]


def test_a_result_without_a_status_is_the_body_of_a_200(http: Http) -> None:
    assert http("GET", "/v1/value") == (200, {"plain": True})


def test_the_most_specific_route_wins(http: Http) -> None:
    assert http("GET", "/v1/a/b/c")[1]["routeKey"] == "ANY /v1/{rest+}"


def test_an_unknown_path_is_not_found(http: Http) -> None:
    assert http("GET", "/v2/value") == (404, {"message": "Not Found"})


def test_a_failing_function_is_an_internal_server_error(http: Http) -> None:
    assert http("GET", "/v1/broken") == (500, {"message": "Internal Server Error"})


def test_a_binary_body_arrives_as_base64(http: Http) -> None:
    _, event = http("POST", "/v1/tasks/1", b"\xff\xfe")
    assert event["isBase64Encoded"] is True


def test_a_body_above_ten_megabytes_is_refused(http: Http) -> None:
    status, body = http("POST", "/v1/tasks/1", b"x" * (10 * 1024 * 1024 + 1))
    assert (status, body) == (413, {"message": "Request Entity Too Large"})


def test_execute_api_addresses_in_outputs_are_local(stack: LocalStack) -> None:
    assert stack.outputs["Url"] == stack.outputs["Endpoint"] + "/"


def test_no_credential_is_unauthorized(http: Http) -> None:
    assert http("GET", "/v1/private") == (401, {"message": "Unauthorized"})


def test_a_refused_credential_is_forbidden(http: Http) -> None:
    assert http("GET", "/v1/private", Authorization="bad") == (403, {"message": "Forbidden"})


def test_a_crashing_authorizer_is_an_internal_server_error(http: Http) -> None:
    assert http("GET", "/v1/private", Authorization="crash")[0] == 500


def test_the_authorizers_context_reaches_the_function(http: Http) -> None:
    status, event = http("GET", "/v1/private", Authorization="good-1")
    assert status == 200
    context = event["requestContext"]["authorizer"]["lambda"]
    assert context == {"tenant": "good-1", "type": "REQUEST"}


def test_the_authorizer_is_asked_once_per_identity_within_its_ttl(
    http: Http, stack: LocalStack
) -> None:
    for _ in range(3):
        assert http("GET", "/v1/private", Authorization="good-2")[0] == 200
    authorizer = next(name for name in stack.function_names() if "Authorize" in name)
    assert stack.log_lines(authorizer).count("authorizing good-2") == 1


def _sign(url: str, body: bytes, *, secret: str = "local") -> dict[str, str]:
    request = AWSRequest("POST", url, data=body, headers={"content-type": "application/json"})
    SigV4Auth(Credentials("local", secret), "execute-api", "eu-west-1").add_auth(request)
    return dict(request.headers.items())


def test_a_signed_request_carries_its_iam_identity(http: Http) -> None:
    path, body = "/v1/iam?b=2&a=1%2F", b'{"a":1}'
    status, event = http("POST", path, body, **_sign(http.base + path, body))
    assert status == 200
    iam = event["requestContext"]["authorizer"]["iam"]
    assert iam["accessKey"] == "local"
    assert iam["userArn"].startswith("arn:aws:iam::123456789012:")


@pytest.mark.parametrize("flaw", ["unsigned", "wrong secret", "changed body"])
def test_a_request_that_is_not_properly_signed_is_forbidden(http: Http, flaw: str) -> None:
    url, body = http.base + "/v1/iam", b"{}"
    headers = {
        "unsigned": {},
        "wrong secret": _sign(url, body, secret="other"),
        "changed body": _sign(url, b"other"),
    }[flaw]
    assert http("POST", "/v1/iam", body, **headers) == (403, {"message": "Forbidden"})
