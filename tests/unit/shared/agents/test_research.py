import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents import research as module
from agents.research import ResearchAnswer, read_document, research, search_documents
from ratchet import ToolContext

CONTEXT = ToolContext(tenant="t", task_id="task_1", user_id=None, idempotency_key="k")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "batteries.md").write_text(
        "# Batteries\n\nA battery stores energy.\n\n## Life\n\n"
        "Batteries live longer when they are discharged less deeply.\n"
    )
    (tmp_path / "panels.md").write_text("# Panels\n\nA panel makes electricity from light.\n")
    (tmp_path / "safety.md").write_text("# Safety\n\nFuse the battery. Mind the acid.\n")
    _forget()
    monkeypatch.setattr(module, "DOCUMENTS", tmp_path)
    yield tmp_path
    _forget()


def _forget() -> None:
    module._library.cache_clear()
    module._index.cache_clear()


@pytest.mark.usefixtures("library")
def test_best_match_comes_first_with_its_best_paragraph() -> None:
    found = search_documents("how do I make the batteries live longer?")["results"]

    assert [r["id"] for r in found] == ["batteries", "safety"]
    assert found[0]["title"] == "Batteries"
    assert found[0]["snippet"] == "Batteries live longer when they are discharged less deeply."


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(("limit", "count"), [(1, 1), (0, 1), (-5, 1), (99, 2)])
def test_limit_is_kept_within_bounds(limit: int, count: int) -> None:
    assert len(search_documents("battery", limit)["results"]) == count


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("query", ["", "the of and", "quantum", "\u96fb\u6c60"])
def test_query_without_a_match_finds_nothing(query: str) -> None:
    assert search_documents(query) == {"results": []}


@pytest.mark.usefixtures("library")
def test_long_paragraphs_are_cut(library: Path) -> None:
    (library / "long.md").write_text("# Long\n\n" + "lorem ipsum " * 100)

    snippet = search_documents("lorem")["results"][0]["snippet"]

    assert len(snippet) <= 280
    assert snippet.endswith("...")


@pytest.mark.usefixtures("library")
def test_document_is_read_in_full() -> None:
    assert read_document("panels") == {
        "id": "panels",
        "title": "Panels",
        "text": "# Panels\n\nA panel makes electricity from light.\n",
    }


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("document_id", ["panel", "../research", "panels.md", ""])
def test_unknown_document_names_those_that_exist(document_id: str) -> None:
    with pytest.raises(LookupError, match="there are: batteries, panels, safety"):
        read_document(document_id)


def test_shipped_library_answers_the_demo_question() -> None:
    found = search_documents("battery size for a cabin that uses 600 Wh a day")["results"]

    assert found[0]["id"] == "sizing-a-system"
    assert "600 Wh a day" in read_document(found[0]["id"])["text"]


def test_tools_as_the_model_meets_them() -> None:
    search = research.toolbox["search_documents"]

    result = json.loads(search.call(search.parse('{"query": "battery"}'), CONTEXT))

    assert set(result["results"][0]) == {"id", "title", "snippet"}
    assert {t.effect for t in research.toolbox.values()} == {"read"}


def test_agent_plans_and_returns_sources() -> None:
    assert research.policy == "plan_act"
    assert research.output is ResearchAnswer
    assert "[document-id]" in research.instructions
