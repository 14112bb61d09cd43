"""Who starts and who waits: the use cases on in-memory ports."""

import pytest

from ratchet import Agent
from ratchet.app.admission import Admission, SlotReturn, rules_of
from ratchet.app.announce_task import AnnounceTask
from ratchet.app.dispatch_task import DispatchTask
from ratchet.app.sweep_tasks import SweepTasks
from ratchet.app.task_views import task_view
from ratchet.contracts.errors import ModelThrottled
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import (
    Action,
    Complexity,
    InterruptKind,
    StepType,
    TaskStatus,
    WaitingFor,
)
from ratchet.contracts.settings import AdmissionSettings
from ratchet.contracts.task_api import ForkRequest, TaskRequest
from ratchet.domain.admission import Limit, LimitRules
from ratchet.domain.slots import AdmissionRules
from ratchet.domain.steps import Interrupt, Paused, Step, StepRecord, StepResult, Totals
from ratchet.domain.task import History, announce_by
from ratchet.ports import Reopening
from ratchet.testing.chat import says
from tests.contract.store.samples import LARGE
from tests.unit.shared.app.world import World

AGENT = Agent("helper", "Help.", policy="react")
ACTING = Step(StepType.TOOL_DISPATCH, Complexity.SIMPLE)
TENANT_OF_TWO = AdmissionRules(tenant_limit=2)
FOUR = AdmissionRules(deployment=LimitRules(4, 4))


class Office(World):
    """A world with admission in its functions; every call of them is a fresh sandbox."""

    def __init__(self, rules: AdmissionRules) -> None:
        super().__init__(AGENT, chat=lambda _: says("Done."))
        self.rules = rules

    def admission(self) -> Admission:
        return Admission(self.memory, self.clock, self.rules)

    def ask(self, tenant: str = "acme", **fields: object) -> TaskRef:
        """Submit a task and let its doorbell be heard."""
        body = TaskRequest.model_validate({"goal": "Answer.", **fields})
        ref = self.submit(body, tenant=tenant).task.ref
        self.clock.advance(0.001)
        self.hear()
        return ref

    def hear(self) -> None:
        """The dispatcher works off the inbox."""
        while (bell := self.inbox.receive()) is not None:
            DispatchTask(self.store, self.workflow, self.clock, self.admission())(bell)

    def finish(self, ref: TaskRef) -> None:
        """The task runs to its end and is announced."""
        generation = self.tip(ref).state.generation
        self.continue_from(self.workflow.input_of(ref, generation))
        slots = SlotReturn(self.admission(), self.inbox)
        AnnounceTask(self.store, (self.sns,), self.clock, slots)(Doorbell(ref))
        self.hear()

    def pause(self, ref: TaskRef, *, is_announced: bool = True) -> History:
        """The task asks a person, and all are told."""
        now, tip = self.clock.now_ms(), self.tip(ref)
        kind, closes = InterruptKind.EFFECT_UNKNOWN, now + 10**9
        asked = Interrupt("int_1", kind, "c1", "Did it?", ("happened",), closes)
        record = self.record(tip, Paused((asked,), ACTING))
        self.memory.commit(tip.task, record, due_at_ms=announce_by(record))
        paused = self.tip(ref)
        if is_announced:
            slots = SlotReturn(self.admission(), self.inbox)
            AnnounceTask(self.store, (self.sns,), self.clock, slots)(Doorbell(ref))
            self.hear()
        return paused

    def answer(self, ref: TaskRef, *, is_heard: bool = True) -> None:
        """Somebody answers, and the bell for it is heard."""
        tip, now = self.tip(ref), self.clock.now_ms()
        reopening = Reopening(self.record(tip, ACTING), tip.task.limits, now, now + 60_000)
        assert self.memory.reopen(tip, reopening)
        self.inbox.send(Doorbell(ref, tip.state.generation + 1))
        if is_heard:
            self.hear()

    def record(self, tip: History, following: Step | Paused) -> StepRecord:
        now, number = self.clock.now_ms(), tip.next_number
        result = StepResult(ACTING.type, ACTING.complexity)
        return StepRecord(number, result, following, Totals(number), 0, now, now)

    def sweep_once(self) -> int:
        sweep = SweepTasks(
            self.store,
            self.inbox,
            self.outbox,
            self.workflow,
            self.clock,
            self.admission(),
            self.inbox,
        )
        waiting = sweep().waiting
        self.hear()
        return waiting

    def runs(self, *refs: TaskRef) -> list[bool]:
        return [self.tip(ref).state.status is TaskStatus.RUNNING for ref in refs]


def test_a_task_above_its_tenants_limit_waits_says_why_and_starts_when_one_ends() -> None:
    office = Office(TENANT_OF_TWO)
    first, second, third = (office.ask() for _ in range(3))
    assert office.runs(first, second, third) == [True, True, False]
    assert office.tip(third).state.status is TaskStatus.QUEUED
    assert task_view(office.tip(third)).waiting_for is WaitingFor.TENANT_LIMIT
    assert office.runs(office.ask("globex")) == [True], "another tenant's limit is its own"
    office.finish(first)
    assert office.runs(second, third) == [True, True]
    assert task_view(office.tip(third)).waiting_for is None


