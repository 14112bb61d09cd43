"""No widget is empty and no alarm is deaf: each asks for series that the code emits, as a test of it shows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ratchet.contracts.metric_names import METRICS, Dimension, MetricName
from tests.infra.template import Synthesized

ROOT = Path(__file__).parents[2]
SEARCH = re.compile(r"SEARCH\('\{([^}]*)\} MetricName=\"(\w+)\"'")


def page(template: Synthesized) -> Any:
    """The dashboard, with logical ids in the place of what only a deployment knows."""
    body = template.only("AWS::CloudWatch::Dashboard")["DashboardBody"]
    parts = body["Fn::Join"][1]
    text = "".join(p if isinstance(p, str) else str(next(iter(p.values()))) for p in parts)
    return json.loads(text.replace("['", "").replace("']", ""))


def series(template: Synthesized) -> Iterator[tuple[str, frozenset[tuple[str, str]]]]:
    """What of ours the dashboard asks for: names, and dimensions with their values ("*": all)."""
    for widget in page(template)["widgets"]:
        for metric in widget["properties"]["metrics"]:
            if isinstance(metric[0], dict):
                for schema, name in SEARCH.findall(metric[0]["expression"]):
                    namespace, *dimensions = schema.split(",")
                    assert namespace == "Ratchet"
                    yield name, frozenset((d, "*") for d in dimensions)
            elif metric[0] == "Ratchet":
                parts = [part for part in metric[2:] if isinstance(part, str)]
                yield metric[1], frozenset(zip(parts[::2], parts[1::2], strict=True))


def test_every_widget_asks_for_something_and_for_nothing_that_is_not_emitted(
    default: Synthesized,
) -> None:
    assert all(widget["properties"]["metrics"] for widget in page(default)["widgets"])
    found = list(series(default))
    assert len(found) >= 20
    for name, dimensions in found:
        known = METRICS[MetricName(name)]
        assert {d for d, _ in dimensions} == {"service", *known.dimensions}
        assert {v for d, v in dimensions if d == "service"} <= {*known.services, "*"}


def test_the_page_shows_what_a_person_on_call_asks_first(default: Synthesized) -> None:
    titles = " ".join(widget["properties"]["title"] for widget in page(default)["widgets"])
    words = ("Backlog", "Start delay", "Step latency", "Dollars by model", "Cache hit share")
    assert [
        word for word in (*words, "Questions to people", "Failed tries") if word not in titles
    ] == []
    shown = {name for name, _ in series(default)}
    with_alarms = {"SweeperLag", "RoutingOverrideRefused", "TasksPoisoned"}
    assert shown == set(MetricName) - with_alarms


def test_alarms_too_ask_for_nothing_that_is_not_emitted(default: Synthesized) -> None:
    ours = [
        alarm
        for alarm in default.of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == "Ratchet"
    ]
    assert len(ours) >= 4
    for alarm in ours:
        known = METRICS[MetricName(alarm["MetricName"])]
        dimensions = {d["Name"]: d["Value"] for d in alarm["Dimensions"]}
        assert dimensions.keys() == {"service", *known.dimensions}
        assert dimensions["service"] in known.services


def test_every_alarm_has_a_line_in_the_readme_that_says_what_to_do(default: Synthesized) -> None:
    names = {
        re.sub(r"^(Alarms|Poison)|[0-9A-F]{8}$", "", logical_id)
        for logical_id in default.of_type("AWS::CloudWatch::Alarm")
    }
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    told = {
        name
        for line in lines
        if line.startswith("| `") and line.count("|") == 3
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert len(names) >= 9
    assert told == names


def test_no_dimension_has_a_value_for_each_tenant_task_or_user() -> None:
    assert set(Dimension) == {"model", "step_type", "channel"}
