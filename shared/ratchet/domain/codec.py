"""How tasks and steps are written: compact JSON, deflated with a dictionary of our own field names.

A stored body is one version byte and the deflated JSON. Readers accept every version ever written: a body of an older
one is brought up to date by the upcasters between, one version at a time. The dictionary of a version never changes.
"""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ratchet.contracts.charge import Charge
from ratchet.contracts.errors import DataMissing, NewerRelease
from ratchet.contracts.limits import DEFAULT_PRIORITY
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import (
    Complexity,
    ComplexitySource,
    Purpose,
    StepType,
    TaskStatus,
)
from ratchet.contracts.pinned_routes import PinnedRoutes
from ratchet.domain.complexity import Rating
from ratchet.domain.messages import Message
from ratchet.domain.models import Usage
from ratchet.domain.pause_codec import (
    decode_decision,
    decode_interrupt,
    decode_step,
    encode_decision,
    encode_interrupt,
    encode_step,
    unusual,
)
from ratchet.domain.steps import (
    BudgetWarning,
    End,
    Failure,
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
from ratchet.domain.task import Fork, SessionPlace, Task, TaskLimits

SCHEMA_VERSION = 2

# Deflate finds these from the first byte on, which is worth about 300 bytes on a step of 900. The likeliest come last,
# as they lie in a step, since what is near costs fewer bits.
_DICTIONARY_1 = (
    b'{"role":"user","content":"[ratchet:planning] [ratchet:reasoning] [ratchet:final] [ratchet:act] '
    b'failover from ; repair escalated after unusable answers"cached_tokens":"result":"ok":true'
    b'"metadata":{"user_id":"webhook_url":"https://{"goal":"agent":"agent_version":"first_step":["planning","simple"],'
    b'"limits":{"max_steps":50,"max_cost_usd":1.0,"max_tokens":1000000,"deadline_seconds":3600},'
    b'"next":{"status":"failed","failure":{"code":"message":"the limit of '
    b'"next":{"status":"succeeded","output":{"answer":"sources":["'
    b'"model":"o3-mini","model":"o3","model":"gpt-4o","model":"gpt-5-mini","model":"gpt-4.1-mini",'
    b'"type":"planning","complexity":"complex","messages":["rating":"simple","attempt":1,'
    b'"type":"final_synthesis","complexity":"simple","type":"reasoning","complexity":"simple",'
    b'"next":{"step":["reasoning","simple"]}}"next":{"step":["final_synthesis","simple"]}}'
    b'{"results":[{\\"id\\":\\"name\\":\\"text\\":\\"title\\":\\"url\\":\\"error: '
    b'{"number":1,"type":"tool_dispatch","complexity":"simple","messages":[{"role":"assistant",'
    b'"content":"the and of to in is for that with on ","tool_calls":[{"id":"call_","type":"function",'
    b'"function":{"name":"","arguments":"{\\"query\\": \\""}"}}]},'
    b'{"role":"tool","tool_call_id":"call_","content":""}],"tool_runs":[["call_","",true,1]],'
    b'"model":"gpt-4o-mini","reason":"preferred","usage":[1,0,1],"cost":1,"totals":[1,"at":[17,"next":'
    b'{"step":["tool_dispatch","simple"]}}'
)
_DICTIONARIES = {1: _DICTIONARY_1, 2: _DICTIONARY_1}


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    """Version 2 keeps what a step may have cost beyond what is known (`lost`) beside its cost."""
    return {**data, "cost": [data["cost"]]} if "cost" in data else data


_UPCASTERS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}