def test_a_task_that_has_just_come_does_not_overtake_those_in_line() -> None:
    office = Office(TENANT_OF_TWO)
    running = [office.ask() for _ in range(2)]
    waiting = office.ask()
    office.continue_from(office.workflow.input_of(running[0], 1))
    tip = office.tip(running[0])
    office.memory.unseat(running[0], shard=tip.state.slot or 0)  # nobody has rung yet
    late = office.ask()
    assert office.runs(waiting, late) == [True, False]


def test_a_tenants_more_urgent_task_goes_before_its_others_and_not_before_another_tenants() -> None:
    office = Office(FOUR)
    running = [office.ask() for _ in range(4)]
    usual, urgent = office.ask(), office.ask(priority=9)
    quiet = office.ask("globex", priority=0)
    assert office.runs(usual, urgent, quiet) == [False] * 3
    assert office.tip(quiet).state.waiting_for is WaitingFor.DEPLOYMENT_LIMIT
    order = []
    for ref in running[:3]:
        office.finish(ref)
        order += [r for r in (usual, urgent, quiet) if office.runs(r)[0] and r not in order]
    assert order == [quiet, urgent, usual]


def test_priority_is_a_digit() -> None:
    for wrong in (-1, 10, 1.5, "high"):
        with pytest.raises(ValueError, match="priority"):
            TaskRequest.model_validate({"goal": "x", "priority": wrong})


def test_a_fork_has_the_priority_of_its_parent() -> None:
    office = Office(TENANT_OF_TWO)
    ref = office.ask(priority=8)
    office.finish(ref)
    assert office.fork(ref, ForkRequest()).task.priority == 8


def test_a_task_that_asks_holds_no_slot_and_once_answered_comes_before_newer_ones() -> None:
    office = Office(AdmissionRules(tenant_limit=1))
    asking, running = office.ask(), office.ask()
    office.pause(asking)
    assert office.runs(asking, running) == [False, True]
    newer = office.ask()
    office.answer(asking)
    assert office.tip(asking).state.waiting_for is WaitingFor.TENANT_LIMIT
    office.finish(running)
    assert office.runs(asking, newer) == [True, False]
    office.finish(asking)
    assert office.runs(newer) == [True]


def test_a_task_that_is_answered_before_its_slot_was_given_back_goes_on_in_it() -> None:
    office = Office(AdmissionRules(tenant_limit=1))
    asking, waiting = office.ask(), office.ask()
    stale = office.pause(asking, is_announced=False)
    office.answer(asking)
    assert office.runs(asking, waiting) == [True, False]
    SlotReturn(office.admission(), office.inbox)(stale)  # what was read before the answer
    office.hear()
    assert office.runs(asking, waiting) == [True, False]
    assert office.memory.counts(["acme"]).tenants == {"acme": 1}


def test_a_waiting_task_that_cannot_be_read_is_started_and_ends_and_stops_nobody() -> None:
    office = Office(AdmissionRules(tenant_limit=1))
    running, lost, behind = office.ask(), office.ask(goal=f"Read {LARGE}"), office.ask()
    office.memory.payloads.clear()
    office.finish(running)
    started = office.workflow.input_of(lost, 1)
    assert office.step(started).status == "failed"
    AnnounceTask(
        office.store, (office.sns,), office.clock, SlotReturn(office.admission(), office.inbox)
    )(Doorbell(lost))
    office.hear()
    assert office.runs(behind) == [True]


def test_a_slot_is_kept_over_restarts_and_given_back_at_a_cancel() -> None:
    office = Office(AdmissionRules(tenant_limit=1))
    running, waiting = office.ask(), office.ask()
    office.workflow.kill(running, 1, cause="it died")
    office.sweep.reconcile(running)
    assert office.tip(running).state.generation == 2
    assert office.runs(running, waiting) == [True, False]
    office.cancel(running)
    bell = office.outbox.receive()
    assert bell is not None
    slots = SlotReturn(office.admission(), office.inbox)
    for _ in range(2):
        AnnounceTask(office.store, (office.sns,), office.clock, slots)(bell)
    office.hear()
    assert office.runs(waiting) == [True]
    assert office.memory.counts(["acme"]).tenants == {"acme": 1}


def test_a_waiting_task_that_is_cancelled_leaves_the_line() -> None:
    office = Office(AdmissionRules(tenant_limit=1))
    running, waiting, next_one = (office.ask() for _ in range(3))
    assert office.cancel(waiting).state.status is TaskStatus.CANCELLED
    office.finish(running)
    assert office.runs(next_one) == [True]
    assert office.workflow.executions.keys() == {running.task_id, next_one.task_id}


def test_a_waiting_task_ends_at_its_deadline() -> None:
    office = Office(AdmissionRules(tenant_limit=1))
    running, waiting = office.ask(), office.ask(limits={"deadline_seconds": 60})
    office.clock.advance(200)
    office.sweep_once()
    assert office.tip(waiting).state.status is TaskStatus.QUEUED
    office.clock.advance(200)
    office.sweep_once()
    assert office.tip(waiting).state.status is TaskStatus.TIMED_OUT
    office.finish(running)
    assert office.memory.counts(["acme"]).total == 0


