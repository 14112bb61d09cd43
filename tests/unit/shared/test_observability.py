import json

import pytest

from ratchet.contracts.names import StepType
from ratchet.observability import EmfMetrics
from tests.unit.shared.builders import a_history, a_result


def test_a_step_is_one_line_of_metrics_without_content(capsys: pytest.CaptureFixture[str]) -> None:
    history = a_history(a_result(StepType.PLANNING), goal="CANARY")
    EmfMetrics().step_finished(history.records[0], task=history.task)
    EmfMetrics().step_finished(history.records[0], task=history.task)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    emf = [line for line in lines if "_aws" in line]
    assert len(emf) == 2
    assert emf[0]["Steps"] == [1.0]
    assert emf[0]["model"] == "none"
    assert emf[0]["step_type"] == "planning"
    assert emf[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Ratchet"
    assert "CANARY" not in json.dumps(lines)
