"""What attempts at a step reserve, on the twin and on DynamoDB."""

from ratchet.contracts.charge import Charge
from ratchet.ports import Reserved
from tests.contract.store.benches import Bench
from tests.contract.store.samples import START_MS, record_of, ref_of, task_of

REF = ref_of()
FIRST = Reserved(Charge(500, 90), "attempt-1")
SECOND = Reserved(Charge(900, 170), "attempt-2")


def test_nothing_is_reserved_until_somebody_does(bench: Bench) -> None:
    assert bench.store.reserve(REF, step=3, before=None, after=FIRST)
    assert bench.store.reserved(REF, step=2) is None
    assert bench.store.reserved(REF, step=3) == FIRST


def test_a_reservation_is_replaced_by_who_has_seen_it(bench: Bench) -> None:
    assert bench.store.reserve(REF, step=3, before=None, after=FIRST)
    assert not bench.store.reserve(REF, step=3, before=None, after=SECOND)
    for seen in (
        Reserved(FIRST.charge, "other"),
        Reserved(Charge(499, 90), "attempt-1"),
        Reserved(Charge(500, 91), "attempt-1"),
        Reserved(Charge(500), "attempt-1"),
    ):
        assert not bench.store.reserve(REF, step=3, before=seen, after=SECOND)
    assert bench.store.reserved(REF, step=3) == FIRST
    assert bench.store.reserve(REF, step=3, before=FIRST, after=SECOND)
    assert bench.store.reserved(REF, step=3) == SECOND


def test_calls_of_a_free_model_are_reserved_by_their_tokens(bench: Bench) -> None:
    once, twice = (Reserved(Charge(0, tokens), "attempt-1") for tokens in (90, 180))
    assert bench.store.reserve(REF, step=3, before=None, after=once)
    assert bench.store.reserve(REF, step=3, before=once, after=twice)
    assert not bench.store.reserve(REF, step=3, before=once, after=SECOND)
    assert bench.store.reserved(REF, step=3) == twice


def test_a_reservation_without_tokens_is_replaced_by_one_with_them(bench: Bench) -> None:
    before = Reserved(Charge(500), "attempt-1")
    assert bench.store.reserve(REF, step=3, before=None, after=before)
    assert bench.store.reserved(REF, step=3) == before
    assert bench.store.reserve(REF, step=3, before=before, after=FIRST)
    assert not bench.store.reserve(REF, step=3, before=before, after=SECOND)


def test_the_same_reservation_again_is_no_conflict(bench: Bench) -> None:
    for _ in range(2):
        assert bench.store.reserve(REF, step=3, before=None, after=FIRST)


def test_nothing_is_reserved_for_a_committed_step(bench: Bench) -> None:
    task = task_of()
    bench.store.create_task(task, claim=None, due_at_ms=START_MS)
    assert bench.store.reserve(REF, step=1, before=None, after=FIRST)
    bench.store.commit(task, record_of(1), due_at_ms=START_MS)
    assert not bench.store.reserve(REF, step=1, before=FIRST, after=SECOND)
    assert bench.store.reserved(REF, step=1) == FIRST


def test_a_reservation_is_no_step(bench: Bench) -> None:
    task = task_of()
    bench.store.create_task(task, claim=None, due_at_ms=START_MS)
    bench.store.reserve(REF, step=1, before=None, after=FIRST)
    history, tip = bench.store.load(REF), bench.store.load_tip(REF)
    assert history == tip
    assert history is not None
    assert history.records == ()