def test_the_sweeper_rings_for_those_that_nobody_rang_for() -> None:
    office = Office(TENANT_OF_TWO)
    running = [office.ask() for _ in range(2)]
    waiting = [office.ask() for _ in range(3)]
    for ref in running:
        office.continue_from(office.workflow.input_of(ref, 1))
        slots = SlotReturn(office.admission(), office.outbox)  # rings in the wrong place
        AnnounceTask(office.store, (office.sns,), office.clock, slots)(Doorbell(ref))
    assert office.runs(*waiting) == [False] * 3
    office.clock.advance(45)
    assert office.sweep_once() == 3
    assert office.runs(*waiting) == [True, True, False]


def test_a_line_is_known_for_as_long_as_the_sweeper_sees_it() -> None:
    office = Office(TENANT_OF_TWO)
    running = [office.ask() for _ in range(2)]
    waiting = office.ask()
    for _ in range(10):
        office.clock.advance(60)
        assert office.sweep_once() == 1
    office.finish(running[0])
    assert office.runs(waiting) == [True]


def test_a_sandbox_that_died_with_a_slot_in_its_hand_is_mended_in_a_minute() -> None:
    office = Office(AdmissionRules(tenant_limit=1))
    ref = office.submit(TaskRequest(goal="x"), tenant="acme").task.ref
    assert office.admission().admit(office.tip(ref)) == [ref]  # and no more
    office.inbox.receive()
    office.clock.advance(61)
    office.sweep_once()
    assert office.runs(ref) == [True]
    assert office.memory.counts(["acme"]).tenants == {"acme": 1}


def test_limits_that_are_lifted_let_all_waiting_tasks_start() -> None:
    office = Office(AdmissionRules(tenant_limit=1))
    tasks = [office.ask() for _ in range(8)]
    office.rules = AdmissionRules()
    office.sweep_once()
    assert office.runs(*tasks) == [True] * 8
    for ref in tasks:
        office.finish(ref)
    assert office.memory.counts(["acme"]).total == 0


def test_a_burst_raises_the_limit_a_quiet_time_and_429s_lower_it() -> None:
    office = Office(AdmissionRules(deployment=LimitRules(4, 40)))
    limit = []
    for _ in range(60):
        office.ask()
        office.clock.advance(1)
    limit.append(_limit(office))
    assert limit == [40]
    slot = next(t.slot for t in (office.tip(r).state for r in _running(office)))
    office.memory.note_throttled(slot or 0)
    office.clock.advance(60)
    office.sweep_once()
    cut = int(len(_running(office)) * 0.8)
    assert office.memory.board().limit == Limit(cut, throttled_at=36), (
        "a lone tenant runs nine tenths"
    )
    for _ in range(60):
        for ref in _running(office):
            office.finish(ref)
    office.clock.advance(60)
    office.sweep_once()
    assert _limit(office) == 10, "what runs, and a few more"
    assert office.memory.counts(["acme"]).total == 0


def _running(office: Office) -> list[TaskRef]:
    return [
        TaskRef("acme", name)
        for name in office.workflow.executions
        if office.runs(TaskRef("acme", name))[0]
    ]


def _limit(office: Office) -> int:
    limit = office.memory.board().limit
    assert limit is not None
    return limit.value


@pytest.mark.parametrize(
    ("rules", "place", "counted"),
    [(TENANT_OF_TWO, "", 1), (AdmissionRules(), "", 0), (TENANT_OF_TWO, "main@1", 0)],
    ids=["limited", "not limited", "with a place in the line for quota"],
)
def test_a_429_is_counted_where_tasks_are_counted_unless_the_step_waits_with_a_place(
    rules: AdmissionRules, place: str, counted: int
) -> None:
    office = Office(rules)
    ref = office.submit(TaskRequest(goal="x"), tenant="acme").task.ref
    admission = office.admission() if rules.is_on else None
    DispatchTask(office.store, office.workflow, office.clock, admission)(Doorbell(ref))

    def throttled(_: object) -> object:
        raise ModelThrottled("429", 2.0, place=place)

    executor = office.executor()
    object.__setattr__(executor, "chat", type("Chat", (), {"complete": staticmethod(throttled)})())
    object.__setattr__(executor, "throttles", office.memory)
    state = office.step(office.workflow.input_of(ref, 1), executor=executor)
    assert state.action is Action.WAIT
    assert office.memory.throttled() == counted


def test_zero_stands_for_no_limit() -> None:
    def rules(*numbers: int) -> AdmissionRules:
        return rules_of(AdmissionSettings("table", "bucket", *numbers))

    assert rules(0, 20, 0) == AdmissionRules()
    assert not rules(0, 20, 0).is_on
    assert rules(3, 20, 0) == AdmissionRules(tenant_limit=3)
    assert rules(0, 20, 900) == AdmissionRules(deployment=LimitRules(20, 900))
    assert rules(0, 20, 10) == AdmissionRules(deployment=LimitRules(10, 10))
