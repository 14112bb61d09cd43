"""The effect ledger and the delivery log, on the twin and on DynamoDB."""

import pytest

from ratchet.contracts.errors import EffectOutcomeUnknown
from ratchet.ports import DeliveryAttempt, DeliveryState, Intent
from tests.contract.store.benches import Bench
from tests.contract.store.samples import LARGE, START_MS, ref_of

REF = ref_of()


def test_the_first_intent_stands(bench: Bench) -> None:
    first = bench.store.begin_effect(REF, step=3, key="k", attempt_id="one")
    again = bench.store.begin_effect(REF, step=3, key="k", attempt_id="two")
    assert first == again == Intent("one")
    assert bench.store.begin_effect(REF, step=3, key="l", attempt_id="two") == Intent("two")


@pytest.mark.parametrize("result", ["done", "", LARGE])
@pytest.mark.parametrize("ok", [True, False])
def test_the_result_of_a_call_is_there_for_the_next_attempt(
    bench: Bench, result: str, ok: bool
) -> None:
    bench.store.begin_effect(REF, step=3, key="k", attempt_id="one")
    bench.store.end_effect(REF, step=3, key="k", intent=Intent("one", result, ok))
    stored = bench.store.begin_effect(REF, step=3, key="k", attempt_id="two")
    assert stored == Intent("one", result, ok)


def test_only_the_attempt_that_began_a_call_may_end_it(bench: Bench) -> None:
    bench.store.begin_effect(REF, step=3, key="k", attempt_id="one")
    for key, attempt in (("k", "two"), ("l", "one")):
        with pytest.raises(EffectOutcomeUnknown):
            bench.store.end_effect(REF, step=3, key=key, intent=Intent(attempt, "no"))
    stored = bench.store.begin_effect(REF, step=3, key="k", attempt_id="two")
    assert stored == Intent("one")


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
