"""I11 with the logs and metrics as they are written on AWS: no word of a caller, a model or a tool is in them."""

import io
import logging
from collections.abc import Iterator

import pytest

from ratchet.observability import EmfMetrics, logger
from tests.simulation import world as worlds
from tests.simulation.canary import CANARY
from tests.simulation.explore import play, play_dice, single_plans
from tests.simulation.handlers import installed
from tests.simulation.scenarios import SCENARIOS

SEEDS = 150
STORIES = ("planned", "unsafe", "large-result")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the logger writes, in its own format."""
    monkeypatch.setattr(worlds, "Silence", EmfMetrics)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger.registered_formatter)
    logger.addHandler(handler)
    with installed(is_quiet=False):
        yield stream
    logger._logger.removeHandler(handler)


def test_no_word_is_in_the_logs_or_the_metrics(
    written: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    for story in SCENARIOS:
        play(story, {})
        for plan in single_plans(story) if story.name in STORIES else ():
            play(story, plan)
    for seed in range(SEEDS):
        play_dice(seed)
    logs, printed = written.getvalue(), capsys.readouterr().out
    for message in ("model call failed", "tool failed", "delivery attempted", "step finished"):
        assert f'"message":"{message}"' in logs
    assert "CostMicroUsd" in printed
    assert CANARY not in logs
    assert CANARY not in printed


def test_a_word_in_a_log_record_would_be_seen(written: io.StringIO) -> None:
    logger.info("told", extra={"problem": CANARY})
    assert CANARY in written.getvalue()
