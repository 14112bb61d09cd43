"""How tasks and steps are written: compact JSON, deflated with a dictionary of our own field names.

A stored body is one version byte and the deflated JSON. Readers accept every version ever written; the dictionary of a
version never changes.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from ratchet.contracts.errors import DataMissing
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Complexity, StepType, TaskStatus
from ratchet.domain.messages import Message
from ratchet.domain.models import Usage
from ratchet.domain.steps import End, Failure, Step, StepRecord, StepResult, ToolRun, Totals
from ratchet.domain.task import Task, TaskLimits

SCHEMA_VERSION = 1

# Deflate finds these from the first byte on, which is worth about 250 bytes on a step of 600.
_DICTIONARY_1 = (
    b'"tool_call_id":"call_","role":"tool","content":"{\\"results\\":[{\\"id\\":\\"text\\":\\"title\\":'
    b'{"role":"user","content":"[ratchet:planning] [ratchet:reasoning] [ratchet:act] [ratchet:final] '
    b'{"status":"succeeded","output":{"answer":"sources":["failed","failure":{"code":"message":"'
    b'"metadata":{},"user_id":null,"webhook_url":null,"limits":{"max_steps":"max_cost_usd":'
    b'"max_tokens":"deadline_seconds":{"goal":"agent":"agent_version":"first_step":'
    b'"model":"o3-mini","model":"o3","model":"gpt-4o","model":"gpt-4o-mini","reason":"preferred",'
    b'"route":"planning simple","route":"final_synthesis complex","rating":null,'
    b'{"number":"type":"tool_dispatch","complexity":"simple","messages":[{"role":"assistant",'
    b'"tool_calls":[{"id":"call_","type":"function","function":{"name":"arguments":"{\\"query\\":\\"'
    b'"tool_runs":[["call_",true,"usage":["cost":"totals":["attempt":0,"at":["next":{"step":'
    b'["tool_dispatch","simple"]["reasoning","simple"]["final_synthesis","simple"]'
)
_DICTIONARIES = {1: _DICTIONARY_1}


def pack(data: Mapping[str, Any]) -> bytes:
    """Deflate a JSON object into a stored body."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    deflate = zlib.compressobj(level=6, wbits=-15, zdict=_DICTIONARIES[SCHEMA_VERSION])
    return bytes([SCHEMA_VERSION]) + deflate.compress(text) + deflate.flush()


def unpack(body: bytes) -> dict[str, Any]:
    """The JSON object of a stored body.

    Raises:
        DataMissing: the body is damaged or was written by a newer release.
    """
    dictionary = _DICTIONARIES.get(body[0]) if body else None
    if dictionary is None:
        raise DataMissing(
            "a stored body was written by a newer release; deploy that release or newer"
        )
    try:
        inflate = zlib.decompressobj(wbits=-15, zdict=dictionary)
        text = inflate.decompress(body[1:]) + inflate.flush()
        data: dict[str, Any] = json.loads(text)
    except (zlib.error, ValueError) as exc:
        raise DataMissing(f"a stored body is damaged: {exc}") from exc
    return data


def encode_record(record: StepRecord) -> dict[str, Any]:
    """A step as JSON; `decode_record` reads it back."""
    result = record.result
    return {
        "number": record.number,
        "type": result.type.value,
        "complexity": result.complexity.value,
        "messages": [m.to_chat() for m in result.messages],
        "tool_runs": [[r.call_id, r.name, r.ok, r.milliseconds] for r in result.tool_runs],
        "rating": result.rating,
        "model": result.model,
        "route": result.route,
        "reason": result.reason,
        "usage": _encode_usage(result.usage),
        "cost": result.cost_microusd,
        "totals": [
            record.totals.steps,
            record.totals.cost_microusd,
            *_encode_usage(record.totals.usage),
        ],
        "attempt": record.attempt,
        "at": [record.started_at_ms, record.finished_at_ms],
        "next": _encode_next(record.next),
    }


def decode_record(data: Mapping[str, Any]) -> StepRecord:
    """A step from its JSON."""
    steps, cost, *usage = data["totals"]
    return StepRecord(
        number=data["number"],
        result=StepResult(
            type=StepType(data["type"]),
            complexity=Complexity(data["complexity"]),
            messages=tuple(Message.from_chat(m) for m in data["messages"]),
            tool_runs=tuple(ToolRun(*run) for run in data["tool_runs"]),
            rating=Complexity(data["rating"]) if data["rating"] else None,
            model=data["model"],
            route=data["route"],
            reason=data["reason"],
            usage=Usage(*data["usage"]),
            cost_microusd=data["cost"],
        ),
        next=_decode_next(data["next"]),
        totals=Totals(steps, Usage(*usage), cost),
        attempt=data["attempt"],
        started_at_ms=data["at"][0],
        finished_at_ms=data["at"][1],
    )


def encode_task(task: Task) -> dict[str, Any]:
    """What was asked, as JSON; ids and times live in the item's own attributes."""
    return {
        "goal": task.goal,
        "agent": task.agent,
        "agent_version": task.agent_version,
        "first_step": [task.first_step.type.value, task.first_step.complexity.value],
        "limits": {
            "max_steps": task.limits.max_steps,
            "max_cost_usd": task.limits.max_cost_usd,
            "max_tokens": task.limits.max_tokens,
            "deadline_seconds": task.limits.deadline_seconds,
        },
        "user_id": task.user_id,
        "webhook_url": task.webhook_url,
        "metadata": dict(task.metadata),
    }


def decode_task(ref: TaskRef, created_at_ms: int, data: Mapping[str, Any]) -> Task:
    """What was asked, from its JSON."""
    type_, complexity = data["first_step"]
    return Task(
        ref=ref,
        goal=data["goal"],
        agent=data["agent"],
        agent_version=data["agent_version"],
        first_step=Step(StepType(type_), Complexity(complexity)),
        limits=TaskLimits(**data["limits"]),
        created_at_ms=created_at_ms,
        user_id=data["user_id"],
        webhook_url=data["webhook_url"],
        metadata=data["metadata"],
    )


def _encode_usage(usage: Usage) -> list[int]:
    return [usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens]


def _encode_next(following: Step | End) -> dict[str, Any]:
    if isinstance(following, Step):
        return {"step": [following.type.value, following.complexity.value]}
    failure = following.failure
    return {
        "status": following.status.value,
        "output": following.output,
        "failure": None if failure is None else {"code": failure.code, "message": failure.message},
    }


def _decode_next(data: Mapping[str, Any]) -> Step | End:
    if "step" in data:
        type_, complexity = data["step"]
        return Step(StepType(type_), Complexity(complexity))
    failure = data["failure"]
    return End(
        status=TaskStatus(data["status"]),
        output=data["output"],
        failure=None if failure is None else Failure(failure["code"], failure["message"]),
    )
