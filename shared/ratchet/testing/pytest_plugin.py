"""The crash kit in pytest; installed with Ratchet, it costs a test run nothing until it is used.

Fixtures:

    ratchet_harness(agent, model, settings=None)   an `AgentHarness` (ratchet.testing.harness)
    crash_every_step(agent, goal, model=...)       the function of ratchet.testing.crash_kit

`pytest --crash-every-step` (or `@pytest.mark.ratchet_crash` on a test) repeats each test that uses `ratchet_harness`:
once to see where its runs can die, once more to see that it is repeatable, then twice for every boundary, with a
crash there. Each repetition is a test of its own: fixtures are set up anew and the test's own asserts are checked
again; besides, each run must be like the undisturbed one. Where a crash leaves an unsafe tool's outcome unknown, the
task rightly asks a person: the test then ends after that run, as passed. In repetitions the model
that the test builds is not asked: the answers of the first time are played. So assert on outcomes, not on the model.

At import this module knows pytest alone: it is loaded in every test run of an environment that has Ratchet.
"""

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ratchet.domain.agent import Agent
    from ratchet.testing.answers import Model
    from ratchet.testing.crashing_test import CrashingTest
    from ratchet.testing.deployment import Settings
    from ratchet.testing.harness import AgentHarness

OPTION = "--crash-every-step"
MARKER = "ratchet_crash"
FIXTURE = "ratchet_harness"

_CRASHING: "pytest.StashKey[CrashingTest]" = pytest.StashKey()
_TALLY = pytest.StashKey[list[int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    parser.getgroup("ratchet", "agents of Ratchet").addoption(
        OPTION,
        action="store_true",
        help=f"repeat each test that uses `{FIXTURE}`, with the agent's sandbox dying at every boundary of its runs",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}: repeat the test with a crash at every boundary of its `{FIXTURE}` runs",
    )
    config.stash[_TALLY] = [0, 0, 0]


@pytest.fixture
def ratchet_harness(request: pytest.FixtureRequest) -> Callable[..., "AgentHarness"]:
    """Make an AgentHarness: `ratchet_harness(agent, model, settings=None)`."""
    from ratchet.testing.harness import AgentHarness  # noqa: PLC0415 - pydantic; see above

    director = request.node.stash.get(_CRASHING, None)

    def make(agent: "Agent", model: "Model", settings: "Settings | None" = None) -> "AgentHarness":
        return AgentHarness(agent, model, settings=settings, director=director)

    return make


@pytest.fixture
def crash_every_step() -> Callable[..., Any]:
    """Kill an agent at every boundary of a task: `crash_every_step(agent, goal, model=..., reset=..., effects=...)`."""
    from ratchet.testing import crash_kit  # noqa: PLC0415 - pydantic; see above

    return crash_kit.crash_every_step


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test as often as its runs can die."""
    if not _is_to_crash(item):
        return None
    from ratchet.testing.crashing_test import CrashingTest  # noqa: PLC0415 - pydantic; see above

    item.stash[_CRASHING] = crashing = CrashingTest()
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = _repetition(item, nextitem)
    while all(report.passed for report in reports) and crashing.next_repetition():
        reports = _repetition(item, nextitem)
    for report in reports:
        report.sections.append(("ratchet", crashing.summary()))
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    tally = item.config.stash[_TALLY]
    item.config.stash[_TALLY] = [
        tally[0] + 1,
        tally[1] + crashing.boundaries,
        tally[2] + crashing.crashes,
    ]
    del item.stash[_CRASHING]
    return True


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """End a repetition whose task was left to a person, and one whose runs were not those of the first time."""
    crashing = pyfuncitem.stash.get(_CRASHING, None)
    if crashing is None:
        return (yield)
    with crashing.repetition():
        yield
    return True


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """How much was crashed."""
    tests, boundaries, crashes = config.stash[_TALLY]
    if tests:
        terminalreporter.write_line(
            f"ratchet: {tests} tests repeated, killed at {boundaries} boundaries in {crashes} crashes"
        )


def _is_to_crash(item: pytest.Item) -> bool:
    wanted = item.config.getoption(OPTION) or item.get_closest_marker(MARKER) is not None
    return bool(wanted) and FIXTURE in getattr(item, "fixturenames", ())


def _repetition(item: pytest.Item, nextitem: pytest.Item | None) -> list[pytest.TestReport]:
    """Setup, call and teardown, with fixtures of its own."""
    from _pytest.runner import runtestprotocol  # noqa: PLC0415 - as plugins that rerun tests do

    item._initrequest()  # type: ignore[attr-defined]
    return runtestprotocol(item, log=False, nextitem=nextitem)
