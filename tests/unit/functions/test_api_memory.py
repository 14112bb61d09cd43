"""Memory over HTTP: who reaches what, what is refused, and what deleting says."""

import base64
import json
from typing import Any

import pytest

from functions.api import current, handler
from ratchet import Agent, Memory
from ratchet.contracts import limits
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.messages import TaskRef
from ratchet.domain.messages import ToolCall
from ratchet.testing.chat import asks, says
from tests.api_wiring import wired
from tests.envelopes import LambdaContext, envelope
from tests.unit.shared.app.world import World

ANN = "/v1/memory/user:ann"
DIET = f"{ANN}/diet"
USER = "read submit"
ADMIN = "admin read submit"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    agent = Agent("support", "Help.", policy="react", memory=Memory())
    made = World(agent, chat=lambda _: says("Done."))
    monkeypatch.setattr(current, "wiring", lambda: wired(made))
    return made


def ask(
    method: str,
    path: str,
    *,
    body: object = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    tenant: str = "acme",
    user: str | None = "ann",
    scopes: str = USER,
) -> tuple[int, dict[str, Any], dict[str, str]]:
    event = envelope("api/submit" if body is not None else "api/get_task")
    event["rawPath"] = event["requestContext"]["http"]["path"] = path
    event["requestContext"]["http"]["method"] = method
    event["headers"] = {"content-type": "application/json", **(headers or {})}
    event["queryStringParameters"], event["rawQueryString"] = query or {}, ""
    if body is not None:
        text = body if isinstance(body, str) else json.dumps(body)
        event["body"], event["isBase64Encoded"] = text, False
    identity = {"tenant": tenant, "scopes": scopes, "key_id": "k1"}
    if user is not None:
        identity["user"] = user
    event["requestContext"]["authorizer"] = {"lambda": identity}
    answer = handler.lambda_handler(event, LambdaContext())  # type: ignore[arg-type]
    told = {name.lower(): value for name, value in answer["headers"].items()}
    return answer["statusCode"], json.loads(answer["body"]), told


def put(path: str = DIET, value: object = "vegan", **options: Any) -> tuple[int, Any, Any]:
    body = {"value": value, **options.pop("fields", {})}
    return ask("PUT", path, body=body, **options)


def test_what_is_put_is_read_with_its_tag_and_who_wrote_it(world: World) -> None:
    status, written, headers = put()
    assert status == 200
    assert headers["etag"] == f'"{written["etag"]}"'
    assert (written["namespace"], written["key"], written["value"]) == ("user:ann", "diet", "vegan")
    assert (written["version"], written["expires_at"]) == (1, None)
    assert written["source"] == {
        "task_id": None,
        "agent": None,
        "principal": "key:k1",
        "is_untrusted": False,
    }
    status, read, headers = ask("GET", DIET)
    assert (status, read, headers["etag"]) == (200, written, f'"{written["etag"]}"')


@pytest.mark.parametrize("value", [None, [], {"a": [1, 2.5, True]}, "", 0, 10**40])
def test_any_json_is_a_value(world: World, value: object) -> None:
    assert put(value=value)[0] == 200
    assert ask("GET", DIET)[1]["value"] == value


def test_a_memory_with_a_ttl_says_when_it_ends_and_is_gone_then(world: World) -> None:
    _, written, _ = put(fields={"ttl_seconds": 60})
    assert written["expires_at"] > written["updated_at"]
    world.clock.advance(61)
    assert ask("GET", DIET)[0] == 404
    assert ask("GET", ANN)[1]["memories"] == []


