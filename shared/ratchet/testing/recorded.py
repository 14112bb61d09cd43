"""Recorded answers: ask a real model once, commit the file, and play it in every test from then on.

    RecordedChat("tests/answers/refund.json")                       # plays; an unknown prompt fails the test
    RecordedChat("tests/answers/refund.json", record_from=a_model)  # asks `a_model` what the file lacks, and keeps it

`a_model` is any `ChatModel`; for an OpenAI-compatible server (also our scripted one) that is

    from ratchet.adapters.openai_chat import OpenAiChat
    from ratchet.adapters.system import SystemClock
    OpenAiChat(base_url, api_key=lambda fresh=False: "sk-...", clock=SystemClock())

Answers are kept by the prompt's digest, so the file fits every order of calls. It holds the answers and the last
message of each prompt, never a key. Errors of the model are passed on and not recorded.
"""

import json
import threading
from pathlib import Path
from typing import Any

from ratchet.domain.messages import ToolCall
from ratchet.domain.models import Usage
from ratchet.model_ports import ChatModel, ModelAnswer, ModelCall
from ratchet.testing.prompt_digest import UnknownPrompt, prompt_digest

VERSION = 1
_EXCERPT_CHARS = 200


class RecordedChat:
    """A `ChatModel` that plays a JSON file of answers, and may add to it."""

    def __init__(self, path: str | Path, *, record_from: ChatModel | None = None) -> None:
        self._path = Path(path)
        self._record_from = record_from
        self._lock = threading.Lock()
        self._entries = _read(self._path)

    def complete(self, call: ModelCall) -> ModelAnswer:
        """The recorded answer of the prompt; asks for it and records it when that is allowed.

        Raises:
            UnknownPrompt: the file has no answer, and there is no model to ask.
            ModelThrottled, ModelUnavailable, ModelRejected, ContextOverflow: of the model that is recorded.
        """
        digest = prompt_digest(call)
        entry = self._entries.get(digest)
        if entry is not None:
            return _decode(entry["answer"])
        if self._record_from is None:
            raise UnknownPrompt(
                f"{self._path} has no answer to this prompt for {call.model} (digest {digest}; last message: "
                f"{_last_message(call)!r}). The agent, its goal or its tools have changed: record again"
            )
        answer = self._record_from.complete(call)
        with self._lock:
            asked = {"model": call.model, "last_message": _last_message(call)}
            self._entries[digest] = {**asked, "answer": _encode(answer)}
            self._write()
        return answer

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        data = {"version": VERSION, "answers": self._entries}
        text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
        self._path.write_text(text, encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    data = json.loads(path.read_text(encoding="utf-8"))
    if data.get("version") != VERSION:
        raise ValueError(f"{path}: version {data.get('version')!r} of recorded answers is unknown")
    answers: dict[str, Any] = data["answers"]
    return answers


def _last_message(call: ModelCall) -> str:
    return (call.prompt.messages[-1].content or "")[:_EXCERPT_CHARS]


def _encode(answer: ModelAnswer) -> dict[str, Any]:
    usage = answer.usage
    return {
        "content": answer.content,
        "tool_calls": [[c.id, c.name, c.arguments] for c in answer.tool_calls],
        "finish_reason": answer.finish_reason,
        "usage": [
            usage.input_tokens,
            usage.cached_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
            usage.cache_write_tokens,
        ],
        "refusal": answer.refusal,
    }


def _decode(data: dict[str, Any]) -> ModelAnswer:
    return ModelAnswer(
        content=data["content"],
        tool_calls=tuple(ToolCall(*call) for call in data["tool_calls"]),
        finish_reason=data["finish_reason"],
        usage=Usage(*data["usage"]),
        refusal=data["refusal"],
    )
