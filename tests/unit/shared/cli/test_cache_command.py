"""ratchet cache measure, against the scripted server: its vectors know words, and no order of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratchet.testing.model_server import ModelServer
from tests.unit.shared.cli.conftest import Command

SHIPPED = Path(__file__).parents[3] / "data" / "goal_pairs.jsonl"
EASY = [
    ("What does a battery of 600 Wh cost?", "What does a battery of 600 Wh cost today?", True),
    ("What does a battery of 600 Wh cost?", "What does a battery of 900 Wh cost?", False),
    ("Cancel the order.", "Cancel the order, please.", True),
    ("Cancel the order.", "Ship the parcel.", False),
    ("Cancel the order.", "Paint a wall.", False),
]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer.start(api_key="k") as running:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", running.base_url)
        yield running


def written(pairs: list[tuple[str, str, bool]]) -> str:
    path = Path("pairs.jsonl")
    lines = [json.dumps({"a": a, "b": b, "same": same}) for a, b, same in pairs]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_it_names_the_lowest_threshold_without_a_false_hit(
    ratchet: Command, server: ModelServer
) -> None:
    done = ratchet("cache", "measure", written(EASY), "--json")
    assert (done.code, done.json["pairs"], done.json["model"]) == (0, 5, "text-embedding-3-small")
    assert done.json["other_numbers"] == 1
    best = done.json["best"]
    assert (best["false_hits"], best["hits"], best["precision"], best["recall"]) == (0, 2, 1.0, 1.0)
    assert best in done.json["rows"]
    goals = {goal for a, b, _ in EASY for goal in (a, b)}
    assert [r.body["input"] for r in server.requests()] == list(
        dict.fromkeys(g for p in EASY for g in p[:2])
    )
    assert len(server.requests()) == len(goals), "each goal is embedded once"


def test_people_are_told_what_the_figure_does_not_say(
    ratchet: Command, server: ModelServer
) -> None:
    done = ratchet("cache", "measure", written(EASY))
    assert "Lowest threshold with no false hit: 0." in done.out
    assert "None of 2 different pairs with the same numbers is not never" in done.out
    assert "1 of 5 pairs name other numbers" in done.err


def test_pairs_that_only_differ_in_numbers_measure_nothing(
    ratchet: Command, server: ModelServer
) -> None:
    done = ratchet("cache", "measure", written(EASY[:3]))
    assert (done.code, done.out, server.requests()) == (1, "", [])
    assert "name other numbers, which the cache never compares" in done.err


def test_a_threshold_that_finds_nothing_is_not_the_best(
    ratchet: Command, server: ModelServer
) -> None:
    pairs = [("Cancel order A.", "Stop it.", True), ("Cancel order A.", "Cancel order B.", False)]
    done = ratchet("cache", "measure", written(pairs), "--json")
    assert done.json["rows"][-1]["hits"] == 0
    assert done.json["best"] is None


def test_a_model_that_cannot_tell_goals_apart_is_not_recommended(
    ratchet: Command, server: ModelServer
) -> None:
    done = ratchet("cache", "measure", str(SHIPPED))
    assert done.code == 0
    assert "does not tell these goals apart. Leave the semantic cache off" in done.err
    assert "Lowest threshold" not in done.out
    assert ratchet("cache", "measure", str(SHIPPED), "--json").json["best"] is None


def test_the_shipped_pairs_are_paraphrases_and_near_misses() -> None:
    pairs = [json.loads(line) for line in SHIPPED.read_text(encoding="utf-8").splitlines()]
    assert len(pairs) == 50
    assert sum(pair["same"] for pair in pairs) == 24
    assert len({(pair["a"], pair["b"]) for pair in pairs}) == 50


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nonsense", "line 1: this is no pair"),
        ('{"a": "x", "b": "y"}', "line 1: this is no pair"),
        ('["a", "b", "same"]', "line 1: this is no pair"),
        ('\n{"a": "x", "b": " ", "same": true}', "line 2: a and b must be texts"),
        ('{"a": "x", "b": "y", "same": "yes"}', "line 1: same must be true or false"),
        ('{"a": "x", "b": "y", "same": true}', "needs pairs that mean the same and pairs that do"),
        ("", "needs pairs"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_line_and_the_form(
    ratchet: Command, server: ModelServer, text: str, problem: str
) -> None:
    Path("pairs.jsonl").write_text(text, encoding="utf-8")
    done = ratchet("cache", "measure", "pairs.jsonl")
    assert done.code == 1
    assert problem in done.err
    assert '"same": true' in done.err
    assert server.requests() == []


def test_a_file_that_is_not_there_is_said(ratchet: Command) -> None:
    done = ratchet("cache", "measure", "nowhere.jsonl")
    assert (done.code, "nowhere.jsonl cannot be read" in done.err) == (1, True)


def test_without_a_key_it_says_which_variable(
    ratchet: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    done = ratchet("cache", "measure", written(EASY))
    assert (done.code, "Set OPENAI_API_KEY" in done.err) == (1, True)


def test_a_model_that_is_not_served_is_named(ratchet: Command, server: ModelServer) -> None:
    done = ratchet("cache", "measure", written(EASY), "--model", "dream-7")
    assert done.code == 1
    assert "dream-7 gave no embedding" in done.err
