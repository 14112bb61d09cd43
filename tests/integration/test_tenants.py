"""Tenants that try each other's ids in every call: on the real store adapters, with every storage request watched."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from functions.api import current
from ratchet import Agent, tool
from ratchet.adapters.dynamodb import DynamoDbCheckpoints
from ratchet.adapters.dynamodb_batches import DynamoDbBatches
from ratchet.adapters.dynamodb_memories import DynamoDbMemories
from ratchet.adapters.dynamodb_schedules import DynamoDbSchedules
from ratchet.adapters.dynamodb_table import Table
from ratchet.adapters.payloads import S3Payloads
from ratchet.app.memories import Memories
from ratchet.contracts.access import ROUTE_SCOPES
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.task_api import TaskRequest
from ratchet.domain.messages import ToolCall
from ratchet.domain.steps import Paused
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import asks, says
from tests.api_wiring import wired
from tests.contract.moto_aws import mocked_aws
from tests.contract.store.benches import DynamoDbBench
from tests.contract.store.samples import LARGE
from tests.envelopes import envelope
from tests.unit.functions.test_api import call
from tests.unit.shared.app.world import World

CASES = 120
TENANTS = ("acme", "acme-2", "globex")  # one's name begins with another's
PARTITION = re.compile(r"\b(?:pk|tenant_key|due|waiting) = (:\w+)")
READING = ("get_", "batch_get_", "transact_get_", "query", "scan", "head_", "list_")
ANYBODYS = {"PUT /v1/memory/{namespace}/{key}", "GET /v1/memory/{namespace}"}
ANYBODYS |= {"DELETE /v1/memory/{namespace}"}  # what they name, every tenant has of its own
BY_ID = sorted(route for route in ROUTE_SCOPES if "{" in route and route not in ANYBODYS)
LISTS = (
    "GET /v1/tasks",
    "GET /v1/interrupts",
    "GET /v1/usage",
    "GET /v1/deliveries",
    "GET /v1/sessions",
    "GET /v1/schedules",
)
EVERYTHING = "admin decide read submit"
BODIES: dict[str, list[Any]] = {
    "POST /v1/tasks/{task_id}/interrupts/{interrupt_id}": [
        {"answer": "happened"},
        {"answer": "abort"},
    ],
    "POST /v1/tasks/{task_id}/resume": [{}, {"upgrade": True}],
    "POST /v1/tasks/{task_id}/fork": [{}, {"step": 0}, {"step": 1}],
}


class Watched:
    """A client whose every request must stay with one tenant."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.tenant: str | None = None
        self.requests = 0
        self.writes = 0  # requests that may change something, whether they did or not

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not callable(method) or name in ("get_waiter", "get_paginator", "can_paginate"):
            return method

        def send(**request: Any) -> Any:
            if self.tenant is not None:
                self._check(name, request)
            return method(**request)

        return send

    def _check(self, name: str, request: Any) -> None:
        self.requests += 1
        self.writes += not name.startswith(READING)
        own = (f"TENANT#{self.tenant}", f"{self.tenant}/")
        places = list(_places(request))
        assert places, f"{name} names no partition"
        for place in places:
            inside = place == own[0] or place.startswith((f"{own[0]}#", own[1]))
            assert inside, f"{name} of {self.tenant} reaches {place}"


def _places(request: Any) -> Iterator[str]:
    """Partition keys of items and queries, and S3 keys, wherever they stand in a request."""
    if isinstance(request, list):
        for part in request:
            yield from _places(part)
    if not isinstance(request, dict):
        return
    for match in PARTITION.finditer(str(request.get("KeyConditionExpression", ""))):
        yield request["ExpressionAttributeValues"][match[1]]["S"]
    for name, part in request.items():
        if name in ("pk", "tenant_key") and isinstance(part, dict):
            yield part["S"]
        elif name in ("Key", "Prefix") and isinstance(part, str):
            yield part
        elif name != "ExpressionAttributeValues":  # what callers filter by may be any text
            yield from _places(part)


@tool(effect="unsafe")
def pay(amount: int) -> str:
    """Pay."""
    raise TimeoutError


AGENT = Agent("payer", "Pay.", tools=[pay], policy="react")
GOALS = ("finished", "queued", "pay x" + LARGE)  # the last body lies in the bucket


def session_of(tenant: str) -> str:
    """The session of the tenant's finished task."""
    return f"talk-{TENANTS.index(tenant)}"


def user_of(tenant: str) -> str:
    """The user of whom the tenant remembers something."""
    return f"user-{TENANTS.index(tenant)}"


