"""The codec: everything reads back equal, and nothing damaged is read as something else."""

import json
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.contracts.charge import Charge
from ratchet.contracts.errors import DataMissing
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import (
    Complexity,
    ComplexitySource,
    InterruptKind,
    Json,
    Purpose,
    StepType,
    TaskStatus,
)
from ratchet.contracts.pinned_routes import PinnedRoutes
from ratchet.domain import codec
from ratchet.domain.complexity import Rating
from ratchet.domain.messages import Message, ToolCall
from ratchet.domain.models import Usage
from ratchet.domain.steps import (
    Decision,
    End,
    Failure,
    HeldCall,
    Interrupt,
    ModelUse,
    Paused,
    Runs,
    Similar,
    Step,
    StepPlan,
    StepRecord,
    StepResult,
    ToolRun,
    Totals,
)
from ratchet.domain.task import Fork, Task, TaskLimits

texts = st.text(max_size=60)
counts = st.integers(0, 10**12)
maybe = st.none() | texts
json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
usages = st.builds(Usage, counts, counts, counts, counts, counts)
purposes = st.sampled_from(Purpose)
held = st.builds(HeldCall, texts, texts, texts, counts, texts)
steps = st.builds(
    Step,
    st.sampled_from(StepType),
    st.sampled_from(Complexity),
    purposes,
    st.lists(held, max_size=2).map(tuple),
)
calls = st.builds(ToolCall, texts, texts, texts)
messages = st.one_of(
    st.builds(Message, st.sampled_from(["system", "user"]), texts),
    st.builds(Message, st.just("assistant"), maybe, st.lists(calls, min_size=1).map(tuple)),
    st.builds(Message, st.just("assistant"), texts),
    st.builds(Message, st.just("tool"), texts, tool_call_id=texts),
)
interrupts = st.builds(
    Interrupt,
    texts,
    st.sampled_from(InterruptKind),
    texts,
    texts,
    st.lists(texts, max_size=3).map(tuple),
    counts,
    st.none() | held,
)
pauses = st.builds(Paused, st.lists(interrupts, min_size=1, max_size=3).map(tuple), steps)
others = st.lists(st.builds(ModelUse, texts, usages, counts), max_size=2).map(tuple)
charges = st.builds(Charge, counts, counts)
plans = st.builds(
    StepPlan, st.just("me"), messages, maybe, texts, usages, counts, others, charges, charges
)
ends = st.builds(
    End,
    st.sampled_from([status for status in TaskStatus if status.is_terminal]),
    output=json_values,
    failure=st.none() | st.builds(Failure, texts, texts),
)
results = st.builds(
    StepResult,
    type=st.sampled_from(StepType),
    complexity=st.sampled_from(Complexity),
    messages=st.lists(messages, max_size=4).map(tuple),
    tool_runs=st.lists(st.builds(ToolRun, texts, texts, st.booleans(), counts), max_size=3).map(
        tuple
    ),
    rating=st.none() | st.sampled_from(Complexity),
    model=maybe,
    route=texts,
    reason=texts,
    agent_version=maybe,
    usage=usages,
    cost_microusd=counts,
    lost=charges,
    reserved=charges,
    decision=st.none() | st.builds(Decision, texts, texts, maybe, texts, texts, texts),
    purpose=purposes,
    untrusted=st.booleans(),
    expected_cached_tokens=counts,
    prompt_tokens=counts,
    others=others,
    is_cached=st.booleans(),
    similar=st.none() | st.builds(Similar, texts, st.floats(0, 1)),
)
records = st.builds(
    StepRecord,
    number=st.integers(1, 5_000),
    result=results,
    next=steps | ends | pauses,
    totals=st.builds(
        Totals,
        counts,
        usages,
        counts,
        st.builds(Runs, *[counts] * 8),
        counts,
    ),
    attempt=counts,
    started_at_ms=counts,
    finished_at_ms=counts,
)
models = st.lists(texts, min_size=1, max_size=3).map(tuple)
tables = st.builds(
    PinnedRoutes,
    st.fixed_dictionaries({step: st.tuples(models, models) for step in StepType}),
    st.booleans(),
)
tasks = st.builds(
    Task,
    ref=st.just(TaskRef("acme", "task_1")),
    goal=texts,
    agent=texts,
    agent_version=texts,
    first_step=steps,
    limits=st.builds(TaskLimits, counts, st.floats(0, 1e6), counts, counts),
    created_at_ms=counts,
    user_id=maybe,
    webhook_url=maybe,
    metadata=st.dictionaries(texts, texts, max_size=4),
    model=maybe,
    fork=st.none()
    | st.builds(Fork, texts, st.integers(0, 5_000), st.lists(results, max_size=3).map(tuple)),
    rating=st.none()
    | st.builds(Rating, st.sampled_from(Complexity), st.sampled_from(ComplexitySource)),
    routes=st.none() | tables,
    earlier_untrusted=st.booleans(),
)


