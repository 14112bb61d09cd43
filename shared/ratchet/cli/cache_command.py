"""cache measure: the threshold of a semantic cache, from pairs of goals and the embedding model that is used."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ratchet.cli.config import MODEL_KEY, MODEL_URL, model_config
from ratchet.cli.errors import CliError
from ratchet.cli.output import console, note, write_document
from ratchet.contracts.names import Json
from ratchet.domain.similarity_threshold import Pair, Row, lowest_without_false_hit, row, tried

if TYPE_CHECKING:
    from ratchet.domain.semantic_cache import GoalVector

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_OPENAI = "https://api.openai.com/v1"
_CALL_SECONDS = 60.0
_THRESHOLDS = tuple(percent / 100 for percent in range(50, 101, 2))
_NEAR_MISSES = "Take near misses with the same numbers: another name, month or verb, or a 'not'."
_FORM = 'Each line is  {"a": "one goal", "b": "another one", "same": true}  (or false).'

app = typer.Typer(no_args_is_help=True, help="Semantic caches of agents.")


@app.callback()
def cache() -> None:
    """Semantic caches of agents."""


@app.command()
def measure(
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS.jsonl")],
    *,
    model: Annotated[str, typer.Option(help="As in SemanticCache.")] = "text-embedding-3-small",
    as_json: AsJson = False,
) -> None:
    """Embed pairs of goals, and print what each threshold would have got right; costs one call per goal.

    The embedding model is asked at OPENAI_BASE_URL (OpenAI's own without it) with OPENAI_API_KEY: use those that the
    deployment uses, since every model has a threshold of its own.
    """
    labelled = _read(pairs)
    goals = dict.fromkeys(goal for one in labelled for goal in (one.a, one.b))
    vectors = _embed(goals, model)
    measured = [_pair(one, vectors) for one in labelled]
    lowest = lowest_without_false_hit(measured)
    thresholds = {*_THRESHOLDS, *(() if lowest is None else (lowest,))}
    rows = tried(measured, thresholds)
    found = None if lowest is None else row(measured, lowest)
    best = found if found is not None and found.hits else None
    unlike = sum(not one.is_compared for one in labelled)
    if as_json:
        write_document(
            {
                "model": model,
                "pairs": len(measured),
                "other_numbers": unlike,
                "rows": [_to_json(one) for one in rows],
                "best": None if best is None else _to_json(best),
            }
        )
        return
    _print(rows)
    if unlike:
        note(
            f"{unlike} of {len(measured)} pairs name other numbers: the cache never takes those for the same."
        )
    _advise(best, different=sum(one.is_near_miss for one in labelled), model=model)


@dataclass(frozen=True, slots=True)
class _Labelled:
    a: str
    b: str
    same: bool

    @property
    def is_compared(self) -> bool:
        """Whether the deployed cache compares them: not when they name different numbers."""
        from ratchet.domain.semantic_cache import numbers_in  # noqa: PLC0415

        return numbers_in(self.a) == numbers_in(self.b)

    @property
    def is_near_miss(self) -> bool:
        """Whether only the threshold keeps the cache from taking them for the same."""
        return self.is_compared and not self.same


def _pair(labelled: _Labelled, vectors: "dict[str, GoalVector]") -> Pair:
    """As the deployed cache sees it."""
    a, b = vectors[labelled.a], vectors[labelled.b]
    return Pair(a.similarity(b) if labelled.is_compared else 0.0, labelled.same)


def _read(path: Path) -> list[_Labelled]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise CliError(f"{path} cannot be read: {exc}", _FORM) from exc
    found = [_labelled(path, n, line) for n, line in enumerate(lines, 1) if line.strip()]
    if {one.same for one in found} != {True, False}:
        raise CliError(
            f"{path} needs pairs that mean the same and pairs that do not",
            f"{_FORM} {_NEAR_MISSES}",
        )
    if not any(one.is_near_miss for one in found):
        raise CliError(
            f"in {path} all pairs that do not mean the same name other numbers, which the cache never compares: any "
            "threshold would do",
            _NEAR_MISSES,
        )
    return found


def _labelled(path: Path, number: int, line: str) -> _Labelled:
    try:
        data = json.loads(line)
        found = _Labelled(data["a"], data["b"], data["same"])
    except (ValueError, LookupError, TypeError):
        raise CliError(f"{path}, line {number}: this is no pair", _FORM) from None
    texts = (found.a, found.b)
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise CliError(f"{path}, line {number}: a and b must be texts", _FORM)
    if not isinstance(found.same, bool):
        raise CliError(f"{path}, line {number}: same must be true or false", _FORM)
    return found


def _embed(goals: Iterable[str], model: str) -> "dict[str, GoalVector]":
    from ratchet.adapters.openai_chat import OpenAiChat  # noqa: PLC0415 - half a second
    from ratchet.adapters.system import SystemClock  # noqa: PLC0415
    from ratchet.contracts.errors import ModelError  # noqa: PLC0415
    from ratchet.domain.semantic_cache import GoalVector  # noqa: PLC0415
    from ratchet.model_ports import EmbeddingCall  # noqa: PLC0415

    config = model_config()
    key = config.key
    if key is None:
        raise CliError(
            "no key for the embedding model",
            f"Set {MODEL_KEY}, and {MODEL_URL} where it is not OpenAI's own.",
        )

    def given(*, fresh: bool = False) -> str:  # noqa: ARG001 - the environment has no fresher one
        return key

    url = config.base_url or _OPENAI
    try:
        with OpenAiChat(url, api_key=given, clock=SystemClock()) as provider:
            return {
                goal: GoalVector.of(
                    provider.embed(EmbeddingCall(model, goal, _CALL_SECONDS)).numbers
                )
                for goal in goals
            }
    except (ModelError, ValueError) as exc:
        raise CliError(
            f"{model} gave no embedding: {exc}",
            f"{MODEL_KEY} and {MODEL_URL} must be those of a provider that serves it; --model names another one.",
        ) from exc


def _to_json(found: Row) -> dict[str, Json]:
    return {
        "threshold": found.threshold,
        "hits": found.hits,
        "false_hits": found.false_hits,
        "precision": found.precision,
        "recall": found.recall,
    }


def _print(rows: Iterable[Row]) -> None:
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("threshold", "hits", "false hits", "precision", "recall"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in rows:
        precision = "-" if one.precision is None else f"{one.precision:.1%}"
        table.add_row(
            f"{one.threshold:.3f}",
            str(one.hits),
            str(one.false_hits),
            precision,
            f"{one.recall:.1%}",
        )
    console().print(table)


def _advise(best: Row | None, *, different: int, model: str) -> None:
    if best is None or not best.hits:
        note(
            f"No threshold finds one pair without a false hit: {model} does not tell these goals apart. Leave the "
            "semantic cache off, or measure another model."
        )
        return
    console().print(
        f"\nLowest threshold with no false hit: {best.threshold:.3f} (it finds {best.recall:.0%} of the pairs that "
        f"mean the same).\nNone of {different} different pairs with the same numbers is not never: their true "
        f"share may still be {min(3 / different, 1):.0%} (95 % sure). Measure with your own goals, near misses "
        "above all.",
        soft_wrap=True,
        highlight=False,
    )
