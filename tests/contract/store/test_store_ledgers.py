"""The effect ledger and the delivery log, on the twin and on DynamoDB."""

import pytest

from ratchet.contracts.errors import EffectOutcomeUnknown
from ratchet.ports import DeliveryAttempt, Intent
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
    channel: str, *, ok: bool, event: str = "evt_1", detail: str = "200"
) -> DeliveryAttempt:
    return DeliveryAttempt(event, channel, ok, START_MS, detail)


def test_a_channel_counts_as_delivered_once_a_try_has_arrived(bench: Bench) -> None:
    bench.store.record_delivery(REF, delivery("sns", ok=False))
    assert bench.store.delivered_channels(REF, "evt_1") == frozenset()
    bench.store.record_delivery(REF, delivery("sns", ok=True))
    bench.store.record_delivery(REF, delivery("webhook", ok=False))
    bench.store.record_delivery(REF, delivery("sns", ok=False))
    assert bench.store.delivered_channels(REF, "evt_1") == {"sns"}


def test_deliveries_of_one_event_say_nothing_of_another(bench: Bench) -> None:
    bench.store.record_delivery(REF, delivery("sns", ok=True))
    assert bench.store.delivered_channels(REF, "evt_10") == frozenset()
    assert bench.store.delivered_channels(REF, "evt_") == frozenset()


def test_any_number_of_tries_can_be_logged(bench: Bench) -> None:
    for _ in range(25):
        bench.store.record_delivery(REF, delivery("webhook", ok=False, detail="x" * 5_000))
    bench.store.record_delivery(REF, delivery("webhook", ok=True))
    assert bench.store.delivered_channels(REF, "evt_1") == {"webhook"}
