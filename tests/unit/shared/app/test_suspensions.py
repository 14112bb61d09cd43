"""A suspended tenant: nothing of it begins or goes on, and nothing of it is lost."""

import pytest

from ratchet import Agent
from ratchet.app.admission import Admission
from ratchet.app.dispatch_task import DispatchTask
from ratchet.app.manage_tenants import ManageTenants
from ratchet.app.suspensions import SuspendedTenants
from ratchet.contracts.errors import ModelRejected, StoreUnavailable
from ratchet.contracts.limits import (
    MAX_SUSPENSION_REASON_CHARS,
    SUSPENDED_LOOK_SECONDS,
    SUSPENSION_CACHE_SECONDS,
    WATCH_SECONDS,
)
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import Action, TaskStatus, WaitingFor
from ratchet.contracts.request_errors import InvalidRequest, TenantSuspended
from ratchet.contracts.task_api import ForkRequest, TaskRequest
from ratchet.domain.admission import Candidate, LimitRules
from ratchet.domain.messages import ToolCall
from ratchet.domain.slots import AdmissionRules, Place
from ratchet.domain.steps import End
from ratchet.testing.chat import asks, says
from ratchet.testing.holdings import InMemoryHoldings
from tests.unit.shared.app.test_execute_step import REACT
from tests.unit.shared.app.test_recovery import drained
from tests.unit.shared.app.world import World

LOOK = asks(ToolCall("c1", "look", '{"where":"here"}'))
AGENT = Agent("helper", "Help.", policy="react")


def suspended(world: World, tenant: str = "acme", reason: str = "") -> ManageTenants:
    """The tenant is suspended, and every sandbox knows."""
    managing = ManageTenants(world.suspensions, world.clock)
    managing.suspend(tenant, reason=reason)
    world.clock.advance(SUSPENSION_CACHE_SECONDS)
    return managing


def test_a_suspended_tenant_can_neither_submit_nor_fork_nor_resume() -> None:
    world = World(REACT, chat=[says("Done."), ModelRejected("no money"), says("Done.")])
    done, failed = world.submitted(), world.submitted()
    world.run(done)
    world.run(failed)
    managing = suspended(world)
    for begin in (
        world.submitted,
        lambda: world.fork(done, ForkRequest()),
        lambda: world.resume(failed),
    ):
        with pytest.raises(TenantSuspended, match="suspended"):
            begin()
    other = world.submit(TaskRequest(goal="Help."), tenant="acme-2").task.ref
    assert other.tenant == "acme-2"
    managing.resume("acme")
    world.clock.advance(SUSPENSION_CACHE_SECONDS)
    world.resume(failed)
    assert world.run(failed).state.status is TaskStatus.SUCCEEDED


def test_the_next_step_waits_and_goes_on_when_the_tenant_does() -> None:
    world = World(REACT, chat=[LOOK, says("Done.")])
    ref = world.submitted()
    sandbox = world.executor()
    state = world.step(world.first(ref), executor=sandbox)
    managing = suspended(world)
    waits = []
    for _ in range(12):
        state = world.step(state, executor=sandbox)
        assert (state.action, state.step.number) == (Action.WAIT, 2)
        waits.append(state.wait_seconds)
        world.clock.advance(state.wait_seconds)
    assert waits[0] == 2
    assert waits[-1] == SUSPENDED_LOOK_SECONDS
    assert waits == sorted(waits)
    assert len(world.chat.calls) == len(world.steps(ref)) == 1
    managing.resume("acme")
    world.clock.advance(SUSPENSION_CACHE_SECONDS)
    tip = world.continue_from(state, executor=sandbox)
    assert tip.state.status is TaskStatus.TIMED_OUT  # its deadline did not wait
    world.resume(ref)
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED


def test_a_sandbox_reads_once_in_fifteen_seconds_however_many_steps_it_runs() -> None:
    world = World(REACT, chat=[*[LOOK] * 4, says("Done.")])
    world.run(world.submitted(), executor=world.executor())
    reads = world.suspensions.reads
    assert reads == 1
    world.clock.advance(SUSPENSION_CACHE_SECONDS)
    world.is_suspended("acme")
    world.is_suspended("acme")
    assert world.suspensions.reads == reads + 1


