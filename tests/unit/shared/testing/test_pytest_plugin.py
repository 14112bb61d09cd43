"""The plugin, in pytest runs inside this one."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PLUGIN = "ratchet.testing.pytest_plugin"
README = Path(__file__).parents[4] / "README.md"

# The README's example, word for word.
EXAMPLE = '''\
from ratchet import Agent, tool
from ratchet.testing.harness import calls

@tool(effect="unsafe")
def refund(order_id: str) -> str:
    """Pay an order back."""
    return f"{order_id} was paid back"

def test_the_shop_survives_every_crash(crash_every_step):
    shop = Agent(name="shop", instructions="Refund what is broken.", tools=[refund], policy="react")
    crash_every_step(shop, "A-1 is broken.", model=[calls("refund", order_id="A-1"), "Paid back."])
'''

SHOP = '''
import pytest
from ratchet import Agent, tool
from ratchet.testing.harness import calls

@pytest.fixture
def refunds():
    return []

@pytest.fixture
def shop(refunds):
    @tool(effect="unsafe")
    def refund(order_id: str) -> str:
        """Pay back."""
        refunds.append(order_id)
        return "paid back"

    @tool(effect="read")
    def look(order_id: str) -> str:
        """Look."""
        return "broken"

    return Agent(name="shop", instructions="x", tools=[refund, look], policy="react")

def answers():
    return [calls("look", order_id="A-1"), calls("refund", order_id="A-1"), "Paid back."]

def test_refund(ratchet_harness, shop, refunds):
    outcome = ratchet_harness(shop, answers()).run("A-1 is broken.")
    assert outcome.output == "Paid back."
    assert refunds == ["A-1"]
'''


Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, pytestconfig: pytest.Config) -> Run:
    """Run a test file. The plugin is loaded where the environment does not load it by its entry point already."""
    given = () if pytestconfig.pluginmanager.has_plugin("ratchet") else ("-p", PLUGIN)

    def run_file(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess(*given, *options)

    return run_file


def test_the_example_of_the_readme_runs(run: Run) -> None:
    result = run(EXAMPLE, "-s", "--strict-markers")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*shop: killed at 18 boundaries in 36 runs of 2 steps*"])
    readme = README.read_text(encoding="utf-8") if README.exists() else ""
    assert EXAMPLE in readme


def test_a_test_is_repeated_with_a_crash_at_every_boundary_when_asked_for(
    run: Run,
) -> None:
    once = run(
        SHOP,
    )
    once.assert_outcomes(passed=1)
    assert "ratchet:" not in once.stdout.str()
    crashed = run(SHOP, "--crash-every-step")
    crashed.assert_outcomes(passed=1)
    crashed.stdout.fnmatch_lines(
        ["ratchet: 1 tests repeated, killed at 26 boundaries in 52 crashes"]
    )


def test_the_marker_asks_for_it_too(run: Run) -> None:
    result = run(
        SHOP.replace("def test_refund", "@pytest.mark.ratchet_crash\ndef test_refund")
        + "\ndef test_without_an_agent():\n    pass\n",
        "--strict-markers",
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["ratchet: 1 tests repeated, *"])


def test_several_runs_in_one_test_each_die_at_each_of_their_boundaries(
    run: Run,
) -> None:
    two = """
    def test_two(ratchet_harness, shop, refunds):
        harness = ratchet_harness(shop, lambda call: answers()[len(call.prompt.messages) // 2 - 1])
        assert harness.run("A-1 is broken.").output == harness.run("A-1 is broken.").output
        assert refunds == ["A-1", "A-1"]
    """
    result = run(
        SHOP.partition("def test_refund")[0] + two.replace("\n    ", "\n"), "--crash-every-step"
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["ratchet: 1 tests repeated, killed at 52 boundaries*"])


def test_a_failing_test_fails_as_ever_and_is_not_repeated(run: Run) -> None:
    result = run(SHOP.replace('== "Paid back."', '== "Kept."'), "--crash-every-step")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ratchet: 1 tests repeated, killed at 26 boundaries in 0 crashes"])


def test_what_a_crash_breaks_is_told_with_its_place(run: Run) -> None:
    broken = SHOP.replace(
        "def test_refund(ratchet_harness, shop, refunds):",
        "def test_refund(ratchet_harness, shop, refunds, monkeypatch):\n"
        "    from ratchet.ports import Intent\n"
        "    from ratchet.testing.store import InMemoryCheckpoints as Store\n"
        "    grant = lambda self, ref, plan, *, step, key, intent: intent\n"
        "    monkeypatch.setattr(Store, 'begin_effect', grant)\n"
        "    monkeypatch.setattr(Store, 'end_effect', lambda self, ref, **_: None)\n",
    )
    result = run(broken, "--crash-every-step")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*CrashFailure: The sandbox died after the intent record of refund(order_id='A-1') in step 2;*",
            "*must ask a person ('input_required')*",
        ]
    )


def test_the_tests_own_asserts_hold_after_crashes_too(run: Run) -> None:
    looks = SHOP.replace('return "broken"', 'refunds.append("looked")\n        return "broken"')
    result = run(looks.replace('== ["A-1"]', '== ["looked", "A-1"]'), "--crash-every-step")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*At index 1 diff: 'looked' != 'A-1'",
            "last repetition: *after the tool look(order_id='A-1') in step 1; the state machine ran*",
        ]
    )


def test_a_test_that_runs_differently_when_repeated_is_told_so(run: Run) -> None:
    moody = (
        SHOP
        + """
TIMES = []
def test_moody(ratchet_harness, shop):
    TIMES.append(1)
    harness = ratchet_harness(shop, lambda call: "ok")
    for _ in range(len(TIMES) if MORE else 2 - len(TIMES)):
        harness.run("A-1 is broken.")
"""
    )
    for more, words in (
        ("True", "*makes more runs than*"),
        ("False", "*made 0 runs instead of 1*"),
    ):
        result = run(moody.replace("MORE", more), "--crash-every-step", "-k", "moody")
        result.assert_outcomes(failed=1, deselected=1)
        result.stdout.fnmatch_lines([words])


def test_the_help_explains_the_option(run: Run) -> None:
    text = run("", "--help").stdout.str()
    assert "--crash-every-step" in text
    assert "dying at every boundary" in " ".join(text.split())


def test_the_plugin_loads_nothing_but_pytest() -> None:
    heavy = ("pydantic", "aws_lambda_powertools", "boto3", "botocore", "openai", "yaml")
    code = f"import sys, {PLUGIN}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
