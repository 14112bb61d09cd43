"""Keys: nothing that a caller chooses leaves its place."""

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.contracts.limits import MAX_STEPS_CAP
from ratchet.contracts.messages import TaskRef
from ratchet.domain import identifiers, keys

REF = TaskRef("acme", "task_01KDVDX3Z8Q4W6ERTY7P2ASDFG")
ids = st.text(string.ascii_letters + string.digits + "_.:@-", min_size=1, max_size=20).filter(
    lambda text: text[0].isalnum()
)
refs = st.builds(TaskRef, ids, ids)


@given(refs, refs)
def test_two_tasks_never_share_a_partition(one: TaskRef, other: TaskRef) -> None:
    assert (keys.task_key(one) == keys.task_key(other)) == (one == other)


@given(refs, ids)
def test_every_partition_begins_with_its_tenant(ref: TaskRef, key: str) -> None:
    start = keys.tenant_key(ref.tenant)
    assert keys.task_key(ref).startswith(f"{start}#TASK#")
    assert keys.idempotency_key(ref.tenant, key).startswith(f"{start}#IDEMPOTENCY#")


@given(refs)
def test_a_partition_names_its_task(ref: TaskRef) -> None:
    assert keys.ref_of(keys.task_key(ref)) == ref


def test_other_partitions_name_none() -> None:
    for key in (keys.idempotency_key("acme", "k"), keys.tenant_key("acme"), "", "DUE#1"):
        with pytest.raises(keys.UnsafeKey):
            keys.ref_of(key)


def test_executions_are_named_after_task_and_generation_within_the_80_characters_of_aws() -> None:
    assert identifiers.execution_name(REF, 1) == REF.task_id
    assert identifiers.execution_name(REF, 12) == f"{REF.task_id}-g12"
    assert len(identifiers.execution_name(REF, 10**9)) <= 80


@given(refs, refs)
def test_the_bodies_of_a_task_share_a_prefix_with_no_other_task(
    ref: TaskRef, other: TaskRef
) -> None:
    prefix = keys.payload_prefix(ref)
    assert keys.payload_key(other, "0" * 64).startswith(prefix) == (ref == other)


@given(st.text())
def test_an_id_is_either_refused_or_keeps_within_its_place(text: str) -> None:
    try:
        key = keys.task_key(TaskRef(text, REF.task_id))
    except keys.UnsafeKey:
        return
    assert key.split("#") == ["TENANT", text, "TASK", REF.task_id]
    assert text.isprintable()


@pytest.mark.parametrize(
    "text", ["", "a#b", "a b", "a\n", "\n", "ä", "-a", "a/b", "a" * 129, "a\x00"]
)
def test_ids_with_other_characters_are_refused(text: str) -> None:
    refusals: list[Callable[[], str]] = [
        lambda: keys.tenant_key(text),
        lambda: keys.task_key(TaskRef("acme", text)),
        lambda: keys.delivery_sort_key(text, "sns"),
        lambda: keys.payload_key(TaskRef(text, REF.task_id), "0" * 64),
    ]
    for refused in refusals:
        with pytest.raises(keys.UnsafeKey):
            refused()


@given(st.lists(st.integers(1, MAX_STEPS_CAP), min_size=2, max_size=20, unique=True))
def test_steps_sort_by_their_numbers_and_before_the_head(numbers: list[int]) -> None:
    ordered = [keys.step_sort_key(number) for number in sorted(numbers)]
    assert sorted(ordered) == ordered
    assert all(keys.STEP_PREFIX < key < keys.HEAD for key in ordered)


def test_effects_and_deliveries_lie_outside_the_range_that_a_load_reads() -> None:
    others = [keys.effect_sort_key(1, "k"), keys.delivery_sort_key("evt_1", "sns")]
    assert not any(keys.step_sort_key(1) <= key <= keys.HEAD for key in others)
    assert not any(keys.STEP_PREFIX <= key <= keys.HEAD for key in others)


@given(ids, st.text(), st.text())
def test_idempotency_keys_of_a_tenant_stay_apart(tenant: str, one: str, other: str) -> None:
    same = keys.idempotency_key(tenant, one) == keys.idempotency_key(tenant, other)
    assert same == (one == other)


@given(refs)
def test_a_task_is_always_due_in_the_same_shard(ref: TaskRef) -> None:
    shards = {f"DUE#{number}" for number in range(keys.DUE_SHARDS)}
    assert keys.due_key(ref) == keys.due_key(ref)
    assert keys.due_key(ref) in shards


def test_the_due_shards_are_all_used() -> None:
    refs = [TaskRef("acme", f"task_{number:026d}") for number in range(200)]
    assert len({keys.due_key(ref) for ref in refs}) == keys.DUE_SHARDS


def test_a_tool_gets_the_same_key_on_every_attempt_and_another_on_every_call() -> None:
    def key(**changes: object) -> str:
        values: dict[str, object] = {"step": 3, "index": 0, "name": "refund", **changes}
        ref = values.pop("ref", REF)
        assert isinstance(ref, TaskRef)
        step, index, name = values["step"], values["index"], values["name"]
        return identifiers.tool_call_key(ref, int(str(step)), int(str(index)), str(name))

    assert key() == key()
    others = [
        key(step=4),
        key(index=1),
        key(name="refunds"),
        key(ref=TaskRef("acme2", REF.task_id)),
        key(ref=TaskRef("acme", "task_2")),
    ]
    assert len({key(), *others}) == 6


def test_an_event_has_one_id_that_can_be_part_of_a_key() -> None:
    event = identifiers.event_id(REF, "task.succeeded", 7)
    assert event == "evt_01KDVDX3Z8Q4W6ERTY7P2ASDFG_7_task_succeeded"
    assert keys.delivery_sort_key(event, "sns") == f"DELIVERY#{event}#sns"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (REF.task_id, True),
        ("task_00000000000000000000000001", True),
        (REF.task_id + "\n", False),
        (REF.task_id.lower(), False),
        ("task_01KDVDX3Z8Q4W6ERTY7P2ASDF", False),
        ("task_01KDVDX3Z8Q4W6ERTY7P2ASDFU", False),
        ("01KDVDX3Z8Q4W6ERTY7P2ASDFG", False),
        ("", False),
    ],
)
def test_only_a_ulid_with_its_prefix_is_a_task_id(text: str, expected: bool) -> None:
    assert identifiers.is_task_id(text) is expected
