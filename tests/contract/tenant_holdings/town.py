"""Three tenants with something of every kind, in memory or in DynamoDB and S3 as moto plays them."""

import pickle
from dataclasses import replace
from typing import Any, cast

from ratchet import Agent
from ratchet.adapters.dynamodb_api_keys import DynamoDbApiKeys
from ratchet.adapters.dynamodb_cache import DynamoDbResponseCache
from ratchet.adapters.dynamodb_holdings import DynamoDbHoldings
from ratchet.adapters.dynamodb_rates import DynamoDbTenantRates
from ratchet.adapters.dynamodb_schedules import DynamoDbSchedules
from ratchet.adapters.dynamodb_suspensions import DynamoDbSuspensions
from ratchet.adapters.dynamodb_table import Table
from ratchet.adapters.payloads import S3Holdings
from ratchet.admission_ports import SlotStore
from ratchet.app.api_keys import ManageKeys
from ratchet.app.erase_tenant import EraseTenant
from ratchet.app.manage_tenants import ManageTenants
from ratchet.app.schedule_holdings import ScheduleHoldings
from ratchet.contracts.limits import ERASE_AFTER_SECONDS
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.names import Scope
from ratchet.contracts.schedule_api import ScheduleRequest
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.cached_answers import CachedAnswer
from ratchet.domain.messages import Message
from ratchet.domain.request_rate import RequestRate
from ratchet.domain.slots import Seat
from ratchet.model_ports import ResponseCache
from ratchet.schedule_ports import ScheduleStore
from ratchet.tenancy_ports import ApiKeys, Suspensions, TenantHoldings, TenantRates
from ratchet.testing.api_keys import CountingChance, InMemoryApiKeys
from ratchet.testing.chat import says
from ratchet.testing.holdings import InMemoryHoldings
from ratchet.testing.response_cache import InMemoryResponseCache
from ratchet.testing.schedules import InMemorySchedules, InMemoryTimers
from ratchet.testing.store_rows import Partition
from ratchet.testing.suspensions import InMemorySuspensions
from ratchet.testing.tenant_rates import InMemoryTenantRates
from tests.contract.store.benches import DynamoDbBench, MemoryBench
from tests.contract.store.samples import LARGE
from tests.unit.shared.app.world import World

TENANTS = ("acme", "acme-2", "globex")  # one's name begins with another's
HOURLY = ScheduleRequest.model_validate(
    {"schedule_expression": "rate(1 hour)", "task": {"goal": "Look."}}
)
AGENT = Agent("helper", "Help.", policy="react")