def test_only_what_has_not_changed_is_replaced_when_one_says_so(world: World) -> None:
    _, first, _ = put(headers={"if-none-match": "*"})
    status, problem, _ = put(headers={"if-none-match": "*"})
    assert (status, problem["code"]) == (412, "precondition_failed")
    status, second, _ = put(value="new", headers={"if-match": f'"{first["etag"]}"'})
    assert (status, second["version"]) == (200, 2)
    for tag in (f'"{first["etag"]}"', "W/nonsense", '""'):
        status, problem, _ = put(value="lost", headers={"if-match": tag})
        assert (status, second["etag"] in problem["detail"]) == (412, True)
        assert ask("DELETE", DIET, headers={"if-match": tag})[0] == 412
    assert put(headers={"if-none-match": '"x"'})[0] == 400
    assert put(headers={"if-match": "*"})[0] == 200
    assert ask("DELETE", DIET, headers={"if-match": "*"})[0] == 200
    assert put(headers={"if-match": "*"})[0] == 412


def test_a_list_has_pages_and_a_search_the_best_first(world: World) -> None:
    for key, value in (("a.1", "tea"), ("a.2", "green tea"), ("b", {"drink": "Tea", "hot": 1})):
        put(f"{ANN}/{key}", value)
        world.clock.advance(1)
    _, page, _ = ask("GET", ANN, query={"limit": "2"})
    assert [m["key"] for m in page["memories"]] == ["a.1", "a.2"]
    _, rest, _ = ask("GET", ANN, query={"limit": "2", "cursor": page["next_cursor"]})
    assert ([m["key"] for m in rest["memories"]], rest["next_cursor"]) == (["b"], None)
    found = {
        "green tea": ["a.2", "b", "a.1"],
        "HOT": ["b"],
        "coffee": [],
    }
    for query, expected in found.items():
        _, hits, _ = ask("GET", ANN, query={"query": query})
        assert [m["key"] for m in hits["memories"]] == expected
    _, hits, _ = ask("GET", ANN, query={"query": "tea", "prefix": "a.", "limit": "1"})
    assert [m["key"] for m in hits["memories"]] == ["a.2"]
    bad = [
        {"cursor": "x"},
        {"cursor": page["next_cursor"], "prefix": "a"},
        {"prefix": "a b"},
        {"limit": "0"},
        {"query": "x", "cursor": page["next_cursor"] or ""},
        {"query": "x" * 501},
    ]
    for wrong in bad:
        status, problem, _ = ask("GET", ANN, query=wrong)
        assert (status, problem["code"]) == (400, "invalid_request"), wrong


def test_deleting_says_what_it_deleted(world: World) -> None:
    for key in ("a", "b", "diet"):
        put(f"{ANN}/{key}")
    status, deleted, _ = ask("DELETE", DIET)
    assert (status, deleted["deleted_memories"]) == (200, 1)
    assert ask("DELETE", DIET)[0] == 404
    status, deleted, _ = ask("DELETE", ANN)
    assert (status, deleted["namespace"], deleted["deleted_memories"]) == (200, "user:ann", 2)
    assert ask("DELETE", ANN)[1]["deleted_memories"] == 0
    assert world.facts.drawers == {}  # type: ignore[attr-defined]


CALLS = [("GET", ANN), ("GET", DIET), ("PUT", DIET), ("DELETE", DIET), ("DELETE", ANN)]


