"""Sessions on the local stack: shared history, one task at a time, and what deleting leaves."""

from tests.e2e.goals import RESEARCH_STEPS, research
from tests.e2e.stage import Json, Stage
from tests.e2e.waiting import wait_until
from tests.e2e.wire import Phase, puts_step


def _prompts(stage: Stage, word: str) -> list[list[Json]]:
    """The prompts of the task whose goal has this word, whatever its session had said before."""
    found = [list(request.messages) for request in stage.models.requests()]
    return [messages for messages in found if word in _own_goal(messages)]


def _own_goal(messages: list[Json]) -> str:
    goals = [str(m.get("content", "")) for m in messages if m["role"] == "user"]
    return next((text for text in reversed(goals) if not text.startswith("[ratchet:")), "")


def _session(stage: Stage, session_id: str) -> Json:
    return stage.http.get(f"/v1/sessions/{session_id}").raise_for_status().json()


def test_two_tasks_of_a_session_share_history_and_then_nothing_is_left(stage: Stage) -> None:
    session = "e2e-talk"
    first = stage.outcome(stage.submit(research("talk-one"), session_id=session))
    second = stage.outcome(stage.submit(research("talk-two"), session_id=session))
    assert (first["status"], second["status"]) == ("succeeded", "succeeded")
    assert second["session_id"] == session
    assert len(stage.steps(second["task_id"])) == RESEARCH_STEPS
    prompts = _prompts(stage, "talk-two")
    assert len(prompts) == RESEARCH_STEPS
    for prompt in prompts:
        assert [m["role"] for m in prompt[:4]] == ["system", "user", "assistant", "user"]
        assert "talk-one" in prompt[1]["content"]
        assert prompt[:4] == prompts[0][:4]
    answers = [m for m in _prompts(stage, "talk-one")[0] if m["role"] == "assistant"]
    assert answers == [], "the first was told nothing"

    ids = [second["task_id"], first["task_id"]]

    def released() -> Json | None:
        found = _session(stage, session)
        return found if found["history_task_ids"] == ids[::-1] else None

    found = wait_until(released, "the deliverer to let the second task go")
    assert [task["task_id"] for task in found["tasks"]] == ids
    assert (found["running_task_id"], found["waiting_task_ids"]) == (None, [])
    assert found["history_tokens"] > 0

    path = f"/v1/sessions/{session}"
    assert stage.other_tenant.get(path).status_code == 404
    assert stage.other_tenant.delete(path).status_code == 404
    deleted = stage.http.delete(path).raise_for_status().json()
    assert deleted["deleted_task_ids"] == ids
    for task_id in ids:
        assert stage.http.get(f"/v1/tasks/{task_id}").status_code == 404
        assert not [
            sk for sk, item in stage.items(task_id).items() if {"body", "body_ref"} & set(item)
        ]
    assert stage.http.get(path).status_code == 404


def test_tasks_of_a_session_run_one_after_the_other(stage: Stage) -> None:
    session = "e2e-line"
    with stage.wire.hold(puts_step(1), Phase.REQUEST):
        first = stage.submit(research("line-one"), session_id=session)
        wait_until(lambda: _session(stage, session)["running_task_id"] == first, "it to run")
        second = stage.submit(research("line-two"), session_id=session)
        third = stage.submit(research("line-three"), session_id=session)
        for task_id in (second, third):
            wait_until(lambda id_=task_id: stage.task(id_)["waiting_for"] == "session", "a wait")  # type: ignore[misc]
        assert _session(stage, session)["waiting_task_ids"] == [second, third]
        body = {"goal": "no", "session_id": session, "on_conflict": "reject"}
        refused = stage.http.post("/v1/tasks", json=body)
        assert (refused.status_code, refused.json()["task_id"]) == (409, first)
        assert stage.http.delete(f"/v1/sessions/{session}").status_code == 409
    ended = [stage.outcome(task_id) for task_id in (first, second, third)]
    assert [task["status"] for task in ended] == ["succeeded"] * 3
    begun = [stage.steps(task_id)[0]["started_at"] for task_id in (first, second, third)]
    assert begun[1] >= ended[0]["updated_at"]
    assert begun[2] >= ended[1]["updated_at"]


def test_who_interrupts_is_told_what_the_other_did(stage: Stage) -> None:
    session = "e2e-stop"
    with stage.wire.hold(puts_step(3), Phase.REQUEST):
        first = stage.submit(research("stop-one"), session_id=session)
        wait_until(lambda: len(stage.step_keys(first)) == 2, "two steps")
        body = {
            "goal": research("stop-two"),
            "session_id": session,
            "on_conflict": "interrupt",
        }
        answer = stage.http.post("/v1/tasks", json=body).raise_for_status()
        assert stage.task(first)["status"] == "cancelled"
    second = stage.outcome(answer.json()["task_id"])
    assert second["status"] == "succeeded"
    prompt = _prompts(stage, "stop-two")[0]
    assert any(m["role"] == "tool" for m in prompt)
    told = [str(m.get("content", "")) for m in prompt if m["role"] == "user"]
    assert any("The task before ended as cancelled" in text for text in told)
