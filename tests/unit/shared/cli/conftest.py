"""A Ratchet API that answers from a script, and a way to run commands against it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from ratchet.cli import main

URL, KEY = "http://api.test", "key-1"
TASK_ID = "task_01J8Z0000000000000000000AB"
Answer = httpx.Response | Callable[[httpx.Request], httpx.Response]


def usage(total: int = 100, cached: int = 0) -> dict[str, int]:
    return {
        "input_tokens": total,
        "cached_tokens": cached,
        "output_tokens": 0,
        "reasoning_tokens": 0,
        "cache_write_tokens": 0,
    }


def task(status: str = "succeeded", steps: int = 2, **changes: Any) -> dict[str, Any]:
    return {
        "task_id": TASK_ID,
        "status": status,
        "agent": "research",
        "agent_version": "abc",
        "goal": "What size battery?",
        "user_id": None,
        "metadata": {},
        "created_at": "2026-01-01T00:00:00.000Z",
        "updated_at": "2026-01-01T00:00:01.500Z",
        "progress": {"steps": steps, "next_step": None},
        "limits": {
            "max_cost_usd": 0.5,
            "max_steps": 30,
            "max_tokens": 1000000,
            "deadline_seconds": 900,
        },
        "result": {"answer": "195 Ah", "sources": ["sizing", "safety"]}
        if status == "succeeded"
        else None,
        "interrupts": [],
        "error": None,
        "usage": usage(1234, 1000),
        "cost_usd": 0.001234,
        "complexity": None,
        "complexity_source": None,
        "parent": None,
        "cost": None,
        "waiting_for": None,
        "session_id": None,
        "schedule_id": None,
        **changes,
    }


def step(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "number": number,
        "type": "tool_dispatch",
        "complexity": "simple",
        "purpose": "work",
        "route": "tool_dispatch simple",
        "model": "gpt-4o-mini",
        "reason": "preferred",
        "tools": [
            {"call_id": "c1", "name": "search_documents", "ok": True, "duration_ms": 3},
            {"call_id": "c2", "name": "search_documents", "ok": False, "duration_ms": 3},
        ],
        "usage": usage(617, 500),
        "expected_cached_tokens": 0,
        "lost_cost_usd": 0.0,
        "lost_tokens": 0,
        "cost_usd": 0.000617,
        "attempt": 0,
        "started_at": "2026-01-01T00:00:00.000Z",
        "duration_ms": 40,
        "agent_version": "0123456789ab",
        "complexity_source": "plan",
        "cached": None,
        "cached_from": None,
        **changes,
    }


def steps(*listed: dict[str, Any]) -> dict[str, Any]:
    return {"task_id": TASK_ID, "steps": list(listed)}


def ok(body: Any) -> httpx.Response:
    return httpx.Response(200, json=body)


@dataclass
class FakeApi:
    """Answers each route from its list; the last answer stays."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    def on(self, route: str, *answers: Answer) -> None:
        self.answers[route] = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self.answers.get(f"{request.method} {request.url.path}")
        if not answers:
            raise AssertionError(f"no answer for {request.method} {request.url}")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer(request) if callable(answer) else answer

    @property
    def last_json(self) -> Any:
        return json.loads(self.requests[-1].content)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("RATCHET_API_URL", "RATCHET_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the commands would have slept."""
    slept: list[float] = []
    monkeypatch.setattr("ratchet.cli.client.time.sleep", slept.append)
    return slept


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> FakeApi:
    fake = FakeApi()
    monkeypatch.setenv("RATCHET_API_URL", URL)
    monkeypatch.setenv("RATCHET_API_KEY", KEY)
    plain = httpx.Client

    def mocked(**options: Any) -> httpx.Client:
        return plain(**{**options, "transport": httpx.MockTransport(fake)})

    monkeypatch.setattr("ratchet.cli.client.httpx.Client", mocked)
    return fake


@pytest.fixture
def ratchet(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs one command as the shell would."""

    def command(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as exited:
            main.run(arguments)
        captured = capsys.readouterr()
        code = exited.value.code
        return Outcome(code if isinstance(code, int) else int(code or 0), *captured)

    return command
