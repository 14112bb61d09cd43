"""The delivery log beyond counting: giving up, sending again, lists, and receivers that want no more."""

from ratchet.contracts.limits import TERMINAL_RETENTION_SECONDS
from ratchet.delivery_log import DeadDelivery, DeadPage, Delivery, DeliveryAttempt, DeliveryState
from ratchet.task_list import ListFilter
from tests.contract.store.benches import Bench
from tests.contract.store.samples import DONE, START_MS, record_of, ref_of, task_of

REF = ref_of()
URL = "https://hooks.example.com/a"


def tried(
    bench: Bench, *, ok: bool = False, number: int = 1, channel: str = "webhook", wait_ms: int = 0
) -> DeliveryAttempt:
    attempt = DeliveryAttempt("evt_1", channel, ok, START_MS, "503", wait_ms)
    bench.store.record_delivery(ref_of(number), attempt)
    return attempt


def state(bench: Bench) -> DeliveryState:
    return bench.store.deliveries(REF, "evt_1")["webhook"]


def give_up(bench: Bench, *, earlier: int = 0, number: int = 1) -> bool:
    return bench.store.give_up_delivery(
        ref_of(number), "evt_1", channel="webhook", earlier_tries=earlier
    )


def dead(bench: Bench, tenant: str = "acme") -> list[DeadDelivery]:
    return list(bench.store.dead_deliveries(tenant, limit=10).deliveries)


def test_a_wish_to_be_asked_later_is_kept_until_the_next_try(bench: Bench) -> None:
    tried(bench, wait_ms=START_MS + 9)
    assert state(bench).not_before_ms == START_MS + 9
    tried(bench)
    assert state(bench).not_before_ms == 0


def test_a_delivery_is_given_up_once_and_listed(bench: Bench) -> None:
    assert not give_up(bench), "it was never tried"
    tried(bench)
    assert dead(bench) == []
    assert give_up(bench)
    assert not give_up(bench)
    assert state(bench).is_dead
    assert dead(bench) == [DeadDelivery(REF.task_id, "evt_1", "webhook")]
    assert dead(bench, "globex") == []


def test_what_has_arrived_is_not_given_up_and_what_arrives_late_is_dead_no_more(
    bench: Bench,
) -> None:
    tried(bench)
    give_up(bench)
    tried(bench)
    assert state(bench).is_dead
    tried(bench, ok=True)
    assert (state(bench).is_dead, state(bench).ok) == (False, True)
    assert dead(bench) == []
    assert not give_up(bench)


def test_sending_again_begins_anew_whatever_came_before(bench: Bench) -> None:
    assert not bench.store.redeliver(REF, "evt_1", channel="webhook")
    assert bench.store.deliveries(REF, "evt_1") == {}
    for _ in range(3):
        tried(bench, wait_ms=START_MS + 9)
    give_up(bench)
    assert bench.store.redeliver(REF, "evt_1", channel="webhook")
    assert state(bench) == DeliveryState(False, 0, START_MS, earlier_tries=3)
    assert dead(bench) == []
    tried(bench, ok=True)
    assert bench.store.redeliver(REF, "evt_1", channel="webhook")
    assert state(bench) == DeliveryState(False, 0, START_MS, earlier_tries=4)


def test_who_saw_the_tries_before_cannot_give_up_what_is_sent_again(bench: Bench) -> None:
    tried(bench)
    bench.store.redeliver(REF, "evt_1", channel="webhook")
    assert not give_up(bench)
    assert give_up(bench, earlier=1)
    tried(bench)
    bench.store.redeliver(REF, "evt_1", channel="webhook")
    assert not give_up(bench, earlier=1)
    assert give_up(bench, earlier=2)


def test_the_whole_log_of_a_task_has_the_latest_twenty_tries_of_each_way(bench: Bench) -> None:
    assert list(bench.store.task_deliveries(REF)) == []
    for number in range(25):
        attempt = DeliveryAttempt("evt_1", "webhook", False, START_MS + number, "x" * 600)
        bench.store.record_delivery(REF, attempt)
    sns = tried(bench, ok=True, channel="sns")
    log = {d.channel: d for d in bench.store.task_deliveries(REF)}
    assert log["sns"] == Delivery("evt_1", "sns", DeliveryState(True, 1, START_MS), (sns,))
    webhook = log["webhook"]
    assert webhook.state.tries == 25
    assert [a.at_ms - START_MS for a in webhook.attempts] == list(range(5, 25))
    assert {len(a.detail) for a in webhook.attempts} == {500}


def test_dead_deliveries_come_in_pages_those_of_the_newest_tasks_first(bench: Bench) -> None:
    for number in range(1, 6):
        tried(bench, number=number)
        give_up(bench, number=number)
    found: list[DeadDelivery] = []
    after: str | None = None
    sizes = []
    while True:
        page = bench.store.dead_deliveries("acme", limit=2, after=after)
        found += page.deliveries
        sizes.append(len(page.deliveries))
        after = page.after
        if after is None:
            break
    assert sizes == [2, 2, 1]
    assert [d.task_id for d in found] == [ref_of(n).task_id for n in (5, 4, 3, 2, 1)]
    assert bench.store.dead_deliveries("acme", limit=5).after is None
    assert bench.store.dead_deliveries("nobody", limit=5) == DeadPage((), None)


def test_dead_deliveries_are_no_tasks_and_go_with_theirs(bench: Bench) -> None:
    task = task_of()
    bench.store.create_task(task, claim=None, due_at_ms=START_MS)
    bench.store.commit(task, record_of(1, DONE), due_at_ms=START_MS)
    tried(bench)
    give_up(bench)
    listed = bench.store.list_tasks("acme", where=ListFilter(), limit=10)
    assert [t.task_id for t in listed.tasks] == [REF.task_id]
    bench.clock.advance(TERMINAL_RETENTION_SECONDS + 10)
    assert bench.store.erase(REF) > 0
    assert dead(bench) == []


def test_a_webhook_that_wants_no_more_is_remembered_by_tenant_and_url(bench: Bench) -> None:
    assert bench.store.webhook_disabled_until("acme", URL) == 0
    bench.store.enable_webhook("acme", URL)
    assert bench.is_empty(), "nothing is written for what was never disabled"
    bench.store.disable_webhook("acme", URL, until_ms=START_MS + 5)
    assert bench.store.webhook_disabled_until("acme", URL) == START_MS + 5
    assert bench.store.webhook_disabled_until("acme", URL + "b") == 0
    assert bench.store.webhook_disabled_until("globex", URL) == 0
    bench.store.enable_webhook("acme", URL)
    assert bench.store.webhook_disabled_until("acme", URL) == 0
