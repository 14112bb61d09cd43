"""What a step's spending keeps of the models that it asked."""

from ratchet.app.lost_attempts import Reservation
from ratchet.app.spending import Spending
from ratchet.app.tenant_allowance import TenantAllowance
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Complexity, StepType
from ratchet.domain.messages import Message
from ratchet.domain.models import Usage, built_in
from ratchet.domain.steps import ModelUse, StepResult, Totals
from ratchet.testing.clock import FakeClock
from ratchet.testing.store import InMemoryCheckpoints

SMALL, LARGE = (built_in().spec(name) for name in ("gpt-4o-mini", "gpt-4o"))
FIRST, SECOND = Usage(1_000_000, 0, 1_000_000), Usage(2_000_000, 0, 0)
ANSWER = Message("assistant", "Done.")


def fresh() -> Spending:
    """Of the first attempt at a first step; its tenant has no cap."""
    clock, ref = FakeClock(), TaskRef("acme", "task_1")
    reservation = Reservation(InMemoryCheckpoints(clock), ref, 1, "first")
    return Spending(Totals(), reservation, TenantAllowance(None, clock, ref, "first", None))


def spent() -> Spending:
    """The small model was asked twice, then the large one."""
    spending = fresh()
    for spec, usage in ((SMALL, FIRST), (SMALL, SECOND), (LARGE, SECOND)):
        spending.add(spec, usage)
    return spending


def test_a_step_tells_what_models_took_whose_answer_it_did_not() -> None:
    result = spent().on(StepResult(StepType.REASONING, Complexity.SIMPLE))

    cost = SMALL.cost_microusd(FIRST) + SMALL.cost_microusd(SECOND)
    assert result.others == (ModelUse(SMALL.name, FIRST + SECOND, cost),)
    assert result.cost_microusd == cost + LARGE.cost_microusd(SECOND)
    assert (result.model, result.usage) == (LARGE.name, FIRST + SECOND + SECOND)


def test_a_step_that_goes_back_to_the_first_answer_tells_of_the_second() -> None:
    spending = spent()
    spending.model = SMALL.name

    assert spending.others == (ModelUse(LARGE.name, SECOND, LARGE.cost_microusd(SECOND)),)


def test_a_step_that_asked_one_model_tells_of_no_other() -> None:
    spending = fresh()
    spending.add(SMALL, FIRST)
    spending.add(SMALL, SECOND)

    assert spending.others == ()


def test_what_an_attempt_has_paid_is_told_by_the_one_that_takes_over() -> None:
    plan, heir = spent().plan("first", ANSWER), fresh()
    heir.carry_on(plan)

    assert heir.plan("first", ANSWER) == plan
    assert plan.others