def pack(data: Mapping[str, Any]) -> bytes:
    """Deflate a JSON object into a stored body."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    deflate = zlib.compressobj(level=6, wbits=-15, zdict=_DICTIONARIES[SCHEMA_VERSION])
    # Text is made valid where it enters; should a lone surrogate get here all the same, it must not cost the step.
    utf8 = text.encode("utf-8", "replace")
    return bytes([SCHEMA_VERSION]) + deflate.compress(utf8) + deflate.flush()


def unpack(body: bytes) -> dict[str, Any]:
    """The JSON object of a stored body, as the newest version would have written it.

    Raises:
        DataMissing: the body is damaged.
        NewerRelease: it was written by a newer release.
    """
    if not body:
        raise DataMissing("a stored body is damaged: it is empty")
    dictionary = _DICTIONARIES.get(body[0])
    if dictionary is None:
        raise NewerRelease(
            "a newer release than the one that runs this task has written what it goes on from; resume it with "
            '"upgrade": true (`ratchet resume ID --upgrade`), or deploy that release again'
        )
    try:
        inflate = zlib.decompressobj(wbits=-15, zdict=dictionary)
        text = inflate.decompress(body[1:]) + inflate.flush()
        data: dict[str, Any] = json.loads(text)
    except (zlib.error, ValueError) as exc:
        raise DataMissing(f"a stored body is damaged: {exc}") from exc
    if not isinstance(data, dict):
        raise DataMissing("a stored body is damaged: it is no JSON object")
    for version in range(body[0], SCHEMA_VERSION):
        data = _UPCASTERS[version](data)
    return data


def encode_record(record: StepRecord) -> dict[str, Any]:
    """A step as JSON, without what has its default value; `decode_record` reads it back."""
    totals = record.totals
    return {
        "number": record.number,
        **_encode_result(record.result),
        **_present({"attempt": record.attempt or None}),
        "totals": [totals.steps, totals.cost_microusd, *_encode_usage(totals.usage)],
        **_present({"lost_tokens": totals.lost_tokens or None}),
        **_present({"warned": _encode_warning(record.warning)}),
        **_present({"runs": _encode_runs(totals.runs) or None}),
        "at": [record.started_at_ms, record.finished_at_ms - record.started_at_ms],
        "next": _encode_next(record.next),
    }


def _encode_result(result: StepResult) -> dict[str, Any]:
    optional = {
        "messages": [m.to_chat() for m in result.messages] or None,
        "tool_runs": [[r.call_id, r.name, r.ok, r.milliseconds] for r in result.tool_runs] or None,
        "rating": result.rating,
        "model": result.model,
        "reason": result.reason or None,
        "agent_version": result.agent_version,
        "usage": _encode_usage(result.usage) or None,
        "cost": _encode_cost(result),
        "decision": None if result.decision is None else encode_decision(result.decision),
        "purpose": unusual(result.purpose),
        "untrusted": result.untrusted or None,
        "prefix": _trimmed(result.expected_cached_tokens, result.prompt_tokens) or None,
        "others": _encode_others(result.others),
        "cached": result.is_cached or None,
        "similar": [result.similar.task_id, result.similar.similarity] if result.similar else None,
    }
    usual_route = f"{result.type} {result.complexity}"
    return {
        "type": result.type.value,
        "complexity": result.complexity.value,
        **_present(optional),
        **({} if result.route == usual_route else {"route": result.route}),
    }


def decode_record(data: Mapping[str, Any]) -> StepRecord:
    """A step from its JSON."""
    steps, cost, *usage = data["totals"]
    started_at_ms, milliseconds = data["at"]
    return StepRecord(
        number=data["number"],
        result=_decode_result(data),
        next=_decode_next(data["next"]),
        totals=Totals(
            steps, Usage(*usage), cost, Runs(*data.get("runs", ())), data.get("lost_tokens", 0)
        ),
        attempt=data.get("attempt", 0),
        started_at_ms=started_at_ms,
        finished_at_ms=started_at_ms + milliseconds,
        warning=_decode_warning(data.get("warned")),
    )


def _encode_warning(warning: BudgetWarning | None) -> list[int] | None:
    return None if warning is None else [warning.limit_microusd, *warning.percents]


def _decode_warning(data: Sequence[int] | None) -> BudgetWarning | None:
    return None if data is None else BudgetWarning(data[0], tuple(data[1:]))


def _decode_result(data: Mapping[str, Any]) -> StepResult:
    expected, prompt = (*data.get("prefix", ()), 0, 0)[:2]
    return StepResult(
        type=StepType(data["type"]),
        complexity=Complexity(data["complexity"]),
        messages=tuple(Message.from_chat(m) for m in data.get("messages", ())),
        tool_runs=tuple(ToolRun(*run) for run in data.get("tool_runs", ())),
        rating=Complexity(data["rating"]) if "rating" in data else None,
        model=data.get("model"),
        route=data.get("route", f"{data['type']} {data['complexity']}"),
        reason=data.get("reason", ""),
        agent_version=data.get("agent_version"),
        usage=Usage(*data.get("usage", ())),
        **_decode_cost(data),
        decision=decode_decision(data["decision"]) if "decision" in data else None,
        purpose=Purpose(data.get("purpose", Purpose.WORK)),
        untrusted=data.get("untrusted", False),
        expected_cached_tokens=expected,
        prompt_tokens=prompt,
        others=_decode_others(data),
        is_cached=data.get("cached", False),
        similar=Similar(*data["similar"]) if "similar" in data else None,
    )


def encode_task(task: Task) -> dict[str, Any]:
    """What was asked, as JSON; ids and times live in the item's own attributes."""
    optional: dict[str, Any] = {
        "user_id": task.user_id,
        "webhook_url": task.webhook_url,
        "metadata": dict(task.metadata) or None,
        "model": task.model,
        "fork": None if task.fork is None else _encode_fork(task.fork),
        "rating": [task.rating.complexity, task.rating.source] if task.rating else None,
        "routes": None if task.routes is None else task.routes.to_json(),
        "priority": None if task.priority == DEFAULT_PRIORITY else task.priority,
        "session": [task.session.session_id, task.session.number] if task.session else None,
        "earlier": None if task.earlier is None else [m.to_chat() for m in task.earlier],
        "earlier_untrusted": task.earlier_untrusted or None,
        "schedule": task.schedule_id,
    }
    return {
        "goal": task.goal,
        "agent": task.agent,
        "agent_version": task.agent_version,
        "first_step": encode_step(task.first_step),
        "limits": {
            "max_steps": task.limits.max_steps,
            "max_cost_usd": task.limits.max_cost_usd,
            "max_tokens": task.limits.max_tokens,
            "deadline_seconds": task.limits.deadline_seconds,
        },
        **_present(optional),
    }


