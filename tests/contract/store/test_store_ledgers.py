"""The effect ledger and the delivery log, on the twin and on DynamoDB."""

import pytest

from ratchet.contracts.errors import AttemptSuperseded
from ratchet.delivery_log import DeliveryAttempt, DeliveryState
from ratchet.domain.steps import End, Paused, Step
from ratchet.ports import ANY_ATTEMPT, Begun
from tests.contract.store.benches import Bench
from tests.contract.store.samples import (
    ACTING,
    ASKING,
    BROKEN,
    DONE,
    LARGE,
    START_MS,
    begin,
    intent_of,
    plan_of,
    record_of,
    ref_of,
    task_of,
)

REF = ref_of()


def test_the_first_intent_stands(bench: Bench) -> None:
    first = begin(bench.store, step=3)
    again = begin(bench.store, step=3)
    assert first == again == intent_of()
    assert begin(bench.store, "l", step=3) == intent_of()


@pytest.mark.parametrize("result", ["done", "", LARGE])
@pytest.mark.parametrize("ok", [True, False])
def test_the_result_of_a_call_is_there_for_the_next_attempt(
    bench: Bench, result: str, ok: bool
) -> None:
    begin(bench.store, step=3)
    done = intent_of(result=result, ok=ok)
    bench.store.end_effect(REF, step=3, key="k", intent=done)
    assert begin(bench.store, step=3) == done
    begun = bench.store.begun_effects(REF, step=3)
    assert begun is not None
    assert begun.intents == {"k": done}


def test_only_the_attempt_that_began_a_call_may_end_it(bench: Bench) -> None:
    begin(bench.store, step=3)
    for key, attempt in (("k", "two"), ("l", "a")):
        with pytest.raises(AttemptSuperseded):
            bench.store.end_effect(REF, step=3, key=key, intent=intent_of(attempt, result="no"))
    assert begin(bench.store, step=3) == intent_of()


def test_a_step_has_no_effects_until_one_is_begun(bench: Bench) -> None:
    begin(bench.store, step=3)
    assert bench.store.begun_effects(REF, step=2) is None
    assert bench.store.begun_effects(REF, step=30) is None


def test_the_plan_behind_the_effects_of_a_step_is_kept(bench: Bench) -> None:
    begin(bench.store, step=3)
    begin(bench.store, "l", step=3)
    begun = bench.store.begun_effects(REF, step=3)
    assert begun == Begun(plan_of(), {"k": intent_of(), "l": intent_of()})


def test_who_adopts_a_plan_alone_may_begin_effects(bench: Bench) -> None:
    begin(bench.store, step=3)
    with pytest.raises(AttemptSuperseded):
        begin(bench.store, "l", step=3, owner="two")
    assert bench.store.adopt_plan(REF, plan_of(), step=3, owner="two")
    assert bench.store.adopt_plan(REF, plan_of(), step=3, owner="two")  # its answer was lost
    with pytest.raises(AttemptSuperseded):
        begin(bench.store, "l", step=3)
    assert begin(bench.store, step=3, owner="two") == intent_of()
    assert begin(bench.store, "l", step=3, owner="two") == intent_of("two")
    assert not bench.store.adopt_plan(REF, plan_of(), step=3, owner="three")
    assert not bench.store.adopt_plan(REF, plan_of(), step=4, owner="three")


def test_no_effect_of_a_committed_step_can_be_begun(bench: Bench) -> None:
    task = task_of()
    bench.store.create_task(task, claim=None, due_at_ms=START_MS)
    begin(bench.store)
    bench.store.commit(task, record_of(1), due_at_ms=START_MS, effects_of="a")
    with pytest.raises(AttemptSuperseded):
        begin(bench.store)
    with pytest.raises(AttemptSuperseded):
        begin(bench.store, "l")
    assert begin(bench.store, step=2) == intent_of()


@pytest.mark.parametrize("following", [ACTING, ASKING, DONE])
def test_a_step_with_effects_is_committed_only_by_who_tells_of_them(
    bench: Bench, following: Step | Paused | End
) -> None:
    task = task_of()
    bench.store.create_task(task, claim=None, due_at_ms=START_MS)
    begin(bench.store)
    record = record_of(1, following)
    for other in (None, "b"):
        with pytest.raises(AttemptSuperseded):
            bench.store.commit(task, record, due_at_ms=START_MS, effects_of=other)
    for history in (bench.store.load(REF), bench.store.load_tip(REF)):
        assert history is not None
        assert history.records == ()
    assert bench.store.commit(task, record, due_at_ms=START_MS, effects_of="a") == record
    adopted = bench.store.commit(task, record_of(1, DONE, text="late"), due_at_ms=START_MS)
    assert adopted == record


def test_an_attempt_whose_plan_was_adopted_does_not_commit_its_effects(bench: Bench) -> None:
    task = task_of()
    bench.store.create_task(task, claim=None, due_at_ms=START_MS)
    begin(bench.store)
    assert bench.store.adopt_plan(REF, plan_of(), step=1, owner="two")
    with pytest.raises(AttemptSuperseded):
        bench.store.commit(task, record_of(1, text="a"), due_at_ms=START_MS, effects_of="a")
    record = record_of(1, text="two")
    assert bench.store.commit(task, record, due_at_ms=START_MS, effects_of="two") == record


