"""I11: no word of a caller, a person, a model or a tool is in what Ratchet tells of itself.

An error answer may quote what its caller has said in that very request, and nothing else.
"""

import json
from collections.abc import Iterator

import pytest

from ratchet.domain.spans import Kind, Place, Span
from ratchet.observability import logger, metrics
from tests.canaries import INPUTS, canary, forms, leaks
from tests.integration.canaries.town import SEEN, Told, Town, listening, live, seen


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Told]:
    with listening() as told:
        town = Town(monkeypatch, told)
        refs = live(town)
        for ref in refs.values():
            _, sent = town.request("GET", f"/v1/tasks/{ref.task_id}/deliveries")
            seen(f"{town.store.load(ref)!r} {sent}")
        told.spans = repr(town.sink.spans)
        told.printed = capsys.readouterr().out
        yield told


def test_no_word_is_in_logs_metrics_traces_the_workflow_the_queues_or_foreign_answers(
    told: Told,
) -> None:
    assert told.found() == []
    logs = told.logs.getvalue()
    for message in ("model call failed", "tool failed", "delivery attempted", "step finished"):
        assert f'"message":"{message}"' in logs
    assert "UnexpectedError" in "".join(told.workflow)
    assert "RuntimeError" in "".join(told.workflow)
    assert '"DeliveriesFailed"' in told.printed
    assert "execute_tool pay" in told.spans
    assert len(told.answers) >= 15


def test_every_word_was_where_it_could_have_leaked_from(told: Told) -> None:
    # A key is stored as its digest, and a bug is raised in the middle of a step: both were given all the same.
    assert set(INPUTS) - SEEN == {"idempotency_key", "bug"}
    assert told.answers


@pytest.mark.parametrize("name", INPUTS)
def test_each_word_would_be_found_in_each_place(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    word = canary(name)
    span = Span(Place("0" * 32, "0" * 16), word, Kind.CLIENT, 0, 1)
    with listening() as planted:
        logger.info("planted", extra={"problem": word})
        metrics.add_dimension(name="model", value=word)
        metrics.add_metric(name="Steps", unit="Count", value=1)
        metrics.flush_metrics()
        planted.printed = capsys.readouterr().out.splitlines()[-1]
        planted.spans = repr([span])
        planted.workflow.append(json.dumps({"failure": {"Cause": f"KeyError: {word}"}}))
        planted.queues.append(json.dumps({"goal": word}))
        planted.answers.append(("{}", json.dumps({"detail": word})))
    places = [place for place, found in planted.found() if found == name]
    assert sorted(places) == sorted([*planted.places(), "error answers"])


@pytest.mark.parametrize("name", INPUTS)
def test_a_word_is_found_in_every_form(name: str) -> None:
    assert all(leaks(f"x{form}x") == [name] for form in forms(canary(name)))


def test_a_caller_may_be_told_what_he_said_himself() -> None:
    own = Told(answers=[(canary("goal"), canary("goal"))])
    assert own.found() == []
    own.answers.append((canary("goal"), canary("user_id")))
    assert own.found() == [("error answers", "user_id")]
