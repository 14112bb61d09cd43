"""What functions do for a task stays below its tenant's keys: every request to the table and the bucket is watched."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.api import current
from ratchet.app.missed_runs import MissedRuns
from ratchet.contracts.errors import RatchetError
from ratchet.contracts.firing import Firing
from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.schedule_api import ScheduleRequest
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.keys import due_shards
from tests.api_wiring import wired
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench
from tests.figures import Tell
from tests.integration.test_tenants import GOALS, TENANTS, Town

CASES = 20
ACTS = (
    "look",
    "announce",
    "dispatch",
    "cancel",
    "resume",
    "fork",
    "reconcile",
    "schedule",
    "expire",
)


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with mocked_aws(), pytest.MonkeyPatch.context() as patch:
        bench = DynamoDbBench()
        town = Town(bench)
        wiring = wired(town.world)
        patch.setattr(current, "wiring", lambda: wiring)
        yield town
        bench.close()


@contextmanager
def watched(town: Town, tenant: str) -> Iterator[None]:
    """Every request must stay with the tenant."""
    town.dynamodb.tenant = town.s3.tenant = tenant
    try:
        yield
    finally:
        town.dynamodb.tenant = town.s3.tenant = None


def submitted(town: Town, tenant: str, goal: str, session: str | None = None) -> TaskRef:
    """A new task; making it is watched too."""
    with watched(town, tenant):
        asked = TaskRequest(goal=goal, session_id=session)
        return town.world.submit(asked, tenant=tenant).task.ref


def act(town: Town, name: str, ref: TaskRef) -> None:
    """One thing that a function, or a caller, does about a task; that it is refused is fine."""
    world = town.world
    match name:
        case "announce":
            world.announce_all(ref)
        case "dispatch":
            world.dispatch(Doorbell(ref))
        case "cancel":
            world.cancel(ref)
        case "resume":
            world.resume(ref)
        case "fork":
            town.call(ref.tenant, f"POST /v1/tasks/{ref.task_id}/fork", body={})
        case "reconcile":
            world.sweep.reconcile(ref)
        case "schedule":
            scheduled(town, ref.tenant)
        case _:
            return


def scheduled(town: Town, tenant: str) -> None:
    """A schedule that is made, due twice, missed once and deleted."""
    task = {"goal": GOALS[0]}
    asked = ScheduleRequest.model_validate({"schedule_expression": "rate(1 hour)", "task": task})
    schedules = town.world.schedules
    made, _ = schedules.create(asked, tenant=tenant, idempotency_key=f"k{town.dynamodb.requests}")
    for hour in ("09", "09", "10"):
        firing = Firing(tenant, made.schedule_id, f"2026-11-23T{hour}:00:00Z")
        town.world.run_schedule(firing)
        MissedRuns(schedules.store)(firing)
    schedules.delete_of_user(tenant, "nobody")
    schedules.delete(tenant, made.schedule_id)
    town.world.run_schedule(Firing(tenant, made.schedule_id, "2026-11-23T11:00:00Z"))


def sweep(town: Town, *, days: float) -> None:
    """The sweeper's look at whatever is due: what it does about a task stays with that one's tenant."""
    by_then = town.bench.clock.now_ms() + int(days * 24 * 3600 * 1000)
    for shard in due_shards():
        for due in town.world.store.due_tasks(shard, now_ms=by_then, limit=100):
            with watched(town, due.ref.tenant):
                town.world.sweep._looked_at(due)


@settings(
    max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tenant=st.sampled_from(TENANTS),
    goal=st.sampled_from(GOALS),
    in_session=st.booleans(),
    acts=st.lists(st.sampled_from(ACTS), max_size=4),
)
def test_whatever_is_done_for_a_task_stays_with_its_tenant(
    town: Town, tenant: str, goal: str, in_session: bool, acts: list[str]
) -> None:
    ref = submitted(
        town, tenant, goal, session=f"talk-{town.dynamodb.requests}" if in_session else None
    )
    with watched(town, tenant):
        town.world.run(ref)
        town.world.announce_all(ref)
    for name in acts:
        if name == "look":
            sweep(town, days=1)
        elif name == "expire":
            town.bench.clock.advance(TERMINAL_RETENTION_SECONDS + 1)
            sweep(town, days=1)
        else:
            with watched(town, tenant):
                try:
                    act(town, name, ref)
                except RatchetError:
                    continue


def test_the_watch_has_seen_all_of_it(town: Town, tell: Tell) -> None:
    ref = submitted(town, "acme", GOALS[2])
    with (
        pytest.raises(AssertionError, match="of globex reaches TENANT#acme#"),
        watched(town, "globex"),
    ):
        town.world.run(ref)
    requests = town.dynamodb.requests + town.s3.requests
    tell(f"requests of functions that were watched: {requests:,}, 0 outside their tenant")
    assert requests > 300
    assert town.s3.requests