class Town:
    """A deployment in which all tenants do the same."""

    keys: ApiKeys
    cache: ResponseCache
    rates: TenantRates
    suspensions: Suspensions
    holdings: tuple[TenantHoldings, ...]
    schedules: ScheduleStore

    def __init__(self, bench: MemoryBench | DynamoDbBench) -> None:
        self.bench = bench
        self.world = World(AGENT, chat=lambda _: says("Done."), kept=(bench.store, bench.clock))
        if isinstance(bench, MemoryBench):
            self._in_memory(bench)
        else:
            self._on_aws(bench)
        self.timers = InMemoryTimers()
        self.world.schedules = replace(
            self.world.schedules, store=self.schedules, timers=self.timers
        )
        self.tenants = ManageTenants(self.suspensions, bench.clock)
        self.tasks = {tenant: self._settle(tenant) for tenant in TENANTS}

    def _in_memory(self, bench: MemoryBench) -> None:
        self.keys, self.cache = InMemoryApiKeys(), InMemoryResponseCache(bench.clock)
        self.rates, self.suspensions = InMemoryTenantRates(bench.clock), InMemorySuspensions()
        self.schedules = InMemorySchedules(bench.clock)
        places = (bench.memory, self.keys, self.cache, self.schedules)
        self.holdings = (InMemoryHoldings(*places),)

    def _on_aws(self, bench: DynamoDbBench) -> None:
        client, table, clock = bench.client, bench.table, bench.clock
        self.keys = DynamoDbApiKeys(client, table=table)
        self.cache = DynamoDbResponseCache(Table(client, table, clock), clock)
        self.rates = DynamoDbTenantRates(client, table=table, clock=clock)
        self.suspensions = DynamoDbSuspensions(client, table=table)
        self.schedules = DynamoDbSchedules(Table(client, table, clock), clock)
        items = DynamoDbHoldings(client, table=table, clock=clock)
        self.holdings = (S3Holdings(lambda: bench.s3, bench.bucket), items)

    def _settle(self, tenant: str) -> list[TaskRef]:
        """A finished task, one that runs with a slot, one that waits in line, and what lies beside them."""
        slots = cast("SlotStore", self.world.store)
        done = self._submit(tenant, "done " + LARGE, session_id="talk")
        self.world.run(done)
        self.world.announce_all(done)
        running, queued = self._submit(tenant, "runs"), self._submit(tenant, "queued")
        now = self.bench.clock.now_ms()
        slots.seat(running, Seat(3, 100, 100, now + 60_000))
        self.world.dispatch(Doorbell(running))
        slots.note_waiting(tenant, at_ms=now)
        ManageKeys(self.keys, self.bench.clock, self._chance).create(
            tenant, frozenset({Scope.READ})
        )
        answer = CachedAnswer(Message("assistant", "Yes."), "stop", now, now // 1000 + 60)
        self.cache.put(tenant, "0" * 64, answer)
        self.rates.take(tenant, RequestRate(1, 1))
        for _ in range(2):
            self.world.schedules.create(
                HOURLY, tenant=tenant, idempotency_key=f"{tenant}-{len(self.timers.schedules)}"
            )
        self.world.store.disable_webhook(tenant, "https://example.com", until_ms=now + 10)
        return [done, running, queued]

    _chance = CountingChance()

    def _submit(self, tenant: str, goal: str, **fields: object) -> TaskRef:
        request = TaskRequest.model_validate({"goal": goal, **fields})
        key = f"{tenant}-{goal[:4]}"
        return self.world.submit(request, tenant=tenant, idempotency_key=key).task.ref

    def suspend(self, tenant: str = "acme") -> None:
        """So long ago that the tenant can be erased."""
        self.tenants.suspend(tenant)
        self.bench.clock.advance(ERASE_AFTER_SECONDS)

    def erase(self) -> EraseTenant:
        """The use case, as an operator who comes again has it."""
        holdings = (ScheduleHoldings(self.schedules, self.timers), *self.holdings)
        return EraseTenant(self.tenants, self.world.store, self.world.workflow, holdings)

    def timers_of(self, *tenants: str) -> int:
        """How many schedules of these tenants EventBridge has."""
        return sum(tenant in tenants for tenant, _ in self.timers.schedules)

    def held(self, *tenants: str) -> dict[Any, Any]:
        """All that is held of these tenants, byte for byte, but their suspensions."""
        marks = tuple(f"TENANT#{tenant}#" for tenant in tenants)
        files = tuple(f"{tenant}/" for tenant in tenants)
        if isinstance(self.bench, DynamoDbBench):
            items = {
                (item["pk"]["S"], item["sk"]["S"]): item
                for item in self.bench.items()
                if item["pk"]["S"].startswith(marks)
                or item.get("tenant", {"S": ""})["S"] in tenants
                or item["sk"]["S"].removeprefix("WAITING#") in tenants
            }
            bodies = {key: self._body(key) for key in self.bench.payload_keys()}
            mine = {key: body for key, body in bodies.items() if key.startswith(files)}
            return {k: v for k, v in items.items() if k[1] != "SUSPENSION"} | mine
        places = (self.bench.memory, self.keys, self.cache, self.schedules)
        parts = [
            part for place in places for part in vars(place).values() if isinstance(part, dict)
        ]
        found = {(n, key): value for n, part in enumerate(parts) for key, value in part.items()}

        def is_theirs(key: Any, value: Any) -> bool:
            first = key[0] if isinstance(key, tuple) else key
            is_below = isinstance(first, str) and first.startswith((*marks, *files))
            return getattr(value, "tenant", None) in tenants or is_below

        return {
            place: pickle.dumps(value)
            for place, value in found.items()
            if value != Partition() and is_theirs(place[1], value)
        }

    def _body(self, key: str) -> bytes:
        assert isinstance(self.bench, DynamoDbBench)
        body: bytes = self.bench.s3.get_object(Bucket=self.bench.bucket, Key=key)["Body"].read()
        return body

    def running(self) -> int:
        """How many slots the deployment counts as taken."""
        return cast("SlotStore", self.world.store).counts(()).total