@given(records)
def test_a_step_reads_back_equal(record: StepRecord) -> None:
    body = codec.pack(codec.encode_record(record))
    assert codec.decode_record(codec.unpack(body)) == record


@given(records)
def test_a_step_from_before_lost_tokens_were_counted_has_none(record: StepRecord) -> None:
    data = codec.encode_record(record)
    data.pop("lost_tokens", None)
    if "cost" in data:
        data["cost"] = data["cost"][:3]
    read, result = codec.decode_record(data), record.result
    assert read.totals == replace(record.totals, lost_tokens=0)
    assert read.result.lost == Charge(result.lost.microusd)
    assert read.result.reserved == Charge(result.reserved.microusd)
    assert read.result.cost_microusd == result.cost_microusd


@given(tasks)
def test_a_task_reads_back_equal(task: Task) -> None:
    body = codec.pack(codec.encode_task(task))
    assert codec.decode_task(task.ref, task.created_at_ms, codec.unpack(body)) == task


@given(plans)
def test_a_plan_reads_back_equal(plan: StepPlan) -> None:
    body = codec.pack(codec.encode_plan(plan))
    assert codec.decode_plan("me", codec.unpack(body)) == plan


@given(st.integers(1, 10**12))
def test_a_body_of_version_1_is_brought_up_to_date(cost: int) -> None:
    """Version 1 kept the cost as a number. tests/golden has whole tasks that it wrote."""
    body = bytes([1]) + codec.pack({"number": 7, "cost": cost})[1:]
    assert codec.unpack(body) == {"number": 7, "cost": [cost]}
    assert codec.unpack(bytes([1]) + codec.pack({"number": 7})[1:]) == {"number": 7}


@given(st.dictionaries(texts, json_values, max_size=5))
def test_any_json_object_reads_back_equal(data: dict[str, Json]) -> None:
    assert codec.unpack(codec.pack(data)) == data


@given(records)
def test_packing_is_the_same_every_time(record: StepRecord) -> None:
    data = codec.encode_record(record)
    assert codec.pack(data) == codec.pack(data)


@given(st.binary(max_size=200))
def test_other_bytes_are_missing_data_never_another_error(body: bytes) -> None:
    try:
        data = codec.unpack(body)
    except DataMissing:
        return
    assert isinstance(data, dict | list | str | int | float | None)


@given(records, st.data())
def test_a_cut_body_is_missing_data(record: StepRecord, data: st.DataObject) -> None:
    body = codec.pack(codec.encode_record(record))
    kept = data.draw(st.integers(0, len(body) - 3))
    with pytest.raises(DataMissing):
        codec.unpack(body[:kept])


def test_a_body_of_a_newer_release_says_what_to_do() -> None:
    body = codec.pack({"a": 1})
    with pytest.raises(DataMissing, match="newer release"):
        codec.unpack(bytes([codec.SCHEMA_VERSION + 1]) + body[1:])


def test_the_first_byte_is_the_version_that_chose_the_dictionary() -> None:
    body = codec.pack({"goal": "x"})
    assert body[0] == codec.SCHEMA_VERSION == 2
    with pytest.raises(zlib.error):
        zlib.decompressobj(wbits=-15).decompress(body[1:])


def test_what_has_its_default_value_is_left_out() -> None:
    step = Step(StepType.REASONING, Complexity.SIMPLE)
    result = StepResult(StepType.REASONING, Complexity.SIMPLE, route="reasoning simple")
    record = StepRecord(3, result, step, Totals(2), 0, 1_767_225_600_000, 1_767_225_601_500)
    assert codec.encode_record(record) == {
        "number": 3,
        "type": "reasoning",
        "complexity": "simple",
        "totals": [2, 0],
        "at": [1_767_225_600_000, 1_500],
        "next": {"step": ["reasoning", "simple"]},
    }
    assert codec.decode_record(codec.encode_record(record)) == record


