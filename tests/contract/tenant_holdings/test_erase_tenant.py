"""Erasing a tenant: nothing of it is left, nothing of another is touched, and no crash on the way matters."""

from collections.abc import Callable, Iterator
from typing import Any, cast
from unittest import mock

import pytest

from ratchet.adapters import aws
from ratchet.adapters.dynamodb_holdings import DynamoDbHoldings
from ratchet.admission_ports import SlotStore
from ratchet.app.erase_tenant import EXECUTIONS, Erasure
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.limits import ERASE_AFTER_SECONDS, MAX_ERASING_PASSES
from ratchet.contracts.messages import Doorbell
from ratchet.contracts.request_errors import TenantNotErasable
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench, MemoryBench
from tests.contract.tenant_holdings.town import TENANTS, Town
from tests.figures import Tell

OTHERS = TENANTS[1:]


class Killed(BaseException):
    """The operator's machine went off."""


@pytest.fixture(params=["memory", "dynamodb"])
def town(request: pytest.FixtureRequest) -> Iterator[Town]:
    if request.param == "memory":
        yield Town(MemoryBench())
        return
    with mocked_aws():
        bench = DynamoDbBench()
        yield Town(bench)
        bench.close()


def assert_gone(town: Town, others: dict[Any, Any]) -> None:
    assert town.held("acme") == {}
    assert town.held(*OTHERS) == others
    assert town.running() == len(OTHERS)
    assert (town.timers_of("acme"), town.timers_of(*OTHERS)) == (0, 2 * len(OTHERS))


def test_nothing_is_left_of_the_tenant_and_others_keep_every_byte(town: Town) -> None:
    others = town.held(*OTHERS)
    assert others
    town.suspend()
    told: list[dict[str, int]] = []
    done = town.erase()("acme", tell=lambda so_far: told.append(dict(so_far)))
    assert_gone(town, others)
    assert done.passes == len(told) == 2
    assert told[-1] == dict(done.deleted)
    assert {"tasks": 3, "schedules": 2, EXECUTIONS: 1}.items() <= done.deleted.items()
    assert done.deleted["bodies"]
    names = " ".join(done.deleted)
    for kind in ("session", "idempotency", "webhook", "cache", "apikeys"):
        assert f"{kind} items" in names
    executions = town.world.workflow.executions
    states = {name: execution.status for name, execution in executions.items()}
    stopped = town.tasks["acme"][1].task_id
    assert [name for name, status in states.items() if status == "ABORTED"] == [stopped]
    assert town.tenants.suspension("acme") is not None
    assert town.erase()("acme") == Erasure(passes=1)


def test_only_who_is_suspended_for_long_enough_can_be_erased(town: Town) -> None:
    before = town.held(*TENANTS)
    with pytest.raises(TenantNotErasable, match="is not suspended"):
        town.erase()("acme")
    town.tenants.suspend("acme")
    town.bench.clock.advance(ERASE_AFTER_SECONDS - 0.001)
    with pytest.raises(TenantNotErasable, match="can be erased from 20"):
        town.erase()("acme")
    assert town.held(*TENANTS) == before
    town.bench.clock.advance(0.001)
    town.erase()("acme")


def test_a_tenant_that_goes_on_meanwhile_is_erased_no_further(town: Town) -> None:
    town.suspend()
    with pytest.raises(TenantNotErasable, match="is not suspended"):
        town.erase()("acme", tell=lambda _: town.tenants.suspensions.end("acme"))


def test_messages_that_come_late_bring_nothing_back(town: Town) -> None:
    others = town.held(*OTHERS)
    town.suspend()
    town.erase()("acme")
    for ref in town.tasks["acme"]:
        for generation in (1, 2):
            town.world.dispatch(Doorbell(ref, generation))
        town.world.announce(Doorbell(ref))
        town.world.sweep.reconcile(ref)
    assert_gone(town, others)


