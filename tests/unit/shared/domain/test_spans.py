"""The names that spans use, and the ids that join them."""

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.semconv.schemas import Schemas

from ratchet.contracts.messages import StepInput, StepRef, TaskRef
from ratchet.contracts.names import Complexity, StepType
from ratchet.domain import spans

STEP = StepRef(3, StepType.REASONING, Complexity.SIMPLE)
REF = TaskRef("acme", "task_1")


def test_every_name_is_one_of_the_pinned_version_of_the_conventions() -> None:
    ours = {v for n, v in vars(spans).items() if n.isupper() and isinstance(v, str)}
    names = {v for v in ours if v.startswith(("gen_ai.", "error."))}
    assert len(names) >= 15
    official = {
        v
        for m in (gen_ai_attributes, error_attributes)
        for v in vars(m).values()
        if isinstance(v, str)
    }
    assert names <= official
    operations = {value.value for value in gen_ai_attributes.GenAiOperationNameValues}
    assert {spans.INVOKE_AGENT, spans.CHAT, spans.EXECUTE_TOOL} <= operations
    assert max(
        Schemas, key=lambda s: [int(n) for n in s.value.rpartition("/")[2].split(".")]
    ).value == (spans.SCHEMA_URL)


def test_the_trace_follows_from_the_task_and_is_nobody_elses() -> None:
    place = spans.task_place(REF)
    assert place == spans.task_place(TaskRef("acme", "task_1"))
    assert (len(place.trace_id), len(place.span_id), place.parent_id) == (32, 16, "")
    others = {
        spans.task_place(ref).trace_id
        for ref in (TaskRef("b", "task_1"), TaskRef("acme", "task_2"))
    }
    assert len({place.trace_id, *others}) == 3


def test_each_attempt_is_a_child_of_the_task_whoever_makes_it() -> None:
    first, again = (spans.attempt_place(StepInput(REF, STEP, attempt=n)) for n in (0, 1))
    root = spans.task_place(REF)
    assert first == spans.attempt_place(StepInput(REF, STEP))
    assert first.span_id != again.span_id
    assert {p.parent_id for p in (first, again)} == {root.span_id}
    assert {p.trace_id for p in (first, again)} == {root.trace_id}
