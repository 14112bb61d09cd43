"""What a log record may say, and what becomes of errors that hold more."""

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratchet.contracts.errors import StoreUnavailable, UnexpectedError
from ratchet.contracts.log_fields import ALLOWED_FIELDS
from ratchet.contracts.messages import TaskRef
from ratchet.observability import log_about, log_about_nothing, logger
from ratchet.unexpected import without_content

ROOT = Path(__file__).parents[3]
WORD = "canary-7f21"
REF = TaskRef("acme", "task_1")


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the logger writes on AWS."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger.registered_formatter)
    logger.addHandler(handler)
    yield stream
    logger._logger.removeHandler(handler)
    logger.append_keys(**dict.fromkeys(("tenant", "task_id", "step")))
    log_about_nothing()


def records(written: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def fail() -> None:
    try:
        dict[str, str]()[WORD]
    except KeyError as exc:
        exc.add_note(WORD)
        raise ValueError(f"no {WORD}") from exc


def test_a_field_that_is_not_on_the_list_is_named_and_not_told(written: io.StringIO) -> None:
    logger.info("told", extra={"goal": WORD, "step": 3})
    (record,) = records(written)
    assert (record["step"], record["dropped"]) == (3, ["goal"])
    assert WORD not in written.getvalue()


def test_an_error_is_told_by_class_and_place_with_those_behind_it(written: io.StringIO) -> None:
    try:
        fail()
    except ValueError:
        logger.exception("unhandled error")
    (record,) = records(written)
    assert record["exception_name"] == "ValueError"
    lines = str(record["exception"]).splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [
        "ValueError",
        "caused by KeyError",
    ]
    assert f"{__file__}:" in str(record["exception"])
    assert WORD not in written.getvalue()


def test_records_say_which_task_until_they_are_about_another(written: io.StringIO) -> None:
    log_about(REF, 3)
    logger.info("one")
    log_about_nothing()
    logger.info("two")
    one, two = records(written)
    assert (one["tenant"], one["task_id"], one["step"]) == ("acme", "task_1", 3)
    assert not {"tenant", "task_id", "step"} & two.keys()


def literal_fields(tree: ast.AST) -> Iterator[str]:
    """The keys of dicts that are given as `extra=`, or have the name of what is given so, and of append_keys."""
    for node in ast.walk(tree):
        dicts: list[ast.expr] = []
        if isinstance(node, ast.keyword) and node.arg == "extra":
            dicts.append(node.value)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "details":
            dicts.append(node.value)
        for found in dicts:
            if isinstance(found, ast.Dict):
                yield from (
                    str(k.value)
                    for k in found.keys
                    if isinstance(k, ast.Constant) and isinstance(k.value, str)
                )
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "append_keys":
            yield from (k.arg for k in node.keywords if k.arg)


def test_every_field_that_the_code_gives_is_on_the_list() -> None:
    files = [
        *(ROOT / "shared" / "ratchet" / "app").rglob("*.py"),
        *(ROOT / "functions").rglob("*.py"),
        ROOT / "shared" / "ratchet" / "observability.py",
    ]
    found = {name for path in files for name in literal_fields(ast.parse(path.read_text("utf-8")))}
    assert len(found) >= 20
    assert found <= ALLOWED_FIELDS


def test_a_bug_leaves_a_handler_as_its_class_and_place() -> None:
    @without_content
    def handler(event: object, context: object) -> None:
        fail()

    with pytest.raises(UnexpectedError) as caught:
        handler({}, None)
    text = str(caught.value)
    assert text.startswith("ValueError\n")
    assert " in fail" in text
    assert WORD not in text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_error_of_ours_keeps_its_name_which_the_state_machine_retries_by() -> None:
    @without_content
    def handler() -> None:
        raise StoreUnavailable("later")

    with pytest.raises(StoreUnavailable, match="later"):
        handler()


@pytest.mark.parametrize("function", ["api", "deliverer", "dispatcher", "step_executor", "sweeper"])
def test_every_function_forgets_what_the_last_invocation_was_about(function: str) -> None:
    source = (ROOT / "functions" / function / "handler.py").read_text("utf-8")
    assert "@logger.inject_lambda_context(clear_state=True)\n" in source
    assert function == "api" or "@without_content\ndef lambda_handler" in source
