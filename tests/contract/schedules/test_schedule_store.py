"""The records of schedules, on the twin and on DynamoDB as moto plays it."""

from dataclasses import dataclass, replace

import pytest

from ratchet.adapters.dynamodb_schedules import DynamoDbSchedules
from ratchet.adapters.dynamodb_table import Table
from ratchet.contracts.limits import ENDED_SCHEDULE_SECONDS, IDEMPOTENCY_RETENTION_SECONDS
from ratchet.domain.schedule import LastRun, Schedule, Timing
from ratchet.ports import IdempotencyClaim
from ratchet.schedule_ports import ScheduleStore
from ratchet.testing.clock import FakeClock
from ratchet.testing.schedules import InMemorySchedules
from tests.contract.store.samples import START_MS

LARGE = '{"goal":"' + "ab cd" * 20_000 + '"}'
FIRST, SECOND = "2026-11-23T09:00:00Z", "2026-11-23T10:00:00Z"


@dataclass
class Desk:
    store: ScheduleStore
    clock: FakeClock


@pytest.fixture(params=["twin", "dynamodb"])
def desk(request: pytest.FixtureRequest) -> Desk:
    clock = FakeClock(START_MS)
    if request.param == "twin":
        return Desk(InMemorySchedules(clock), clock)
    table = Table(request.getfixturevalue("client"), request.getfixturevalue("table"), clock)
    return Desk(DynamoDbSchedules(table, clock), clock)


