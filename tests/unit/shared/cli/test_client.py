import httpx
import pytest

from ratchet.cli.client import ApiClient
from ratchet.cli.config import ApiConfig
from ratchet.cli.errors import CliError
from tests.unit.shared.cli.conftest import TASK_ID, Command, FakeApi, ok, task

PATH = f"/v1/tasks/{TASK_ID}"


def refused(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


def test_problem_is_shown_with_title_detail_and_fields(api: FakeApi, ratchet: Command) -> None:
    problem = {
        "type": "urn:ratchet:problem:invalid_request",
        "title": "The request is not valid",
        "status": 400,
        "detail": "limits.max_steps: too many",
        "code": "invalid_request",
        "errors": [{"field": "limits.max_steps", "message": "must be at most 5000"}],
    }
    api.on("POST /v1/tasks", httpx.Response(400, json=problem))

    done = ratchet("submit", "go", "--json")

    assert done.code == 1
    assert done.out == ""
    assert "Error: The request is not valid: limits.max_steps: too many" in done.err
    assert "  limits.max_steps: must be at most 5000" in done.err


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(401, json={"message": "Unauthorized"}), "401 Unauthorized"),
        (httpx.Response(403, text="<html>no</html>"), "<html>no</html>"),
        (httpx.Response(404), "no details were given"),
        (httpx.Response(500, json=["odd"]), "HTTP 500"),
    ],
)
def test_answers_that_are_no_problem_documents_are_shown_too(
    api: FakeApi, ratchet: Command, answer: httpx.Response, words: str
) -> None:
    api.on(f"GET {PATH}", answer)

    done = ratchet("watch", TASK_ID)

    assert done.code == 1
    assert words in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "go", "--max-cost", "nan"),
        ("submit", "go", "--idempotency-key", "schl\u00fcssel"),
        ("submit", "half a \udcff"),
        ("memory", "put", "tenant", "key", "NaN", "--as-json"),
    ],
)
def test_what_no_request_can_hold_is_said_and_not_sent(
    api: FakeApi, ratchet: Command, words: tuple[str, ...]
) -> None:
    done = ratchet(*words)

    assert done.code == 1
    assert "Error: the request cannot be sent: " in done.err
    assert api.requests == []


@pytest.mark.parametrize("dots", [".", ".."])
def test_dots_in_place_of_an_id_lead_to_no_other_resource(
    api: FakeApi, ratchet: Command, dots: str
) -> None:
    api.on(f"GET /v1/memory/{dots}/tasks", httpx.Response(404))

    assert ratchet("memory", "get", dots, "tasks").code == 1
    assert (
        api.requests[0].url.raw_path
        == b"/v1/memory/" + dots.replace(".", "%2E").encode() + b"/tasks"
    )


def test_refused_credentials_say_what_to_check(api: FakeApi, ratchet: Command) -> None:
    api.on(f"GET {PATH}", httpx.Response(401, json={"message": "Unauthorized"}))

    assert "RATCHET_API_KEY" in ratchet("show", TASK_ID).err


@pytest.mark.parametrize("body", ["hello", "{}", "[]"])
def test_an_answer_of_something_else_is_no_traceback(
    api: FakeApi, ratchet: Command, body: str
) -> None:
    api.on(f"GET {PATH}", httpx.Response(200, text=body))

    done = ratchet("watch", TASK_ID)

    assert done.code == 1
    assert "did not answer as a Ratchet API does" in done.err


@pytest.mark.parametrize("trouble", [refused, httpx.Response(503), httpx.Response(429)])
def test_short_outages_are_sat_out(
    api: FakeApi, ratchet: Command, pauses: list[float], trouble: httpx.Response
) -> None:
    api.on("POST /v1/tasks", trouble, trouble, ok(task("queued", 0)))

    done = ratchet("submit", "go")

    assert done.code == 0
    assert pauses == [0.5, 1.0]
    assert len({r.headers["idempotency-key"] for r in api.requests}) == 1


def test_an_api_that_is_gone_is_reported_with_what_to_do(api: FakeApi, ratchet: Command) -> None:
    api.on("GET /v1/tasks", refused)

    done = ratchet("list")

    assert done.code == 1
    assert "http://api.test does not answer (connection refused)" in done.err
    assert "ratchet dev" in done.err
    assert len(api.requests) == 4


@pytest.mark.parametrize("key", ["schl\u00fcssel", "two\nlines"])
def test_a_key_that_no_header_can_hold_is_refused(key: str) -> None:
    with pytest.raises(CliError, match="RATCHET_API_KEY"):
        ApiClient.connect(ApiConfig("http://api.test", key, "RATCHET_API_URL"))


@pytest.mark.parametrize("url", ["api.test", "ftp://api.test", "http://", "http://x:y"])
def test_a_malformed_address_is_refused(url: str) -> None:
    with pytest.raises(CliError, match="URL"):
        ApiClient.connect(ApiConfig(url, "k", "RATCHET_API_URL"))
