import json
from pathlib import Path
from typing import Any

import pytest

from ratchet.cli import routes_command
from ratchet.cli.config import ApiConfig
from tests.unit.shared.cli.conftest import Command, FakeApi, ok

SHOWN = {
    "source": "override",
    "routes": [
        {"step": "planning", "complexity": level, "models": ["o3-mini", "o3"]}
        for level in ("simple", "complex")
    ],
    "problem": None,
}
Written = list[tuple[str, str | None]]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    found: Written = []

    def write(_: ApiConfig, stack: str, table: str | None) -> None:
        found.append((stack, table))

    monkeypatch.setattr(routes_command, "write_override", write)
    return found


def a_file(text: str) -> str:
    Path("other.yaml").write_text(text)
    return "other.yaml"


def test_the_table_in_force_is_shown_with_where_it_comes_from(
    ratchet: Command, api: FakeApi
) -> None:
    api.on("GET /v1/routes", ok(SHOWN))
    done = ratchet("routes")
    assert done.code == 0
    assert "planning         o3-mini, o3  o3-mini, o3" in done.out
    assert "In force: an override." in done.out
    assert ratchet("routes", "--json").json == SHOWN


def test_what_is_wrong_with_an_override_is_said(ratchet: Command, api: FakeApi) -> None:
    shown: dict[str, Any] = {**SHOWN, "source": "deployed", "problem": "default: too short"}
    api.on("GET /v1/routes", ok(shown))
    done = ratchet("routes")
    assert "In force: the deployed table." in done.out
    assert "The override cannot be used: default: too short" in done.err


@pytest.mark.usefixtures("api")
def test_a_file_is_put_in_the_place_of_the_deployed_table(
    ratchet: Command, written: Written
) -> None:
    path = a_file("default: [gpt-4o]\nrules: [{step: planning, models: [o3]}]")
    done = ratchet("routes", "--set", path, "--stack", "Ratchet-test")
    assert (done.code, "within 60 s" in done.err) == (0, True)
    ((stack, text),) = written
    assert stack == "Ratchet-test"
    assert json.loads(str(text)) == {
        "default": ["gpt-4o"],
        "rules": [{"step": "planning", "complexity": "any", "models": ["o3"]}],
        "sticky_prefix": True,
    }


@pytest.mark.usefixtures("api")
def test_it_can_be_taken_away(ratchet: Command, written: Written) -> None:
    assert ratchet("routes", "--clear").code == 0
    assert written == [("Ratchet", None)]
    assert ratchet("routes", "--clear", "--json").json == {"source": "deployed"}


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("default: [dream-7]", "'dream-7', which has no price"),
        ("default: [text-embedding-3-small]", "which gives vectors, not answers"),
        ("rules: [{step: dreaming, models: [o3]}]", "is not a routing table"),
        ("# nothing yet", "says nothing"),
    ],
)
def test_a_table_that_cannot_be_used_is_not_written(
    ratchet: Command, written: Written, text: str, problem: str
) -> None:
    done = ratchet("routes", "--set", a_file(text))
    assert (done.code, problem in done.err) == (1, True)
    assert written == []


@pytest.mark.usefixtures("api")
def test_set_and_clear_exclude_each_other(ratchet: Command, written: Written) -> None:
    done = ratchet("routes", "--set", a_file("default: [o3]"), "--clear")
    assert (done.code, written) == (1, [])
    assert "exclude" in done.err
