"""The model server without its sockets: a request in, a reply and a record out."""

import hmac
import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ratchet.testing import model_reply
from ratchet.testing.model_answer import Answer, Script
from ratchet.testing.model_catalogue import ModelCard
from ratchet.testing.model_conversation import Conversation
from ratchet.testing.model_errors import ApiError, bad_request
from ratchet.testing.model_faults import (
    SPOILING,
    Fault,
    FaultBook,
    FaultKind,
    context_length_exceeded,
)
from ratchet.testing.model_json import JsonObject, digest
from ratchet.testing.model_scenarios import ScenarioBook
from ratchet.testing.model_usage import PrefixCache, Usage, prompt_text, token_count
from ratchet.testing.model_wire import ChatRequest

TASK_HEADER = "x-ratchet-task"
_CUT = {FaultKind.TIMEOUT, FaultKind.RESET}


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it arrived and what became of it; `status` 0 means the connection was cut."""

    index: int
    path: str
    model: str = ""
    messages: tuple[JsonObject, ...] = ()
    tools: tuple[JsonObject, ...] = ()
    response_format: JsonObject | None = None
    body: JsonObject = field(default_factory=dict)
    conversation: str = ""
    step: str = ""
    turn: int = 0
    scenario: str | None = None
    fault: FaultKind | None = None
    status: int = 0
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send back: `body` at once, or `events` as a stream; `fault` may spoil the sending."""

    status: int
    body: JsonObject
    events: tuple[bytes, ...] = ()
    headers: Mapping[str, str] | None = None
    latency_ms: int = 0
    fault: FaultKind | None = None


class ModelService:
    """Answers requests; remembers only prompts, played faults and the record."""

    def __init__(self, book: ScenarioBook, *, api_key: str | None, log: Path | None) -> None:
        self.faults = FaultBook()
        self._book = book
        self._api_key = api_key
        self._log = log
        self._cache = PrefixCache()
        self._lock = threading.Lock()
        self._records: list[RecordedRequest] = []

    def requests(self) -> list[RecordedRequest]:
        """Every POST so far, in the order of arrival at the script."""
        with self._lock:
            return list(self._records)

    def get(self, path: str, headers: Mapping[str, str]) -> Reply:
        """Answer a GET."""
        try:
            self._refuse_wrong_key(headers)
            if path == "/v1/models":
                return Reply(200, model_reply.models())
            if path.startswith("/v1/models/"):
                return Reply(200, model_reply.model(path.removeprefix("/v1/models/")))
            raise _unknown_path("GET", path)
        except ApiError as exc:
            return Reply(exc.status, exc.body())

    def post(self, path: str, headers: Mapping[str, str], data: bytes) -> Reply:
        """Answer a POST and record it."""
        record = RecordedRequest(0, path)
        try:
            self._refuse_wrong_key(headers)
            body = _json_object(data)
            record = replace(
                record,
                model=str(body.get("model", "")),
                messages=_objects(body.get("messages")),
                tools=_objects(body.get("tools")),
                response_format=body.get("response_format"),
                body=body,
            )
            match path:
                case "/v1/chat/completions":
                    reply, record = self._chat(body, headers, record)
                case "/v1/embeddings":
                    reply = Reply(200, model_reply.embeddings(body))
                case _:
                    raise _unknown_path("POST", path)
        except ApiError as exc:
            reply = Reply(exc.status, exc.body())
        index = self._record(replace(record, status=0 if reply.fault in _CUT else reply.status))
        return replace(reply, headers={**(reply.headers or {}), "x-request-id": f"req_{index}"})

    def _chat(
        self, body: JsonObject, headers: Mapping[str, str], record: RecordedRequest
    ) -> tuple[Reply, RecordedRequest]:
        request = ChatRequest.parse(body)
        conversation = Conversation.of(request, headers.get(TASK_HEADER))
        offered = request.offered
        scenario, turn, groups = self._book.choose(
            conversation, model=request.model, offered=offered
        )
        fault = self.faults.take(conversation, request.model, scenario.named_faults())
        kind = fault.kind if fault else None
        record = replace(
            record,
            conversation=conversation.key,
            step=conversation.step,
            turn=conversation.turn,
            scenario=scenario.name,
            fault=kind,
        )
        latency_ms = turn.latency_ms + (fault.latency_ms if fault else 0)
        early = self._without_answer(fault, request.model)
        if early is not None:
            return replace(early, latency_ms=latency_ms), record
        spoilt_by = kind if kind in SPOILING else None
        answer = Script(request, conversation, groups).answer(turn, spoilt_by)
        usage = self._usage(request, body, answer)
        identity = digest(conversation.key, conversation.turn, conversation.repairs, request.model)
        reply = _reply(request, answer, identity, usage)
        return replace(reply, latency_ms=latency_ms, fault=kind), replace(record, usage=usage)

    def _without_answer(self, fault: Fault | None, model: str) -> Reply | None:
        if fault is None:
            return None
        error = fault.error(model)
        if error is not None:
            return Reply(error.status, error.body(), headers=fault.headers())
        return Reply(0, {}, fault=fault.kind) if fault.kind is FaultKind.TIMEOUT else None

    def _usage(self, request: ChatRequest, body: JsonObject, answer: Answer) -> Usage:
        prompt = prompt_text(body)
        window = ModelCard.named(request.model).context_window
        if token_count(prompt) > window:
            raise context_length_exceeded(f"{window} tokens")
        cached = self._cache.cached_tokens(
            prompt, model=request.model, cache_key=request.prompt_cache_key
        )
        return Usage(
            prompt_tokens=token_count(prompt),
            cached_tokens=cached,
            completion_tokens=answer.completion_tokens,
            reasoning_tokens=answer.reasoning_tokens,
        )

    def _refuse_wrong_key(self, headers: Mapping[str, str]) -> None:
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if self._api_key is not None and not hmac.compare_digest(
            given.encode(), self._api_key.encode()
        ):
            message = "Incorrect API key provided." if given else "You didn't provide an API key."
            raise ApiError(401, message, code="invalid_api_key")

    def _record(self, record: RecordedRequest) -> int:
        with self._lock:
            numbered = replace(record, index=len(self._records))
            self._records.append(numbered)
            if self._log is not None:
                with self._log.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(asdict(numbered)) + "\n")
            return numbered.index


def _reply(request: ChatRequest, answer: Answer, identity: str, usage: Usage) -> Reply:
    body = model_reply.completion(answer, identity=identity, model=request.model, usage=usage)
    if not request.stream:
        return Reply(200, body)
    shown = usage if request.stream_options and request.stream_options.include_usage else None
    parts = model_reply.chunks(answer, identity=identity, model=request.model, usage=shown)
    events = (*map(model_reply.sse, parts), model_reply.sse("[DONE]"))
    return Reply(200, body, events=events)


def _json_object(data: bytes) -> JsonObject:
    message = "We could not parse the JSON body of your request."
    try:
        body: Any = json.loads(data)
    except ValueError as exc:
        raise bad_request(message) from exc
    if not isinstance(body, dict):
        raise bad_request(message)
    return body


def _objects(value: Any) -> tuple[JsonObject, ...]:
    return (
        tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()
    )


def _unknown_path(method: str, path: str) -> ApiError:
    return ApiError(404, f"Invalid URL ({method} {path})")
