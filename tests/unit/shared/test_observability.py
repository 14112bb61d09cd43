import json
from dataclasses import replace

import pytest

from ratchet.contracts.names import StepType
from ratchet.domain.models import Usage
from ratchet.observability import EmfMetrics
from tests.unit.shared.builders import a_history, a_result


def test_a_step_is_one_line_of_metrics_without_content(capsys: pytest.CaptureFixture[str]) -> None:
    history = a_history(a_result(StepType.PLANNING), goal="CANARY")
    EmfMetrics().step_finished(history.records[0], task=history.task)
    EmfMetrics().step_finished(history.records[0], task=history.task)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    emf = [line for line in lines if "_aws" in line]
    assert len(emf) == 4
    assert emf[0]["Steps"] == [1.0]
    assert emf[0]["step_type"] == "planning"
    assert emf[1]["model"] == "none"
    assert "step_type" not in emf[1]
    assert emf[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Ratchet"
    assert "CANARY" not in json.dumps(lines)


@pytest.mark.parametrize(
    ("expected", "cached", "shares"),
    [(0, 500, []), (2_000, 0, [0.0]), (2_000, 500, [25.0]), (2_000, 2_500, [100.0])],
)
def test_the_share_of_what_a_cache_should_have_served_is_one_metric_for_all_models(
    expected: int, cached: int, shares: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    result = a_result(StepType.REASONING)
    result = replace(result, usage=Usage(3_000, cached), expected_cached_tokens=expected)
    history = a_history(result)
    EmfMetrics().step_finished(history.records[0], task=history.task)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    emf = [line for line in lines if "CachedShare" in line]
    assert [line["CachedShare"][0] for line in emf] == shares
    assert all("model" not in line for line in emf)