def test_when_nobody_can_tell_nothing_begins() -> None:
    world = World(REACT, chat=[says("Done.")])
    ref = world.submitted()
    state = world.first(ref)
    world.suspensions.is_down = True
    world.clock.advance(SUSPENSION_CACHE_SECONDS)
    with pytest.raises(StoreUnavailable):
        world.step(state)
    assert world.chat.calls == []


def test_many_tenants_do_not_fill_a_sandbox() -> None:
    world = World(AGENT)
    is_suspended = SuspendedTenants(world.suspensions, world.clock)
    suspended(world, "t-7")
    assert [n for n in range(3_000) if is_suspended(f"t-{n}")] == [7]
    assert len(is_suspended._known) <= 1_000


def test_attempts_that_may_have_spent_stay_counted_while_the_step_waits() -> None:
    """Else the attempt after the wait would neither look for begun effects nor count the lost call."""
    world = World(REACT, chat=[LOOK, says("Done.")])
    ref = world.submitted()
    state = world.first(ref)
    suspended(world)
    parked = world.step(state, attempt=2)
    assert parked.attempts == 2
    assert parked.to_dict()["tries"] == {"count": 2}
    assert world.step(state).to_dict()["tries"] == {"count": 0}


def test_a_step_that_was_given_up_ends_its_task_all_the_same() -> None:
    world = World(REACT, chat=[says("Done.")])
    ref = world.submitted()
    state = world.first(ref)
    suspended(world)
    world.step(state, failure="Lambda.Unknown: gone")
    assert isinstance(world.tip(ref).next, End)
    assert world.chat.calls == []


def test_a_queued_task_is_not_started_and_looked_at_seldom() -> None:
    world = World(AGENT, chat=[says("Done.")])
    ref = world.submitted()
    managing = suspended(world)
    world.dispatch(Doorbell(ref))
    assert world.workflow.executions == {}
    drained(world)
    world.clock.advance(60)
    assert world.sweep().tasks == 1
    assert drained(world) == []
    world.clock.advance(SUSPENDED_LOOK_SECONDS - 1)
    assert world.sweep().tasks == 0
    managing.resume("acme")
    world.clock.advance(SUSPENSION_CACHE_SECONDS)
    world.sweep()
    assert drained(world) == [Doorbell(ref, 1)]
    assert world.run(ref).state.status is TaskStatus.SUCCEEDED


def test_a_dead_execution_is_not_replaced_until_the_tenant_goes_on() -> None:
    world = World(AGENT, chat=[says("Done.")])
    ref = world.submitted()
    world.first(ref)
    world.workflow.kill(ref, 1, cause="gone")
    managing = suspended(world)
    world.clock.advance(300)
    world.sweep()
    assert len(world.workflow.executions) == 1
    managing.resume("acme")
    world.clock.advance(SUSPENDED_LOOK_SECONDS)
    world.sweep()
    assert len(world.workflow.executions) == 2


def test_what_has_ended_is_announced_when_the_tenant_goes_on() -> None:
    world = World(AGENT, chat=[says("Done.")])
    ref = world.submitted()
    world.run(ref)
    managing = suspended(world)
    world.announce_all(ref)
    assert world.sns.attempts == []
    assert ref in world.due()
    managing.resume("acme")
    world.clock.advance(SUSPENSION_CACHE_SECONDS)
    world.announce_all(ref)
    assert [attempt.event.type for attempt in world.sns.attempts] == ["task.succeeded"]


def test_the_line_of_a_suspended_tenant_stands_still_and_others_pass() -> None:
    world = World(AGENT, chat=lambda _: says("Done."))
    one_each = AdmissionRules(tenant_limit=1)

    def hear() -> None:
        admission = Admission(world.memory, world.clock, one_each, world.is_suspended)
        dispatch = DispatchTask(world.store, world.workflow, world.clock, admission)
        while (bell := world.inbox.receive()) is not None:
            dispatch(bell)

    def ask(tenant: str) -> TaskRef:
        ref = world.submit(TaskRequest(goal="Help."), tenant=tenant).task.ref
        hear()
        return ref

    first, second = ask("acme"), ask("acme")
    managing = suspended(world)
    shard = world.tip(first).state.slot
    assert shard is not None
    world.cancel(first)
    world.memory.unseat(first, shard=shard)
    world.clock.advance(1)
    other = ask("globex")  # it looks at all lines
    assert world.tip(other).state.slot is not None
    assert world.tip(second).state.slot is None
    managing.resume("acme")
    world.clock.advance(SUSPENSION_CACHE_SECONDS)
    Admission(world.memory, world.clock, one_each, world.is_suspended).sweep(
        world.inbox, queue_depth=0
    )
    hear()
    assert world.tip(second).state.slot is not None


