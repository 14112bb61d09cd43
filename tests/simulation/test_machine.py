"""A hypothesis state machine: callers, faults and time in any order."""

from contextlib import ExitStack
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.simulation.brain import set_stage
from tests.simulation.faults import KINDS, Fault, Injector
from tests.simulation.handlers import Beside, installed
from tests.simulation.scenarios import DAYS_OF_PEOPLE, LONG_MS
from tests.simulation.story import Cancel, Fork, Resume, Story, Submit, Trespass, Visit
from tests.simulation.verdict import judge
from tests.simulation.world import World

TENANTS = st.sampled_from(["acme", "globex"])
GOALS = st.sampled_from(["", "look", "pay", "put+put", "look;pay", "send", "send+pay"])
CELLS = [(site, kind) for site, kinds in KINDS.items() for kind in kinds]
PLACES = st.integers(0, 3)


class Days(RuleBasedStateMachine):
    """One world whose people and weather hypothesis decides."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(installed())
        self.submits = 0
        self.forks = 0
        self.planned: list[tuple[str, int]] = []

    @initialize(seed=st.integers(0, 1000), steps=st.sampled_from([1, 2, 500]))
    def begin(self, seed: int, steps: int) -> None:
        story = Story(
            "machine",
            (),
            seed=seed,
            fickle="longer",
            steps_per_execution=steps,
            limit_ms=LONG_MS,
        )
        self.world = World(story, Injector())
        Beside.network = self.world.network
        set_stage(self.world)
        self.world.events.may_skip = False
        self.world.events.begin()

    @rule(tenant=TENANTS, goal=GOALS, key=st.sampled_from([None, "a", "b"]), webhook=st.booleans())
    def submit(self, tenant: str, goal: str, key: str | None, webhook: bool) -> None:
        if self.submits < 4:
            self.world.people.set_out(Submit(goal, tenant=tenant, key=key, webhook=webhook))
            self.submits += 1

    @precondition(lambda self: self.submits)
    @rule(of=PLACES, after_ms=st.integers(0, 2_000))
    def cancel(self, of: int, after_ms: int) -> None:
        self.world.people.set_out(Cancel(of % self.submits, after_ms))

    @precondition(lambda self: self.submits)
    @rule(of=PLACES, after_ms=st.integers(0, 90_000))
    def resume(self, of: int, after_ms: int) -> None:
        self.world.people.set_out(Resume(of % self.submits, after_ms))

    @precondition(lambda self: self.submits)
    @rule(
        of=PLACES,
        step=st.sampled_from([None, 0, 1]),
        key=st.sampled_from(["a", "f"]),
        after_ms=st.none() | st.integers(0, 90_000),
    )
    def fork(self, of: int, step: int | None, key: str, after_ms: int | None) -> None:
        if self.forks < 4:
            self.world.people.set_out(Fork(of % self.submits, step, key, after_ms=after_ms))
            self.forks += 1

    @precondition(lambda self: self.submits)
    @rule(of=PLACES)
    def trespass(self, of: int) -> None:
        self.world.people.set_out(Trespass(of % self.submits))

    @rule(cell=st.sampled_from(CELLS), later=st.integers(1, 3))
    def fault(self, cell: tuple[str, Fault], later: int) -> None:
        """One of the next calls there goes wrong: run_step(fault), deliver twice, drop a delete, a zombie."""
        site, kind = cell
        place = (site, self.world.injector.places[site] + later)
        self.world.injector.plan[place] = kind
        self.planned.append(place)

    @rule()
    def deploy(self) -> None:
        self.world.lambdas.upgrade()

    @rule(seconds=st.sampled_from([10, 90]))
    def throttle(self, seconds: int) -> None:
        world = self.world
        world.story = replace(world.story, throttled_ms=world.scheduler.now_ms + seconds * 1000)

    @rule(visits=st.sampled_from(DAYS_OF_PEOPLE))
    def other_people(self, visits: tuple[Visit, ...]) -> None:
        """From now on these answer what is asked: approve, reject, replay, expire."""
        self.world.story = replace(self.world.story, visits=visits)

    @rule(silent=st.integers(0, 1), lost=st.integers(0, 1))
    def silence(self, silent: int, lost: int) -> None:
        """The next unsafe calls give no answer."""
        self.world.silent_calls, self.world.lost_calls = silent, lost

    @rule(seconds=st.sampled_from([30, 7200]))
    def webhook_down(self, seconds: int) -> None:
        self.world.webhook.down_until_ms = self.world.scheduler.now_ms + seconds * 1000

    @rule(ms=st.sampled_from([20, 100, 400, 1_000, 30_000, 300_000, 7_200_000, 172_800_000]))
    def tick(self, ms: int) -> None:
        scheduler = self.world.scheduler
        scheduler.run(until_ms=scheduler.now_ms + ms, is_over=lambda: False)

    @invariant()
    def nothing_is_broken(self) -> None:
        if hasattr(self, "world"):
            assert self.world.ledger.violations == []

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self._end()
        finally:
            set_stage(None)
            self.stack.close()

    def _end(self) -> None:
        """The faults stop; then everything must come to rest."""
        world = self.world
        world.injector.plan.clear()
        world.events.may_skip = True
        limit = world.scheduler.now_ms + world.story.limit_ms
        world.scheduler.run(until_ms=limit, is_over=world.is_over)
        judge(world.ledger, world)
        violations = list(world.ledger.violations)
        world.scheduler.close()
        assert violations == []


TestDays = Days.TestCase
TestDays.settings = settings(
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
