import re
import subprocess
import sys
from pathlib import Path

import pytest

from ratchet.capacity import outcome
from tests.unit.shared.cli.conftest import Command

ASKED = ("simulate", "--tenant", "big:200", "--tenant", "quiet:5@10+5", "--steps", "3")


def test_it_shows_delays_backlog_and_the_bottleneck(ratchet: Command) -> None:
    done = ratchet(*ASKED)

    assert done.code == 0
    for part in ("205 tasks of 3 steps", "fair between tenants", "big", "quiet", "Backlog: "):
        assert part in done.out
    assert "The bottleneck is" in done.out


def test_nothing_that_waits_is_said_to_be_so(ratchet: Command) -> None:
    assert "no quota was near" in ratchet("simulate", "--tenant", "a:1").out


def test_json_has_the_keys_that_are_documented(ratchet: Command) -> None:
    found = ratchet(*ASKED, "--json").json

    documented = outcome.__doc__ or ""
    keys = set(found) - {"plots", "fair", "tasks"}
    assert all(re.search(rf"^    {key}[ ,]", documented, re.M) for key in keys)
    assert set(found["tenants"]) == {"big", "quiet"}
    assert found["plots"] == []
    assert ratchet(*ASKED, "--json").json == found


def test_options_reach_the_simulation(ratchet: Command) -> None:
    tight = ("--max-running", "7", "--fifo", "--limit", "big=3", "--seed", "9", "--json")

    found = ratchet(*ASKED, *tight).json

    assert (found["fair"], found["seed"]) == (False, 9)
    assert max(running for _, _, running, _ in found["queue_depth"]["samples"]) <= 7


def test_plots_are_written_where_asked(ratchet: Command) -> None:
    done = ratchet(*ASKED, "--plots", "out/plots")

    assert "wrote out/plots/queue_depth.png" in done.err
    assert {path.name for path in Path("out/plots").iterdir()} == {
        "queue_depth.png",
        "start_delay.png",
    }


def test_a_folder_that_cannot_be_made_is_answered(ratchet: Command) -> None:
    Path("taken").write_text("")

    done = ratchet(*ASKED, "--plots", "taken")

    assert done.code == 1
    assert "taken cannot be written" in done.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--tenant", "a"), "is not NAME:TASKS[@START[+OVER]]"),
        (("--tenant", "a:many"), "is not NAME:TASKS[@START[+OVER]]"),
        (("--tenant", "a:0"), "needs a name, one task or more"),
        (("--tenant", "big:1"), "once for each tenant"),
        (("--rpm", "0"), "--rpm and --tpm must be above 0"),
        (("--tpm", "nan"), "--rpm and --tpm must be above 0"),
        (("--step-seconds", "nan"), "--step-seconds and --step-tokens must be above 0"),
        (("--tenant", "late:1@inf"), "times of 0 or more"),
        (("--min-running", "9", "--max-running", "8"), "--min-running and --max-running"),
        (("--limit", "nobody=3"), "tenants that have no tasks: nobody"),
    ],
)
def test_what_makes_no_sense_is_answered(
    ratchet: Command, options: tuple[str, ...], says: str
) -> None:
    done = ratchet(*ASKED, *options)

    assert done.code == 1
    assert says in done.err


@pytest.mark.parametrize(
    ("package", "module", "options"),
    [
        ("simpy", "ratchet.capacity.simulation", ()),
        ("matplotlib", "ratchet.capacity.plots", ("--plots", "p")),
    ],
)
def test_without_the_extra_it_says_what_to_install(
    ratchet: Command,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    module: str,
    options: tuple[str, ...],
) -> None:
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)

    done = ratchet(*ASKED, *options)

    assert done.code == 1
    assert f"needs {package}, which is not installed" in done.err
    assert "pip install 'ratchet[capacity]'" in done.err


def test_matplotlib_is_loaded_for_plots_only() -> None:
    code = (
        "import sys\n"
        "from ratchet.capacity.scenario import Load, Scenario\n"
        "from ratchet.capacity.simulation import simulate\n"
        "simulate(Scenario((Load('a', 1),), steps=1)).to_json()\n"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