def decode_task(ref: TaskRef, created_at_ms: int, data: Mapping[str, Any]) -> Task:
    """What was asked, from its JSON."""
    return Task(
        ref=ref,
        goal=data["goal"],
        agent=data["agent"],
        agent_version=data["agent_version"],
        first_step=decode_step(data["first_step"]),
        limits=TaskLimits(**data["limits"]),
        created_at_ms=created_at_ms,
        user_id=data.get("user_id"),
        webhook_url=data.get("webhook_url"),
        metadata=data.get("metadata", {}),
        model=data.get("model"),
        fork=_decode_fork(data["fork"]) if "fork" in data else None,
        rating=_decode_rating(data["rating"]) if "rating" in data else None,
        routes=PinnedRoutes.from_json(data["routes"]) if "routes" in data else None,
        priority=data.get("priority", DEFAULT_PRIORITY),
        session=SessionPlace(*data["session"]) if "session" in data else None,
        earlier=tuple(map(Message.from_chat, data["earlier"])) if "earlier" in data else None,
        earlier_untrusted=data.get("earlier_untrusted", False),
        schedule_id=data.get("schedule"),
    )


def _decode_rating(data: Sequence[str]) -> Rating:
    complexity, source = data
    return Rating(Complexity(complexity), ComplexitySource(source))


def _encode_fork(fork: Fork) -> dict[str, Any]:
    inherited = [_encode_result(result) for result in fork.inherited]
    return {"parent": fork.parent_task_id, "step": fork.step, "inherited": inherited}


