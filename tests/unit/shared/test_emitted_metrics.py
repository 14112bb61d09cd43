"""Whatever the functions emit is declared, and whatever is declared is emitted, with those dimensions."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from ratchet import observability
from ratchet.app.send_spans import send_spans
from ratchet.contracts.interrupt_api import DecisionRequest
from ratchet.contracts.metric_names import METRICS, MetricName
from ratchet.contracts.names import StepType
from ratchet.domain.models import Usage
from ratchet.domain.steps import Paused
from ratchet.observability import EmfMetrics
from ratchet.testing.spans import RecordedSpans
from tests.unit.shared.app.test_approvals import Shop
from tests.unit.shared.builders import a_history, a_result

Series = dict[str, set[frozenset[str]]]


def told(text: str) -> Series:
    """Names of metrics, and each set of dimensions that they came with."""
    found: Series = {}
    for line in text.splitlines():
        data = json.loads(line)
        for directive in data.get("_aws", {}).get("CloudWatchMetrics", ()):
            assert directive["Namespace"] == "Ratchet"
            for metric in directive["Metrics"]:
                # `service` is the function's environment, and absent here.
                sets = {frozenset(d) - {"service"} for d in directive["Dimensions"]}
                found.setdefault(metric["Name"], set()).update(sets)
    return found


def a_task_that_asks() -> None:
    shop = Shop()
    shop.world.metrics = EmfMetrics()  # type: ignore[assignment]
    shop.world.webhook.fail(1)
    ref = shop.asked()
    shop.world.announce_all(ref)
    shop.decide(ref, 0, DecisionRequest(decision="reject", reason="no"))


def a_step_with_a_cache() -> None:
    result = replace(a_result(StepType.REASONING), usage=Usage(10, 5), expected_cached_tokens=10)
    history = a_history(result)
    EmfMetrics().step_finished(history.records[0], task=history.task)


def spans_for_nobody() -> None:
    sink = RecordedSpans()
    sink.is_down = True
    send_spans(sink)


# Those that need a whole function around them are called as that calls them.
SOURCES: tuple[Callable[[], None], ...] = (
    a_task_that_asks,
    a_step_with_a_cache,
    spans_for_nobody,
    observability.delivery_given_up,
    observability.override_refused,
    observability.task_poisoned,
    lambda: observability.sweep_metrics(3, 4),
)


def test_all_that_is_emitted_is_declared_and_all_that_is_declared_is_emitted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for source in SOURCES:
        source()
    found = told(capsys.readouterr().out)
    assert found == {name.value: {frozenset(METRICS[name].dimensions)} for name in MetricName}


def test_a_cancelled_question_is_closed_too(capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop()
    ref = shop.asked()
    assert isinstance(shop.world.tip(ref).next, Paused)
    capsys.readouterr()
    shop.world.cancel(ref)
    assert MetricName.INTERRUPTS_CLOSED in told(capsys.readouterr().out)
