import base64
import json
import sys
from typing import Any

import httpx
import pytest

from ratchet.cli.output import write_text
from tests.unit.shared.cli.conftest import TASK_ID, Command, FakeApi, ok

PATH = "/v1/memory/user:ann"


def memory(key: str = "diet", value: Any = "vegan") -> dict[str, Any]:
    return {
        "namespace": "user:ann",
        "key": key,
        "value": value,
        "version": 2,
        "etag": "abc",
        "created_at": "2026-11-22T10:00:00.000Z",
        "updated_at": "2026-11-22T10:00:00.000Z",
        "expires_at": None,
        "source": {
            "task_id": TASK_ID,
            "agent": "support",
            "principal": None,
            "is_untrusted": False,
        },
    }


def page(*memories: Any, more: str | None = None) -> httpx.Response:
    return ok({"namespace": "user:ann", "memories": list(memories), "next_cursor": more})


def cleared(**changes: Any) -> dict[str, Any]:
    return {
        "namespace": "user:ann",
        "deleted_memories": 2,
        "deleted_task_ids": [],
        "deleted_items": 0,
        "open_task_ids": [],
        "is_complete": True,
        "deleted_schedules": 0,
        **changes,
    }


def test_memories_are_listed_over_pages_with_who_wrote_them(api: FakeApi, ratchet: Command) -> None:
    api.on(f"GET {PATH}", page(memory(), more="c1"), page(memory("drink", {"hot": True})))
    done = ratchet("memory", "list", "user:ann", "--prefix", "d", "--query", "tea")
    assert done.code == 0
    first, second = done.out.splitlines()[1:3]
    assert (first.split()[:2], first.split()[-1]) == (["diet", "vegan"], TASK_ID)
    assert '{"hot": true}' in second
    sent = [dict(r.url.params) for r in api.requests]
    assert sent[0] == {"prefix": "d", "query": "tea", "limit": "20"}
    assert sent[1]["cursor"] == "c1"


def test_one_json_document_and_a_limit_that_is_kept(api: FakeApi, ratchet: Command) -> None:
    api.on(f"GET {PATH}", page(memory(), more="c1"))
    done = ratchet("memory", "list", "user:ann", "--limit", "1", "--json")
    assert done.json == {"namespace": "user:ann", "memories": [memory()], "next_cursor": "c1"}
    assert "--limit" in ratchet("memory", "list", "user:ann", "--limit", "1").err


def test_nothing_remembered_is_said(api: FakeApi, ratchet: Command) -> None:
    api.on(f"GET {PATH}", page())
    assert "Nothing is remembered in user:ann" in ratchet("memory", "list", "user:ann").err


def test_a_value_is_printed_as_it_is(api: FakeApi, ratchet: Command) -> None:
    api.on(f"GET {PATH}/diet", ok(memory()))
    assert ratchet("memory", "get", "user:ann", "diet").out == "vegan\n"
    assert ratchet("memory", "get", "user:ann", "diet", "--json").json == memory()
    api.on(f"GET {PATH}/diet", ok(memory(value=[1, "ž"])))
    assert ratchet("memory", "get", "user:ann", "diet").out == '[1, "ž"]\n'


def test_on_a_terminal_a_value_does_not_talk_to_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text("a\x1b[2Jb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    write_text("a\x1b[2Jb")
    assert capsys.readouterr().out == "a\x1b[2Jb\na\ufffd[2Jb\n"


def test_a_value_is_put_with_its_time_and_condition(api: FakeApi, ratchet: Command) -> None:
    api.on(f"PUT {PATH}/diet", ok(memory()))
    done = ratchet("memory", "put", "user:ann", "diet", "vegan", "--days", "2", "--if-match", "x")
    assert (done.code, "version 2, ETag abc" in done.err) == (0, True)
    assert api.last_json == {"value": "vegan", "ttl_seconds": 172_800}
    assert api.requests[-1].headers["if-match"] == '"x"'
    ratchet("memory", "put", "user:ann", "diet", '{"a": 1}', "--as-json")
    assert api.last_json == {"value": {"a": 1}}
    assert "if-match" not in api.requests[-1].headers
    wrong = ratchet("memory", "put", "user:ann", "diet", "{", "--as-json")
    assert (wrong.code, "VALUE is no JSON" in wrong.err) == (1, True)


def test_a_memory_is_deleted_by_its_key(api: FakeApi, ratchet: Command) -> None:
    answer = {"namespace": "user:ann", "deleted_memories": 1}
    api.on(f"DELETE {PATH}/diet", ok(answer))
    assert "Deleted diet of user:ann" in ratchet("memory", "delete", "user:ann", "diet").err
    assert ratchet("memory", "delete", "user:ann", "diet", "--json").json == answer


def test_a_namespace_is_deleted_only_when_one_says_so(api: FakeApi, ratchet: Command) -> None:
    for arguments in ([], ["diet", "--all"], ["diet", "--tasks"], ["--tasks"]):
        done = ratchet("memory", "delete", "user:ann", *arguments)
        assert (done.code, "say --all" in done.err) == (1, True)
    assert api.requests == []
    api.on(f"DELETE {PATH}", ok(cleared()))
    assert "Deleted 2 memories of user:ann" in ratchet("memory", "delete", "user:ann", "--all").err
    assert dict(api.requests[-1].url.params) == {}
    gone = cleared(
        deleted_task_ids=[TASK_ID],
        deleted_items=5,
        open_task_ids=["task_x"],
        is_complete=False,
        deleted_schedules=3,
    )
    api.on(f"DELETE {PATH}", ok(gone))
    done = ratchet("memory", "delete", "user:ann", "--all", "--tasks")
    assert dict(api.requests[-1].url.params) == {"tasks": "true"}
    for words in (
        "1 tasks, 5 items",
        "3 schedules",
        "not ended, so they stay: task_x",
        "send it again",
    ):
        assert words in done.err
    done = ratchet("memory", "delete", "user:ann", "--all", "--tasks", "--json")
    assert json.loads(done.out) == gone


@pytest.mark.parametrize("user", ["a/b", "ž", "a#b?c", "a b"])
def test_a_user_id_that_fits_into_no_path_is_encoded(
    api: FakeApi, ratchet: Command, user: str
) -> None:
    name = base64.urlsafe_b64encode(user.encode()).decode().rstrip("=")
    api.on(f"GET /v1/memory/user64:{name}", page())
    assert ratchet("memory", "list", f"user:{user}").code == 0