def _decode_fork(data: Mapping[str, Any]) -> Fork:
    inherited = tuple(_decode_result(result) for result in data["inherited"])
    return Fork(data["parent"], data["step"], inherited)


def _present(optional: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in optional.items() if value is not None}


def _encode_usage(usage: Usage) -> list[int]:
    counts = [usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens]
    return _trimmed(*counts, usage.cache_write_tokens)  # 0.1.0 wrote no more than four


def _encode_runs(runs: Runs) -> list[int]:
    attempts = [runs.milliseconds, runs.waits, runs.retries, runs.unsafe_calls, runs.idle]
    return _trimmed(*attempts, runs.seats, runs.cache_reads, runs.cache_writes)


def _trimmed(*counts: int) -> list[int]:
    """The counts up to the last that is not 0."""
    kept = list(counts)
    while kept and not kept[-1]:
        kept.pop()
    return kept


def _encode_others(others: Sequence[ModelUse]) -> list[list[Any]] | None:
    return [[o.model, o.cost_microusd, *_encode_usage(o.usage)] for o in others] or None


def _decode_others(data: Mapping[str, Any]) -> tuple[ModelUse, ...]:
    return tuple(
        ModelUse(model, Usage(*usage), cost) for model, cost, *usage in data.get("others", ())
    )


def _encode_cost(spent: StepResult | StepPlan) -> list[int] | None:
    dollars = (spent.cost_microusd, spent.lost.microusd, spent.reserved.microusd)
    return _trimmed(*dollars, spent.lost.tokens, spent.reserved.tokens) or None


def _decode_cost(data: Mapping[str, Any]) -> dict[str, Any]:
    cost, lost, reserved, *tokens = (*data.get("cost", ()), 0, 0, 0, 0, 0)[:5]
    return {
        "cost_microusd": cost,
        "lost": Charge(lost, tokens[0]),
        "reserved": Charge(reserved, tokens[1]),
    }


def encode_plan(plan: StepPlan) -> dict[str, Any]:
    """What an attempt was about to do, as JSON; its owner lives in the item's own attribute."""
    optional = {
        "model": plan.model,
        "reason": plan.reason or None,
        "usage": _encode_usage(plan.usage) or None,
        "cost": _encode_cost(plan),
        "others": _encode_others(plan.others),
    }
    return {"messages": [plan.message.to_chat()], **_present(optional)}


def decode_plan(owner: str, data: Mapping[str, Any]) -> StepPlan:
    """What an attempt was about to do, from its JSON."""
    return StepPlan(
        owner=owner,
        message=Message.from_chat(data["messages"][0]),
        model=data.get("model"),
        reason=data.get("reason", ""),
        usage=Usage(*data.get("usage", ())),
        others=_decode_others(data),
        **_decode_cost(data),
    )


def _encode_next(following: Step | Paused | End) -> dict[str, Any]:
    if isinstance(following, Step):
        return {"step": encode_step(following)}
    if isinstance(following, Paused):
        return {
            "asks": [encode_interrupt(interrupt) for interrupt in following.interrupts],
            "then": encode_step(following.then),
        }
    data: dict[str, Any] = {"status": following.status.value}
    if following.output is not None:
        data["output"] = following.output
    if following.failure is not None:
        failure = following.failure
        data["failure"] = {"code": failure.code, "message": failure.message}
    return data


def _decode_next(data: Mapping[str, Any]) -> Step | Paused | End:
    if "step" in data:
        return decode_step(data["step"])
    if "asks" in data:
        asks = tuple(decode_interrupt(asked) for asked in data["asks"])
        return Paused(asks, decode_step(data["then"]))
    failure = data.get("failure")
    return End(
        status=TaskStatus(data["status"]),
        output=data.get("output"),
        failure=None if failure is None else Failure(failure["code"], failure["message"]),
    )
