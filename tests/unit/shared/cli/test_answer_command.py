from typing import Any

import httpx

from tests.unit.shared.cli.conftest import TASK_ID, Command, FakeApi, ok, task

QUESTION = {
    "id": "int_1",
    "task_id": TASK_ID,
    "kind": "effect_unknown",
    "question": "The tool 'refund' gave no answer.",
    "choices": ["happened", "did_not_happen", "abort"],
    "expires_at": "2026-01-08T00:00:00.000Z",
}
ASKING: dict[str, Any] = {**task("input_required", 1), "interrupts": [QUESTION]}


def test_questions_are_listed_with_the_command_that_answers_them(
    api: FakeApi, ratchet: Command
) -> None:
    other = {**QUESTION, "id": "int_2"}
    api.on(
        "GET /v1/interrupts",
        ok({"interrupts": [QUESTION], "next_cursor": "more"}),
        ok({"interrupts": [other], "next_cursor": None}),
    )
    done = ratchet("interrupts")
    assert done.code == 0
    assert "The tool 'refund' gave no answer." in done.out
    assert f"ratchet answer {TASK_ID} int_1 happened|did_not_happen|abort" in done.out
    assert f"ratchet answer {TASK_ID} int_2" in done.out


def test_no_question_is_said_so(api: FakeApi, ratchet: Command) -> None:
    api.on("GET /v1/interrupts", ok({"interrupts": [], "next_cursor": None}))
    assert "No task waits for an answer." in ratchet("interrupts").err


def test_an_answer_is_sent_and_the_status_printed(api: FakeApi, ratchet: Command) -> None:
    api.on(f"POST /v1/tasks/{TASK_ID}/interrupts/int_1", ok(task("queued", 1)))
    done = ratchet("answer", TASK_ID, "int_1", "happened")
    assert (done.code, done.out) == (0, f"{TASK_ID}  queued\n")
    assert api.last_json == {"answer": "happened"}


def test_questions_that_are_left_are_pointed_to(api: FakeApi, ratchet: Command) -> None:
    api.on(f"POST /v1/tasks/{TASK_ID}/interrupts/int_2", ok(ASKING))
    assert f"ratchet show {TASK_ID}" in ratchet("answer", TASK_ID, "int_2", "happened").err


def test_watch_and_wait_show_the_question_until_it_is_answered(
    api: FakeApi, ratchet: Command
) -> None:
    path = f"/v1/tasks/{TASK_ID}"
    api.on("POST /v1/tasks", httpx.Response(202, json=ASKING))
    api.on(f"GET {path}", ok(ASKING), ok(task("succeeded", 1)))
    done = ratchet("submit", "Refund it.", "--wait")
    assert done.code == 0
    assert "ratchet answer" in done.err

    api.on(f"GET {path}", ok(ASKING), ok(task("succeeded", 1)))
    api.on(f"GET {path}/steps", ok({"task_id": TASK_ID, "steps": []}))
    done = ratchet("watch", TASK_ID)
    assert done.code == 0
    assert "ratchet answer" in done.out


APPROVAL = {
    **QUESTION,
    "kind": "approval",
    "question": "The agent wants to call 'pay' with {}. May it?",
    "choices": ["approve", "reject", "edit"],
    "tool": "pay",
    "arguments": {"amount": 5, "to": "bob\x1b[2J"},
}


def test_an_approval_shows_every_argument_and_nothing_that_a_terminal_acts_on(
    api: FakeApi, ratchet: Command
) -> None:
    hostile = {**APPROVAL, "question": "May it?\x1b]0;owned\x07\nReally?", "choices": []}
    api.on("GET /v1/interrupts", ok({"interrupts": [APPROVAL, hostile], "next_cursor": None}))
    done = ratchet("interrupts")
    assert "  amount: 5\n  to: bob\ufffd[2J\n" in done.out
    assert f"ratchet answer {TASK_ID} int_1 approve|reject|edit" in done.out
    assert f"ratchet answer {TASK_ID} int_1 TEXT" in done.out
    assert "\x1b" not in done.out
    assert "\x07" not in done.out


def test_an_argument_cannot_look_like_another_one(api: FakeApi, ratchet: Command) -> None:
    arguments = {"note": "thanks\n  to: bob", "to": "mallory"}
    asked = {**APPROVAL, "arguments": arguments}
    api.on("GET /v1/interrupts", ok({"interrupts": [asked], "next_cursor": None}))
    lines = ratchet("interrupts").out.splitlines()
    assert [line for line in lines if line.startswith("  to:")] == ["  to: mallory"]
    assert '  note: "thanks\\n  to: bob"' in lines


def test_edits_and_reasons_are_sent(api: FakeApi, ratchet: Command) -> None:
    api.on(f"POST /v1/tasks/{TASK_ID}/interrupts/int_1", ok(task("queued", 1)))
    ratchet("answer", TASK_ID, "int_1", "edit", "--arguments", '{"amount": 4}')
    assert api.last_json == {"answer": "edit", "arguments": {"amount": 4}}
    ratchet("answer", TASK_ID, "int_1", "reject", "--reason", "too much")
    assert api.last_json == {"answer": "reject", "reason": "too much"}


def test_arguments_that_are_no_object_are_not_sent(api: FakeApi, ratchet: Command) -> None:
    for text in ("[1]", "nothing", "4"):
        done = ratchet("answer", TASK_ID, "int_1", "edit", "--arguments", text)
        assert done.code == 1
        assert "is no JSON object" in done.err