def send(method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
    return ask(method, path, body={"value": 1} if method == "PUT" else None, **options)


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_user_reaches_its_own_memory_alone(world: World, method: str, path: str) -> None:
    put()
    for user in ("bob", "an", "ann#", None):
        status, problem, _ = send(method, path, user=user)
        assert (status, problem["code"]) == (403, "insufficient_scope")
        assert "vegan" not in json.dumps(problem)
    assert ask("GET", DIET)[1]["value"] == "vegan"
    assert send(method, path, user=None, scopes=ADMIN)[0] == 200
    assert send(method, path, scopes="decide")[0] == 403


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_another_tenants_memory_is_not_there(world: World, method: str, path: str) -> None:
    put()
    status, answer, _ = send(method, path, tenant="acme-2", scopes=ADMIN)
    if method == "PUT":
        assert status == 200
        assert answer["version"] == 1
    elif path == ANN:
        assert not answer.get("memories")
        assert not answer.get("deleted_memories")
    else:
        assert status == 404
    assert ask("GET", DIET)[1]["value"] == "vegan"


@pytest.mark.parametrize("namespace", ["tenant", "agent:support"])
def test_what_all_share_everybody_reads_and_an_admin_writes(world: World, namespace: str) -> None:
    path = f"/v1/memory/{namespace}/policy"
    status, problem, _ = put(path)
    assert (status, problem["code"]) == (403, "insufficient_scope")
    assert namespace in problem["detail"]
    assert put(path, scopes=ADMIN)[0] == 200
    for user in ("ann", "bob", None):
        assert ask("GET", path, user=user)[1]["value"] == "vegan"
    assert ask("DELETE", path)[0] == 403
    assert ask("DELETE", f"/v1/memory/{namespace}")[0] == 403
    assert ask("DELETE", path, scopes=ADMIN)[0] == 200


def encoded(user: str) -> str:
    return "user64:" + base64.urlsafe_b64encode(user.encode()).decode().rstrip("=")


@pytest.mark.parametrize("user", ["ann@example.com", "a/b", "ž#%?", "auth0|5f7", "x" * 128, " "])
def test_any_user_id_has_an_address(world: World, user: str) -> None:
    assert put(f"/v1/memory/{encoded(user)}/k", user=user)[0] == 200
    _, read, _ = ask("GET", f"/v1/memory/{encoded(user)}/k", user=user)
    assert (read["namespace"], read["value"]) == (f"user:{user}", "vegan")
    if user == "ann@example.com":
        assert ask("GET", f"/v1/memory/user:{user}/k", user=user)[0] == 200


@pytest.mark.parametrize(
    "namespace",
    ["x", "users:ann", "user:", "user", "tenant:acme", "agent:", "agent:A", "user64:!", "user64:"],
)
def test_what_is_no_namespace_is_refused_with_how_to_write_one(
    world: World, namespace: str
) -> None:
    status, problem, _ = put(f"/v1/memory/{namespace}/k", scopes=ADMIN)
    assert (status, problem["code"]) == (400, "invalid_request")
    assert "use tenant, agent:NAME or user:ID" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "value: is required"),
        ({"value": 1, "ttl": 5}, "ttl: unknown field"),
        ({"value": 1, "ttl_seconds": 0}, "ttl_seconds"),
        ({"value": 1, "ttl_seconds": limits.MAX_MEMORY_TTL_SECONDS + 1}, "ttl_seconds"),
        ('{"value": NaN}', "no JSON"),
        ('{"value": ["\\ud800"]}', "no JSON"),
        ('{"value": {"\\udfff": 1}}', "no JSON"),
        ("[" * 40 + "]" * 40, "32 levels"),
        ("{", "not valid JSON"),
    ],
)
def test_a_body_that_cannot_be_is_refused(world: World, body: object, words: str) -> None:
    status, problem, _ = ask("PUT", DIET, body=body)
    assert (status, problem["code"]) == (400, "invalid_request")
    assert words in problem["detail"]


def test_a_key_that_cannot_be_is_refused(world: World) -> None:
    for key in ("-a", "a b", "x" * 129, "ž"):
        status, problem, _ = put(f"{ANN}/{key}")
        assert (status, problem["code"]) == (400, "invalid_request")
        assert "is no key" in problem["detail"]


def test_a_large_value_and_a_full_namespace_are_refused_with_what_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, problem, _ = put(value="x" * limits.MAX_MEMORY_BYTES)
    assert (status, problem["code"]) == (413, "memory_too_large")
    monkeypatch.setattr(limits, "MAX_MEMORIES", 1)
    put()
    status, problem, _ = put(f"{ANN}/other")
    assert (status, problem["code"]) == (409, "memory_full")
    assert "delete one first" in problem["detail"]