def test_a_step_without_a_route_is_not_read_as_one_with_the_usual_route() -> None:
    step = Step(StepType.REASONING, Complexity.SIMPLE)
    result = StepResult(StepType.REASONING, Complexity.SIMPLE)
    record = StepRecord(3, result, step, Totals(2), 0, 5, 5)
    assert codec.decode_record(codec.encode_record(record)).result.route == ""


def test_a_task_without_the_optional_fields_is_what_was_asked_and_no_more() -> None:
    task = Task(
        TaskRef("acme", "task_1"),
        "Do it.",
        "helper",
        "abc",
        Step(StepType.PLANNING, Complexity.SIMPLE),
        TaskLimits(),
        5,
    )
    data = codec.encode_task(task)
    assert set(data) == {"goal", "agent", "agent_version", "first_step", "limits"}
    assert codec.decode_task(task.ref, 5, data) == task


def test_a_fork_is_stored_with_what_it_inherits_in_the_form_of_steps() -> None:
    said = Message("user", "[ratchet:fork] Be brief.")
    inherited = StepResult(
        StepType.REASONING, Complexity.SIMPLE, messages=(said,), route="reasoning simple"
    )
    task = Task(
        TaskRef("acme", "task_2"),
        "Do it.",
        "helper",
        "abc",
        Step(StepType.PLANNING, Complexity.SIMPLE),
        TaskLimits(),
        5,
        model="o3",
        fork=Fork("task_1", 4, (inherited,)),
    )
    stored = {
        **codec.encode_task(replace(task, model=None, fork=None)),
        "model": "o3",
        "fork": {
            "parent": "task_1",
            "step": 4,
            "inherited": [
                {
                    "type": "reasoning",
                    "complexity": "simple",
                    "messages": [{"role": "user", "content": "[ratchet:fork] Be brief."}],
                }
            ],
        },
    }
    assert codec.encode_task(task) == stored
    assert codec.decode_task(task.ref, 5, stored) == task


def test_a_lone_surrogate_is_stored_as_a_question_mark_and_costs_nothing_else() -> None:
    assert codec.unpack(codec.pack({"text": "a\ud800b"})) == {"text": "a?b"}


def test_a_usual_step_is_far_smaller_than_its_json() -> None:
    message = Message("assistant", None, (ToolCall("call_1", "search", '{"query": "x"}'),))
    result = StepResult(StepType.TOOL_DISPATCH, Complexity.SIMPLE, messages=(message,))
    step = Step(StepType.REASONING, Complexity.SIMPLE)
    record = StepRecord(1, result, step, Totals(), 0, 1_767_225_600_000, 1_767_225_601_000)
    text = json.dumps(codec.encode_record(record))
    assert len(codec.pack(codec.encode_record(record))) < len(text) / 3


def test_usage_without_cache_writes_is_written_as_by_the_first_release() -> None:
    result = StepResult(StepType.REASONING, Complexity.SIMPLE, usage=Usage(10, 4, 5, 1))
    totals = Totals(1, Usage(10, 4, 5, 1), 7)
    record = StepRecord(1, result, Step(StepType.REASONING, Complexity.SIMPLE), totals, 0, 0, 1)
    data = codec.encode_record(record)
    assert (data["usage"], data["totals"]) == ([10, 4, 5, 1], [1, 7, 10, 4, 5, 1])
    assert codec.decode_record(data) == record


def test_what_the_runs_took_is_left_out_where_nothing_is_known() -> None:
    result = StepResult(StepType.REASONING, Complexity.SIMPLE)
    following = Step(StepType.REASONING, Complexity.SIMPLE)
    record = StepRecord(1, result, following, Totals(1), 0, 0, 1)
    assert "runs" not in codec.encode_record(record)
    timed = replace(record, totals=Totals(1, runs=Runs(1_234, unsafe_calls=2)))
    assert codec.encode_record(timed)["runs"] == [1_234, 0, 0, 2]
    assert codec.decode_record(codec.encode_record(timed)) == timed


def test_cache_writes_come_last() -> None:
    usage = Usage(10, 4, 5, 0, cache_write_tokens=3)
    result = StepResult(StepType.REASONING, Complexity.SIMPLE, usage=usage)
    following = Step(StepType.REASONING, Complexity.SIMPLE)
    record = StepRecord(1, result, following, Totals(1, usage, 7), 0, 0, 1)
    data = codec.encode_record(record)
    assert data["usage"] == [10, 4, 5, 0, 3]
    assert codec.decode_record(data) == record