def schedule_of(number: int = 1, tenant: str = "acme", **fields: object) -> Schedule:
    made = Schedule(
        tenant,
        f"schedule_{number:026d}",
        START_MS,
        Timing("rate(5 minutes)", "Europe/Berlin"),
        LARGE,
        name="each morning",
        agent="support",
        user_id="ann",
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def claim(desk: Desk, digest: str = "a", key: str = "schedule\nk") -> IdempotencyClaim:
    expires_at = desk.clock.now_ms() // 1000 + IDEMPOTENCY_RETENTION_SECONDS
    return IdempotencyClaim(key, digest, expires_at)


def test_what_was_created_is_read_as_it_was(desk: Desk) -> None:
    plain = schedule_of(2, name=None, agent=None, user_id=None)
    bounded = schedule_of(3, timing=Timing("rate(1 day)", "UTC", START_MS, START_MS + 86_400_000))
    for schedule in (schedule_of(), plain, bounded):
        created = desk.store.create(schedule, None)
        assert (created.schedule, created.is_replay) == (schedule, False)
        assert desk.store.schedule("acme", schedule.schedule_id) == schedule
    assert desk.store.schedule("globex", plain.schedule_id) is None


def test_a_known_key_finds_what_it_created_and_creates_nothing(desk: Desk) -> None:
    assert desk.store.created_by("acme", claim(desk)) is None
    desk.store.create(schedule_of(), claim(desk))
    again = desk.store.create(schedule_of(2), claim(desk, "b"))
    assert (again.schedule, again.is_replay, again.body_sha256) == (schedule_of(), True, "a")
    assert desk.store.created_by("acme", claim(desk)) == again
    assert desk.store.schedule("acme", schedule_of(2).schedule_id) is None
    assert desk.store.created_by("globex", claim(desk)) is None
    other = desk.store.create(schedule_of(2, "globex"), claim(desk))
    assert not other.is_replay


def test_a_key_that_has_expired_creates_anew(desk: Desk) -> None:
    desk.store.create(schedule_of(), claim(desk))
    desk.clock.advance(IDEMPOTENCY_RETENTION_SECONDS + 1)
    assert desk.store.created_by("acme", claim(desk)) is None
    assert not desk.store.create(schedule_of(2), claim(desk)).is_replay
    assert desk.store.schedule("acme", schedule_of(2).schedule_id) is not None


def test_the_same_creation_sent_again_is_no_replay(desk: Desk) -> None:
    for key in (None, claim(desk)):
        number = 1 if key is None else 2
        for _ in range(2):
            created = desk.store.create(schedule_of(number), key)
            assert created.schedule == schedule_of(number)


def test_a_list_has_pages_newest_first_and_without_requests(desk: Desk) -> None:
    for number in (1, 2, 3, 4):
        desk.store.create(schedule_of(number), None)
    desk.store.create(schedule_of(9, "globex"), None)
    first = desk.store.list("acme", limit=2)
    assert first.schedules == [schedule_of(4, task=""), schedule_of(3, task="")]
    assert first.after == schedule_of(3).schedule_id
    rest = desk.store.list("acme", limit=2, after=first.after)
    assert [s.schedule_id for s in rest.schedules] == [
        schedule_of(2).schedule_id,
        schedule_of(1).schedule_id,
    ]
    assert rest.after is None
    assert desk.store.list("nobody", limit=2).schedules == []


def test_runs_are_noted_once_each_and_in_order(desk: Desk) -> None:
    desk.store.create(schedule_of(), None)
    schedule_id = schedule_of().schedule_id
    run, later = LastRun(FIRST, "task_1"), LastRun(SECOND, code="suspended", message="It is.")
    assert desk.store.note_run("acme", schedule_id, run)
    assert not desk.store.note_run("acme", schedule_id, LastRun(FIRST, "task_2"))
    assert desk.store.note_run("acme", schedule_id, later)
    assert not desk.store.note_run("acme", schedule_id, run)
    noted = schedule_of(runs=2, last_run=later, is_armed=True)
    assert desk.store.schedule("acme", schedule_id) == noted
    assert not desk.store.note_run("globex", schedule_id, run)
    assert desk.store.schedule("globex", schedule_id) is None


def test_only_what_is_there_is_armed(desk: Desk) -> None:
    schedule_id = schedule_of().schedule_id
    assert not desk.store.mark_armed("acme", schedule_id)
    desk.store.create(schedule_of(), None)
    assert desk.store.mark_armed("acme", schedule_id)
    assert desk.store.schedule("acme", schedule_id) == schedule_of(is_armed=True)


def test_what_is_deleted_is_remembered_for_a_while(desk: Desk) -> None:
    desk.store.create(schedule_of(), claim(desk))
    schedule_id = schedule_of().schedule_id
    assert not desk.store.was_deleted("acme", schedule_id)
    for _ in range(2):
        desk.store.delete(schedule_of(), kept_seconds=60)
        assert desk.store.schedule("acme", schedule_id) is None
    assert desk.store.list("acme", limit=5).schedules == []
    assert desk.store.was_deleted("acme", schedule_id)
    assert not desk.store.was_deleted("globex", schedule_id)
    assert not desk.store.note_run("acme", schedule_id, LastRun(FIRST))
    known = desk.store.created_by("acme", claim(desk))
    assert known is not None
    assert known.schedule is None
    desk.clock.advance(61)
    assert not desk.store.was_deleted("acme", schedule_id)


def test_a_claim_is_deleted_with_what_it_made_and_not_with_anything_else(desk: Desk) -> None:
    desk.store.create(schedule_of(), claim(desk))
    desk.store.create(schedule_of(2), claim(desk, key="schedule\nother"))
    desk.store.delete(schedule_of(2), claim=claim(desk))
    assert desk.store.created_by("acme", claim(desk)) is not None
    assert desk.store.schedule("acme", schedule_of(2).schedule_id) is None
    desk.store.delete(schedule_of(), claim=claim(desk))
    assert desk.store.created_by("acme", claim(desk)) is None


def test_what_has_ended_is_gone_a_month_later(desk: Desk) -> None:
    ends_ms = START_MS + 60_000
    made = schedule_of(timing=Timing("rate(1 minute)", end_ms=ends_ms))
    desk.store.create(made, None)
    desk.clock.advance(60 + ENDED_SCHEDULE_SECONDS)
    assert desk.store.schedule("acme", made.schedule_id) == made
    desk.clock.advance(2)
    assert desk.store.schedule("acme", made.schedule_id) is None
    assert desk.store.list("acme", limit=5).schedules == []