def test_what_keeps_writing_is_told(town: Town) -> None:
    town.suspend()
    written: list[int] = []

    class Writer:
        def erase(self, tenant: str) -> dict[str, int]:
            written.append(1)
            return {f"items of {tenant}": 1}

    town.holdings = (*town.holdings, Writer())
    with pytest.raises(StoreUnavailable, match="something still writes"):
        town.erase()("acme")
    assert len(written) == MAX_ERASING_PASSES


@pytest.mark.parametrize("is_given_back", [False, True])
def test_a_slot_is_given_back_once_also_when_its_task_ends_meanwhile(is_given_back: bool) -> None:
    """The deployment's counter is shared with the others; the tenant's own may go before its tasks, and come back."""
    with mocked_aws():
        bench = DynamoDbBench()
        town = Town(bench)
        slots, running = cast("SlotStore", bench.store), town.tasks["acme"][1]
        town.world.cancel(running)
        assert slots.counts(TENANTS).total == 3
        town.suspend()
        original = DynamoDbHoldings._unseated

        def overtaken(holdings: DynamoDbHoldings, head: Any) -> bool:
            """The deliverer comes between what the Scan has read and the deletion of the head."""
            if is_given_back:
                assert slots.unseat(running, shard=3)
            return original(holdings, head)

        with mock.patch.object(DynamoDbHoldings, "_unseated", overtaken):
            town.erase()("acme")
        left = slots.counts(TENANTS)
        assert (left.shards[3], left.total) == (2, 2)
        assert left.tenants == {"acme": 0, **dict.fromkeys(OTHERS, 1)}
        assert town.held("acme") == {}
        bench.close()


def test_a_run_that_dies_anywhere_is_finished_by_the_next(tell: Tell) -> None:
    """On AWS as moto plays it: the first run dies at its first call, the second at its second, until one gets through.

    Half of the calls on which a run dies are carried out.
    """
    with mocked_aws():
        bench = DynamoDbBench()
        town = Town(bench)
        others = town.held(*OTHERS)
        town.suspend()
        deaths, is_done = 0, False
        while not is_done:
            calls = _Dying(deaths + 1, is_carried_out=deaths % 2 == 0)
            with (
                mock.patch.object(aws.client("dynamodb"), "_make_api_call", calls.of(bench.client)),
                mock.patch.object(bench.s3, "_make_api_call", calls.of(bench.s3)),
            ):
                try:
                    town.erase()("acme")
                    is_done = True
                except Killed:
                    deaths += 1
            assert town.held(*OTHERS) == others
        assert_gone(town, others)
        bench.close()
    tell(f"erase: {deaths} runs that died, one call later each; the next one finished")
    assert deaths > 5


class _Dying:
    """Counts calls to AWS; on the last one allowed the process dies."""

    def __init__(self, allowed: int, *, is_carried_out: bool) -> None:
        self._left = allowed
        self._is_carried_out = is_carried_out

    def of(self, client: Any) -> Callable[..., Any]:
        real = client._make_api_call

        def call(operation: str, request: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._is_carried_out:
                raise Killed
            answer = real(operation, request)
            if self._left == 0:
                raise Killed
            return answer

        return call


def test_kinds_that_are_newer_than_this_test_are_found_by_their_key() -> None:
    with mocked_aws():
        bench = DynamoDbBench()
        town = Town(bench)
        for tenant in TENANTS:
            key = {"pk": {"S": f"TENANT#{tenant}#DREAM#x"}, "sk": {"S": "DREAM"}}
            bench.client.put_item(TableName=bench.table, Item=key)
        town.suspend()
        done = town.erase()("acme")
        assert done.deleted["dream items"] == 1
        assert done.deleted["api key pointers"] == 1
        left = {item["pk"]["S"] for item in bench.items() if item["sk"]["S"] == "DREAM"}
        assert left == {f"TENANT#{tenant}#DREAM#x" for tenant in OTHERS}
        assert town.keys.of_tenant("acme") == []
        bench.close()