class Town:
    """Three tenants with a finished, a queued and an asking task each."""

    def __init__(self, bench: DynamoDbBench) -> None:
        self.bench = bench
        self.dynamodb, self.s3 = Watched(bench.client), Watched(bench.s3)
        dynamodb: Any = self.dynamodb
        bucket: Any = self.s3
        store = DynamoDbCheckpoints(
            dynamodb,
            table=bench.table,
            payloads=S3Payloads(lambda: bucket, bench.bucket),
            clock=bench.clock,
        )
        self.world = World(AGENT, chat=_answer, kept=(store, bench.clock))
        table = Table(dynamodb, bench.table, bench.clock)
        self.world.memories = Memories(DynamoDbMemories(table, bench.clock), bench.clock)
        payloads = S3Payloads(lambda: bucket, bench.bucket)
        self.world.batches = DynamoDbBatches(
            dynamodb, table=bench.table, payloads=payloads, clock=bench.clock
        )
        self.world.schedules = replace(
            self.world.schedules, store=DynamoDbSchedules(table, bench.clock)
        )
        self.batches: dict[str, str] = {}
        self.schedules: dict[str, str] = {}
        self.tasks: dict[str, list[str]] = {tenant: [] for tenant in TENANTS}
        self.interrupts: dict[str, str] = {}
        self.deliveries: dict[str, str] = {}
        self.cursors: dict[str, str] = {}
        self.settled = ""

    def call(
        self, tenant: str, route: str, *, body: Any = None, query: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        method, path = route.split(" ")
        request = envelope("api/submit")
        request["requestContext"]["authorizer"] = {
            "lambda": {"tenant": tenant, "scopes": EVERYTHING}
        }
        request["rawPath"] = request["requestContext"]["http"]["path"] = path
        request["requestContext"]["http"]["method"] = method
        request["queryStringParameters"] = query or {}
        request["body"] = None if body is None else json.dumps(body)
        request["headers"]["idempotency-key"] = "the same of all"
        self.dynamodb.tenant = self.s3.tenant = tenant
        try:
            status, answer, _ = call(request)
        finally:
            self.dynamodb.tenant = self.s3.tenant = None
        return status, answer

    def settle(self) -> None:
        """Give every tenant its tasks, all by the API and under the same Idempotency-Key at first."""
        for tenant in TENANTS:
            for number, goal in enumerate(GOALS):
                session = None if number else session_of(tenant)
                said = f"canary-{tenant} {goal}"
                asked = TaskRequest(goal=said, user_id="ann", session_id=session)
                if number:
                    ref = self.world.submit(asked, tenant=tenant).task.ref
                else:
                    body = asked.model_dump(mode="json", exclude_none=True)
                    ref = TaskRef(
                        tenant, self.call(tenant, "POST /v1/tasks", body=body)[1]["task_id"]
                    )
                self.tasks[tenant].append(ref.task_id)
                if number != 1:
                    self.world.run(ref)
                    self.world.announce_all(ref)
            following = self.world.tip(ref).next
            assert isinstance(following, Paused)
            _, sent = self.call(tenant, f"GET /v1/tasks/{ref.task_id}/deliveries")
            self.deliveries[tenant] = sent["deliveries"][0]["id"]
            self.interrupts[tenant] = following.interrupts[0].id
            memory = f"PUT /v1/memory/user:{user_of(tenant)}/{user_of(tenant)}-diet"
            assert self.call(tenant, memory, body={"value": f"canary-{tenant} "})[0] == 200
            goals = {"tasks": [{"goal": f"canary-{tenant} together"}]}
            self.batches[tenant] = self.call(tenant, "POST /v1/batches", body=goals)[1]["batch_id"]
            task = {"goal": f"canary-{tenant} hourly"}
            hourly = {"schedule_expression": "rate(1 hour)", "task": task}
            self.schedules[tenant] = self.call(tenant, "POST /v1/schedules", body=hourly)[1][
                "schedule_id"
            ]
            self.cursors[tenant] = self.call(tenant, LISTS[0], query={"limit": "1"})[1][
                "next_cursor"
            ]

    def is_unchanged(self, *, since: int) -> bool:
        """Whether all is as it was settled; a scan takes a hundred times as long as a call that wrote nothing."""
        return self.writes() == since or self.stored() == self.settled

    def writes(self) -> int:
        """Requests so far that may have changed something."""
        return self.dynamodb.writes + self.s3.writes

    def stored(self) -> str:
        """Everything there is, to see that nothing changes."""
        pages = self.bench.client.get_paginator("scan").paginate(TableName=self.bench.table)
        items = sorted(repr(item) for page in pages for item in page["Items"])
        return "\n".join([*items, *self.bench.payload_keys()])


def _answer(call: ModelCall) -> ModelAnswer:
    messages = call.prompt.messages
    is_asked = any("pay x" in (m.content or "") for m in messages)
    is_new = not any(m.role == "assistant" for m in messages)
    return asks(ToolCall("c1", "pay", '{"amount":1}')) if is_asked and is_new else says("Done.")


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with mocked_aws(), pytest.MonkeyPatch.context() as patch:
        bench = DynamoDbBench()
        town = Town(bench)
        world = town.world
        wiring = wired(world)
        patch.setattr(current, "wiring", lambda: wiring)
        town.settle()
        town.settled = town.stored()
        yield town
        assert town.stored() == town.settled
        bench.close()


def test_the_same_calls_with_ones_own_ids_are_answered(town: Town) -> None:
    for tenant in TENANTS:
        for task_id in town.tasks[tenant]:
            status, task = town.call(tenant, f"GET /v1/tasks/{task_id}")
            assert (status, task["goal"].startswith(f"canary-{tenant} ")) == (200, True)
        status, session = town.call(tenant, f"GET /v1/sessions/{session_of(tenant)}")
        assert (status, session["history_task_ids"]) == (200, town.tasks[tenant][:1])
        status, batch = town.call(tenant, f"GET /v1/batches/{town.batches[tenant]}")
        assert (status, batch["statuses"]) == (200, {"queued": 1})
        status, schedule = town.call(tenant, f"GET /v1/schedules/{town.schedules[tenant]}")
        assert (status, schedule["task"]["goal"]) == (200, f"canary-{tenant} hourly")
        (asked,) = town.call(tenant, "GET /v1/interrupts")[1]["interrupts"]
        assert asked["id"] == town.interrupts[tenant]
    assert len({task_id for ids in town.tasks.values() for task_id in ids}) == 9
    assert town.dynamodb.requests > 0
    assert town.s3.requests > 0


@settings(max_examples=CASES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_foreign_id_is_answered_404_in_every_call_and_changes_nothing(
    town: Town, data: st.DataObject
) -> None:
    caller, victim = data.draw(st.permutations(TENANTS))[:2]
    route = data.draw(st.sampled_from(BY_ID))
    task_id = data.draw(st.sampled_from(town.tasks[victim]))
    interrupt_id = town.interrupts[victim]
    if ("{interrupt_id}" in route or "{delivery_id}" in route) and data.draw(st.booleans()):
        task_id = data.draw(st.sampled_from(town.tasks[caller]))  # one's own task, another's rest
    path = route.replace("{task_id}", task_id).replace("{interrupt_id}", interrupt_id)
    path = path.replace("{delivery_id}", town.deliveries[victim])
    path = path.replace("{session_id}", session_of(victim))
    path = path.replace("{namespace}", f"user:{user_of(victim)}")
    path = path.replace("{key}", f"{user_of(victim)}-diet")
    path = path.replace("{batch_id}", town.batches[victim])
    path = path.replace("{schedule_id}", town.schedules[victim])
    assert "{" not in path, "a new kind of id: let the tenants swap it too"
    body = data.draw(st.sampled_from(BODIES.get(route, [None])))
    event(route)
    before = town.writes()
    status, problem = town.call(caller, path, body=body)
    assert (status, problem["code"]) == (404, "not_found")
    assert victim not in json.dumps(problem).replace(task_id, "").replace(caller, "")
    assert town.is_unchanged(since=before)


@pytest.mark.parametrize("route", sorted(set(LISTS) - {"GET /v1/usage"}))
def test_a_cursor_of_another_tenant_is_refused_by_every_list(town: Town, route: str) -> None:
    for caller in TENANTS:
        for other in set(TENANTS) - {caller}:
            query = {"cursor": town.cursors[other]}
            status, problem = town.call(caller, route, query=query)
            assert (status, problem["code"]) == (400, "invalid_request")
    status, page = town.call(TENANTS[0], LISTS[0], query={"cursor": town.cursors[TENANTS[0]]})
    assert (status, len(page["tasks"])) == (200, 3)


@settings(max_examples=CASES // 10, deadline=None)
@given(data=st.data())
def test_a_namespace_of_the_same_name_is_another_one_for_every_tenant(
    town: Town, data: st.DataObject
) -> None:
    caller, victim = data.draw(st.permutations(TENANTS))[:2]
    key = f"{user_of(victim)}-diet"
    name = f"/v1/memory/user:{user_of(victim)}"
    query = {data.draw(st.sampled_from(["query", "prefix"])): data.draw(st.sampled_from([key, ""]))}
    assert town.call(caller, f"GET {name}", query=query)[1]["memories"] == []
    assert town.call(caller, f"PUT {name}/{key}", body={"value": "mine"})[1]["version"] == 1
    assert town.call(caller, f"GET {name}/{key}")[1]["value"] == "mine"
    assert town.call(caller, f"DELETE {name}")[1]["deleted_memories"] == 1
    assert town.call(victim, f"GET {name}/{key}")[1]["value"] == f"canary-{victim} "
    assert town.stored() == town.settled


@settings(max_examples=CASES // 2, deadline=None)
@given(data=st.data())
def test_a_list_holds_ones_own_alone_with_whatever_cursor_and_filter(
    town: Town, data: st.DataObject
) -> None:
    caller, other = data.draw(st.permutations(TENANTS))[:2]
    route = data.draw(st.sampled_from(LISTS))
    texts = st.sampled_from([town.cursors[other], *town.tasks[other], other, f"TENANT#{other}"])
    names = st.sampled_from(["cursor", "agent", "user_id", "by", "limit"])
    query = data.draw(st.dictionaries(names, texts | st.sampled_from(["user", "2"]), max_size=2))
    event(route)
    status, page = town.call(caller, route, query=query)
    assert status in {200, 400}
    if status == 200:
        told = json.dumps(page)
        foreign = [*town.tasks[other], town.interrupts[other], f"canary-{other} "]
        assert not [word for word in foreign if word in told]