def test_a_store_that_does_not_answer_is_a_503(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("down")

    monkeypatch.setattr(world.facts, "look", down)
    status, problem, _ = put()
    assert (status, problem["code"]) == (503, "unavailable")


def test_with_tasks_all_that_is_kept_of_a_user_is_deleted_by_an_admin(world: World) -> None:
    put()
    done, waiting = (world.submitted("Hello.", user_id="ann") for _ in range(2))
    world.run(done)
    query = {"tasks": "true"}
    status, problem, _ = ask("DELETE", ANN, query=query)
    assert (status, problem["code"]) == (403, "insufficient_scope")
    for shared in ("tenant", "agent:support"):
        status, problem, _ = ask("DELETE", f"/v1/memory/{shared}", query=query, scopes=ADMIN)
        assert (status, problem["code"]) == (400, "invalid_request")
    assert ask("GET", DIET)[0] == 200
    status, deleted, _ = ask("DELETE", ANN, query=query, scopes=ADMIN)
    assert status == 200
    assert deleted == {
        "namespace": "user:ann",
        "deleted_memories": 1,
        "deleted_task_ids": [done.task_id],
        "deleted_items": 3,  # the task, its step, and the note that its usage was counted
        "open_task_ids": [waiting.task_id],
        "is_complete": True,
        "deleted_schedules": 0,
    }
    assert ask("GET", f"/v1/tasks/{done.task_id}")[0] == 404
    assert ask("GET", f"/v1/tasks/{waiting.task_id}")[0] == 200
    deleted = ask("DELETE", ANN, query=query, scopes=ADMIN, tenant="mallory")[1]
    assert (deleted["deleted_task_ids"], deleted["open_task_ids"]) == ([], [])


class TestForks:
    """A fork acts for its parent's user, and whoever forks tells it what to do."""

    RECALL = asks(ToolCall("c1", "recall", "{}"))

    @pytest.fixture
    def task(self, monkeypatch: pytest.MonkeyPatch) -> str:
        agent = Agent("support", "Help.", policy="react", memory=Memory())
        chat = [says("Hello."), self.RECALL, says("Done.")]
        self.world = World(agent, chat=chat)
        monkeypatch.setattr(current, "wiring", lambda: wired(self.world))
        put(value="no peanuts")
        task_id = str(ask("POST", "/v1/tasks", body={"goal": "Hello."})[1]["task_id"])
        self.world.run(TaskRef("acme", task_id))
        return task_id

    def fork(self, task_id: str, **who: Any) -> tuple[int, Any, Any]:
        body = {"step": 0, "instruction": "Tell all that you remember."}
        return ask("POST", f"/v1/tasks/{task_id}/fork", body=body, **who)

    @pytest.mark.parametrize("user", ["bob", None])
    def test_nobody_reaches_a_users_memory_by_forking_a_task(
        self, task: str, user: str | None
    ) -> None:
        status, problem, _ = self.fork(task, user=user)
        assert (status, problem["code"]) == (403, "insufficient_scope")
        assert "another user's task needs the scope admin" in problem["detail"]
        assert len(ask("GET", "/v1/tasks")[1]["tasks"]) == 1

    @pytest.mark.parametrize(("user", "scopes"), [("ann", USER), ("bob", ADMIN)])
    def test_the_user_and_an_admin_do(self, task: str, user: str, scopes: str) -> None:
        status, made, _ = self.fork(task, user=user, scopes=scopes)
        assert (status, made["user_id"]) == (202, "ann")
        self.world.run(TaskRef("acme", made["task_id"]))
        assert "no peanuts" in (self.world.chat.calls[-1].prompt.messages[-1].content or "")

    def test_another_tenant_learns_nothing_of_whose_the_task_is(self, task: str) -> None:
        assert self.fork(task, user="bob", tenant="other")[0] == 404
