import re
import sys
from pathlib import Path

import pytest

from ratchet.capacity import estimate as planning
from tests.unit.shared.cli.conftest import Command

TABLE = "default: [gpt-4o-mini]\n"
ASKED = ("estimate", "--tasks-per-day", "1000", "--steps", "25", "--routing", "routes.yaml")


@pytest.fixture(autouse=True)
def _table() -> None:
    Path("routes.yaml").write_text(TABLE)


def test_it_shows_cost_comparison_quotas_and_assumptions(ratchet: Command) -> None:
    done = ratchet(*ASKED)

    assert done.code == 0
    for part in (
        "model gpt-4o-mini",
        "AWS Step Functions",
        "All on gpt-4o: models $",
        "94% less",
        "Lambda, concurrent sandboxes",
        "fills first: it is full at",
        "tasks per day: 1,000",
        "step mix: planning 1, tool_dispatch 21",
    ):
        assert part in done.out
    tables = done.out[: done.out.index("Assumed")].splitlines()
    assert all(len(line) <= 100 for line in tables if not re.match("All on|Lambda.*fills", line))


def test_json_adds_up(ratchet: Command) -> None:
    found = ratchet(*ASKED, "--json").json

    month, task = found["usd_per_month"], found["usd_per_task"]
    assert month["total"] == pytest.approx(month["models"]["total"] + month["aws"]["total"])
    assert month["models"]["total"] == pytest.approx(sum(month["models"]["by_model"].values()))
    assert month["aws"]["total"] == pytest.approx(sum(month["aws"]["by_service"].values()))
    assert task["total"] == pytest.approx(task["models"] + task["aws"])
    assert found["all_on"]["saving_share"] == pytest.approx(0.94, abs=0.01)
    documented = planning.__doc__ or ""
    assert all(re.search(rf"^    {key} ", documented, re.M) for key in found)


def test_options_reach_the_arithmetic(ratchet: Command) -> None:
    options = ("--mix", "tool_dispatch=4,final_synthesis=1", "--peak-factor", "2", "--polls", "3")
    settings = ("--extra-secrets", "1", "--customer-key", "--warm", "1")
    more = (*settings, "--provider", "gpt-4o-mini=10:100000", "--quota", "sfn_starts=7", "--json")

    found = ratchet(*ASKED, *options, *more).json

    assert found["assumptions"]["step_mix"] == {"tool_dispatch": 20, "final_synthesis": 5}
    quotas = {quota["key"]: quota for quota in found["quotas"]}
    assert quotas["sfn_starts"]["limit"] == 7
    services = found["usd_per_month"]["aws"]["by_service"]
    assert (services["Secrets Manager"], services["KMS"]) == (pytest.approx(1.20), 1.00)
    assert services["Lambda"] > 4.38
    assert quotas["rpm:gpt-4o-mini"]["mean"] == pytest.approx(25 * 1000 / 1440)
    assert quotas["api_throttle"]["mean"] == pytest.approx(4 * 1000 / 86_400)


def test_the_default_table_is_the_projects(
    ratchet: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[4] / "shared")

    found = ratchet("estimate", "--tasks-per-day", "1", "--steps", "9", "--json").json

    assert set(found["tokens_per_task"]) == {"o3-mini", "gpt-4o-mini", "gpt-4o", "o3"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--routing", "none.yaml"), "none.yaml cannot be read"),
        (("--routing", "bad.yaml"), "bad.yaml is not a routing table"),
        (("--routing", "broken.yaml"), "broken.yaml is not a routing table"),
        (("--routing", "unpriced.yaml"), "model 'gpt-9' has no price; add 'gpt-9'"),
        (("--steps", "0"), "--steps must be between 1 and 5,000"),
        (("--tasks-per-day", "nan"), "--tasks-per-day must be above 0"),
        (("--tasks-per-day", "1e300"), "--tasks-per-day must be above 0 and at most 1,000,000,000"),
        (("--step-seconds", "nan"), "--step-seconds must be above 0"),
        (("--peak-factor", "inf"), "--peak-factor at least 1"),
        (("--mix", "planning=nan"), "is not NAME=NUMBER"),
        (("--quota", "lambda_concurrency=nan"), "is not NAME=NUMBER"),
        (("--provider", "gpt-4o=nan:1"), "is not MODEL=RPM:TPM"),
        (("--mix", "thinking=1"), "no step type thinking"),
        (("--mix", "planning"), "is not NAME=NUMBER"),
        (("--provider", "gpt-4o=10"), "is not MODEL=RPM:TPM"),
        (("--quota", "lambda=10"), "no quota lambda; there are"),
        (("--architecture", "sparc"), "arm64 or x86_64"),
        (("--warm", "-1"), "--warm must be 0 or more"),
        (("--polls", "-1"), "--polls must be 0 or more"),
    ],
)
def test_what_makes_no_sense_is_answered(
    ratchet: Command, options: tuple[str, ...], says: str
) -> None:
    Path("bad.yaml").write_text("rules: 3")
    Path("broken.yaml").write_text("a: [")
    Path("unpriced.yaml").write_text("default: [gpt-4o, gpt-9]")

    done = ratchet(*ASKED, *options)

    assert done.code == 1
    assert says in done.err


def test_it_needs_neither_simpy_nor_matplotlib(
    ratchet: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "simpy", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    assert ratchet(*ASKED).code == 0
