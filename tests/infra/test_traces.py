"""Where spans go: nothing of it exists until an endpoint is set, and then only two functions know."""

from tests.infra.template import Synthesized

VARIABLE, SECRET = "RATCHET_OTLP_ENDPOINT", "RATCHET_OTLP_HEADERS_SECRET_ARN"


def told(template: Synthesized) -> dict[str, dict[str, object]]:
    found = {}
    for name, function in template.functions().items():
        variables = function["Environment"]["Variables"]
        if VARIABLE in variables:
            found[name] = {key: variables[key] for key in (VARIABLE, SECRET)}
    return found


def test_without_an_endpoint_there_is_no_secret_and_nothing_to_send_to(
    default: Synthesized,
) -> None:
    off = {VARIABLE: "none", SECRET: "none"}
    assert told(default) == {"step_executor": off, "deliverer": off}
    assert "OtlpHeadersSecretArn" not in default.document["Outputs"]


def test_with_an_endpoint_those_that_send_may_read_its_headers_and_nobody_else(
    other: Synthesized,
) -> None:
    settings = told(other)
    assert set(settings) == {"step_executor", "deliverer"}
    assert {s[VARIABLE] for s in settings.values()} == {"https://otlp.example.com/v1/traces"}
    arn = other.document["Outputs"]["OtlpHeadersSecretArn"]["Value"]
    assert all(s[SECRET] == arn for s in settings.values())
    readers = {
        name
        for name in other.functions()
        for statement in other.statements(other.role_of(name))
        if arn in statement["Resource"]
    }
    assert readers == {"step_executor", "deliverer"}


def test_those_that_send_to_x_ray_may_and_need_no_secret(tokens: Synthesized) -> None:
    endpoint = "https://xray.eu-central-1.amazonaws.com/v1/traces"
    settings = {VARIABLE: endpoint, SECRET: "none"}
    assert told(tokens) == {"step_executor": settings, "deliverer": settings}
    assert "OtlpHeadersSecretArn" not in tokens.document["Outputs"]
    may = {name: tokens.actions(name, "xray") for name in tokens.functions()}
    wanted = {"PutTraceSegments", "PutSpans", "PutSpansForIndexing"}
    assert {name for name, actions in may.items() if actions} == {"step_executor", "deliverer"}
    assert may["step_executor"] == may["deliverer"] == wanted
