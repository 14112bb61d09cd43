"""Slots never leak: sandboxes die, calls fail and answers get lost at every call of every function that counts them."""

from random import Random

from ratchet.domain.admission import LimitRules
from ratchet.domain.slots import AdmissionRules
from tests.figures import Tell
from tests.simulation.town import Town, quiet
from tests.simulation.town_queues import Faults

RULES = AdmissionRules(tenant_limit=2, deployment=LimitRules(3, 3))
KINDS = ("dies before", "dies after", "refused", "answer lost")
PAIRS = 400
SCHEDULES = 400


def is_right(town: Town) -> None:
    """The counters are the marks on the heads, and within the limits, at any time."""
    marks = town.slots_by_heads()
    counts = town.memory.counts(("acme", "globex"))
    assert {t: n for t, n in counts.tenants.items() if n} == dict(marks)
    assert counts.total == marks.total() <= 3
    assert max(marks.values(), default=0) <= 2


def play(plan: dict[int, str], *, seed: int = 1) -> Faults:
    """Six tasks, two of which ask a person, under these faults: they all end, and every slot comes back."""
    faults = Faults(dict(plan))
    town = Town(RULES, seed=seed, faults=faults, asks=lambda n: n % 3 == 0, check=is_right)
    town.submit("acme", number=4)
    town.submit("globex", number=2, at=3.0)
    try:
        with quiet():
            town.run(most_seconds=3000)  # before the hourly look at whatever waits
            assert town.memory.counts(("acme", "globex")).tenants == {"acme": 0, "globex": 0}
            assert not town.slots_by_heads()
            assert not any(town.memory.first_waiting(t, limit=1) for t in ("acme", "globex"))
    except AssertionError as exc:
        raise AssertionError(f"plan {plan}, seed {seed}: {exc}") from exc
    return faults


def test_without_faults_six_tasks_take_six_slots_and_two_more_after_their_questions() -> None:
    faults = play({})
    assert faults.calls > 60


def test_no_single_fault_leaks_a_slot_or_loses_a_task(tell: Tell) -> None:
    calls = play({}).calls
    met: set[str] = set()
    for place in range(1, calls + 1):
        for kind in KINDS:
            met |= set(play({place: kind}).met)
    tell(f"slots: {calls * len(KINDS)} single faults at {len(met)} calls x kinds")
    for call in ("store.seat", "store.unseat", "store.park", "machine.start", "inbox.send"):
        assert {f"{call} {kind}" for kind in KINDS} <= met


def test_no_pair_of_faults_leaks_a_slot_or_loses_a_task() -> None:
    dice = Random(1)
    calls = play({}).calls
    for _ in range(PAIRS):
        first, second = (dice.randint(1, calls + 20) for _ in range(2))
        play({first: dice.choice(KINDS), second: dice.choice(KINDS)})


def test_no_random_weather_leaks_a_slot_or_loses_a_task(tell: Tell) -> None:
    faults = 0
    for seed in range(SCHEDULES):
        dice = Random(seed)
        plan = {n: dice.choice(KINDS) for n in range(1, 200) if dice.random() < 0.12}
        faults += play(plan, seed=seed).met.total()
    tell(f"slots: {SCHEDULES} random schedules with {faults} faults, 0 slots leaked")