@pytest.mark.parametrize("following", [ACTING, BROKEN])
def test_an_end_without_work_takes_the_place_of_any_attempts_effects(
    bench: Bench, following: Step | End
) -> None:
    task = task_of()
    bench.store.create_task(task, claim=None, due_at_ms=START_MS)
    begin(bench.store)
    assert bench.store.adopt_plan(REF, plan_of(), step=1, owner="two")
    record = record_of(1, following)
    written = bench.store.commit(task, record, due_at_ms=START_MS, effects_of=ANY_ATTEMPT)
    assert written == record
    assert not bench.store.adopt_plan(REF, plan_of("two"), step=1, owner="three")


def test_a_task_is_read_while_effects_of_its_next_step_are_begun(bench: Bench) -> None:
    task = task_of()
    bench.store.create_task(task, claim=None, due_at_ms=START_MS)
    for number in (1, 2):
        bench.store.commit(task, record_of(number), due_at_ms=START_MS)
    begin(bench.store, step=3)
    tip, history = bench.store.load_tip(REF), bench.store.load(REF)
    assert tip is not None
    assert history is not None
    assert [r.number for r in tip.records] == [2]
    assert [r.number for r in history.records] == [1, 2]
    end = record_of(3, BROKEN)
    bench.store.commit(task, end, due_at_ms=START_MS, effects_of=ANY_ATTEMPT)
    ended = bench.store.load_tip(REF)
    assert ended is not None
    assert ended.records == (end,)
    assert bench.store.begun_effects(REF, step=3) is not None


@pytest.mark.parametrize("what", ["committed", "adopted"])
def test_a_call_of_a_step_that_has_moved_on_is_not_taken_over(bench: Bench, what: str) -> None:
    task = task_of()
    bench.store.create_task(task, claim=None, due_at_ms=START_MS)
    begin(bench.store)
    bench.store.adopt_plan(REF, plan_of(), step=1, owner="two")
    if what == "committed":
        bench.store.commit(task, record_of(1), due_at_ms=START_MS, effects_of="two")
    else:
        bench.store.adopt_plan(REF, plan_of("two"), step=1, owner="three")
    taken = bench.store.retake_effect(
        REF, step=1, key="k", before=intent_of(), after=intent_of("two")
    )
    assert not taken


def test_a_call_that_has_not_happened_is_taken_over_once(bench: Bench) -> None:
    def retake(key: str, before: str, after: str) -> bool:
        first, second = intent_of(before), intent_of(after)
        return bench.store.retake_effect(REF, step=1, key=key, before=first, after=second)

    begin(bench.store)
    assert not retake("k", "a", "two"), "the plan is not its own"
    assert bench.store.adopt_plan(REF, plan_of(), step=1, owner="two")
    assert retake("k", "a", "two")
    assert retake("k", "a", "two")  # its answer was lost
    assert not retake("k", "a", "three")
    assert not retake("l", "a", "two")
    with pytest.raises(AttemptSuperseded):
        bench.store.end_effect(REF, step=1, key="k", intent=intent_of(result="done"))
    bench.store.end_effect(REF, step=1, key="k", intent=intent_of("two", result="done"))
    assert not retake("k", "two", "three")


def delivery(
    channel: str, *, ok: bool, event: str = "evt_1", at_ms: int = START_MS, detail: str = "200"
) -> DeliveryAttempt:
    return DeliveryAttempt(event, channel, ok, at_ms, detail)


def test_the_tries_of_each_channel_are_counted_and_the_last_is_remembered(bench: Bench) -> None:
    assert bench.store.deliveries(REF, "evt_1") == {}
    bench.store.record_delivery(REF, delivery("sns", ok=False))
    assert bench.store.deliveries(REF, "evt_1") == {"sns": DeliveryState(False, 1, START_MS)}
    bench.store.record_delivery(REF, delivery("sns", ok=True, at_ms=START_MS + 5_000))
    bench.store.record_delivery(REF, delivery("webhook", ok=False, at_ms=START_MS + 7_000))
    assert bench.store.deliveries(REF, "evt_1") == {
        "sns": DeliveryState(True, 2, START_MS + 5_000),
        "webhook": DeliveryState(False, 1, START_MS + 7_000),
    }


def test_what_has_arrived_stays_arrived(bench: Bench) -> None:
    bench.store.record_delivery(REF, delivery("sns", ok=True))
    bench.store.record_delivery(REF, delivery("sns", ok=False))
    assert bench.store.deliveries(REF, "evt_1")["sns"].ok


def test_deliveries_of_one_event_say_nothing_of_another(bench: Bench) -> None:
    bench.store.record_delivery(REF, delivery("sns", ok=True))
    assert bench.store.deliveries(REF, "evt_10") == {}
    assert bench.store.deliveries(REF, "evt_") == {}


def test_any_number_of_tries_can_be_logged(bench: Bench) -> None:
    for number in range(25):
        attempt = delivery("webhook", ok=False, at_ms=START_MS + number, detail="x" * 5_000)
        bench.store.record_delivery(REF, attempt)
    bench.store.record_delivery(REF, delivery("webhook", ok=True, at_ms=START_MS + 99))
    states = bench.store.deliveries(REF, "evt_1")
    assert states == {"webhook": DeliveryState(True, 26, START_MS + 99)}