def test_the_first_suspension_stands_and_the_second_resume_changes_nothing() -> None:
    world = World(AGENT)
    managing = suspended(world, reason="unpaid")
    first = managing.suspension("acme")
    assert first is not None
    assert first.reason == "unpaid"
    assert managing.suspend("acme", reason="again") == first
    assert managing.suspension("acme-2") is None
    assert managing.resume("acme") == first
    assert managing.resume("acme") is None


@pytest.mark.parametrize("tenant", ["", "a#b", "x" * 129])
def test_no_tenant_is_called_that(tenant: str) -> None:
    managing = ManageTenants(World(AGENT).suspensions, World(AGENT).clock)
    with pytest.raises(InvalidRequest, match="no name of a tenant"):
        managing.suspend(tenant)


def test_a_reason_is_short() -> None:
    managing = ManageTenants(World(AGENT).suspensions, World(AGENT).clock)
    with pytest.raises(InvalidRequest, match="characters"):
        managing.suspend("acme", reason="x" * (MAX_SUSPENSION_REASON_CHARS + 1))


def test_an_execution_that_dies_is_not_replaced_while_its_tenant_is_suspended() -> None:
    """Erasing a tenant stops its executions, and the word of each end came before the task was gone."""
    world = World(REACT, chat=[LOOK, says("Done.")])
    ref = world.submitted()
    world.first(ref)
    managing = suspended(world)
    world.workflow.stop(ref, generation=1, cause="stopped")
    world.sweep.reconcile(ref)
    assert len(world.workflow.executions) == 1
    managing.resume("acme")
    world.clock.advance(SUSPENSION_CACHE_SECONDS)
    world.sweep.reconcile(ref)
    assert len(world.workflow.executions) == 2


def test_an_execution_whose_task_is_gone_does_not_wait_for_its_tenant() -> None:
    world = World(REACT, chat=[LOOK, says("Done.")])
    ref = world.submitted()
    state = world.first(ref)
    suspended(world)
    assert world.step(state).action is Action.WAIT
    InMemoryHoldings(world.store).erase("acme")
    ended = world.step(state)
    assert (ended.action, ended.status) == (Action.FINISH, "unknown")


def test_an_execution_whose_task_has_ended_does_not_wait_for_its_tenant() -> None:
    """Else it looks every quarter of an hour until it has no events left, and is billed for it."""
    world = World(REACT, chat=[LOOK, says("Done.")])
    ref = world.submitted()
    state = world.step(world.first(ref))
    suspended(world)
    assert world.step(state).action is Action.WAIT
    world.clock.advance(world.tip(ref).task.limits.deadline_seconds + WATCH_SECONDS)
    world.sweep()
    assert world.tip(ref).state.status is TaskStatus.TIMED_OUT
    ended = world.step(state)
    assert (ended.action, ended.status) == (Action.FINISH, "timed_out")


def test_nobody_notes_that_a_suspended_tenant_waits() -> None:
    """A note that is written late would outlive the tenant's erasure."""
    world = World(AGENT)
    world.memory.note_waiting("acme", at_ms=world.clock.now_ms())
    world.memory.note_waiting("acme-2", at_ms=world.clock.now_ms())
    for tenant in ("acme", "acme-2"):
        task = world.submit(TaskRequest(goal="Help."), tenant=tenant).task
        place = Place(Candidate(tenant, task.ref.task_id, 5), WaitingFor.DEPLOYMENT_LIMIT, 0)
        assert world.memory.park(place)
    before = world.memory.board().waiting
    suspended(world)
    rules = AdmissionRules(deployment=LimitRules(1, 1))
    Admission(world.memory, world.clock, rules, world.is_suspended).sweep(
        world.inbox, queue_depth=0
    )
    after = world.memory.board().waiting
    assert after["acme"] == before["acme"]
    assert after["acme-2"] > before["acme-2"]
