"""Executors and scripted providers in virtual time: who is asked when, and how often the answer is 429.

A provider here is strict: it looks at the last sixty seconds, and refuses the call that would pass its requests or
its tokens. A 429 costs it nothing. Sandboxes are reused, last used first, and a step that is told to wait comes back
after whole seconds and the start of a sandbox, as from a Wait state.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from ratchet.app.provider_chat import ProviderChat
from ratchet.contracts.errors import ModelError, ModelRejected, ModelThrottled, ModelUnavailable
from ratchet.domain.backoff import outage_wait_seconds, wait_seconds
from ratchet.domain.deployments import Deployment
from ratchet.domain.messages import Message
from ratchet.domain.models import Usage
from ratchet.domain.prompt import Prompt
from ratchet.model_ports import Embedding, EmbeddingCall, ModelAnswer, ModelCall
from ratchet.testing.provider_state import InMemoryProviders
from tests.simulation.scheduler import Life, Scheduler

START_MS = 1_767_225_600_000
MINUTE_MS = 60_000
INVOCATION_SECONDS = 290.0


@dataclass
class Script:
    """What a provider does."""

    rpm: int
    tpm: int
    answer_ms: tuple[int, int] = (500, 4_000)
    outages: Sequence[tuple[int, int]] = ()  # seconds, from and to: 503 after a second
    slow: Sequence[tuple[int, int]] = ()  # seconds, from and to: ten times as slow
    storms: Sequence[tuple[int, int]] = ()  # seconds, from and to: 429 to all, whatever they use


@dataclass
class Tally:
    """What a provider saw."""

    answers: int = 0
    tokens: int = 0
    throttled: int = 0
    failed: int = 0
    keys: Counter[str] = field(default_factory=Counter)

    @property
    def calls(self) -> int:
        return self.answers + self.throttled + self.failed


class Provider:
    """A `ChatModel` that keeps to a script."""

    def __init__(self, script: Script, scheduler: Scheduler, random: Random) -> None:
        self.script = script
        self.tally = Tally()
        self._scheduler = scheduler
        self._random = random
        self._minute: deque[tuple[int, int]] = deque()
        self._tokens = 0

    def complete(self, call: ModelCall) -> ModelAnswer:
        second = self._scheduler.now_ms // 1000
        if _within(second, self.script.outages):
            self._scheduler.sleep(1_000)
            self.tally.failed += 1
            raise ModelUnavailable("503")
        usage = self._usage(call)
        self._forget()
        until = next((end for start, end in self.script.storms if start <= second < end), None)
        if until is not None:
            self.tally.throttled += 1
            raise ModelThrottled("429", float(until - second))
        if self._is_over(usage):
            self.tally.throttled += 1
            raise ModelThrottled("429", 1.0)
        self._minute.append((self._scheduler.now_ms, usage.total_tokens))
        self._tokens += usage.total_tokens
        self.tally.answers += 1
        self.tally.tokens += usage.total_tokens
        self.tally.keys[call.sticky_key] += 1
        factor = 10 if _within(second, self.script.slow) else 1
        self._scheduler.sleep(self._random.randint(*self.script.answer_ms) * factor)
        return ModelAnswer("done", (), "stop", usage)

    def embed(self, call: EmbeddingCall) -> Embedding:
        raise ModelRejected("it has no embeddings")

    def _usage(self, call: ModelCall) -> Usage:
        """The estimate counts three bytes to a token, and English has four."""
        read = call.prompt.estimated_tokens() * 3 // 4
        return Usage(read, 0, min(int(self._random.expovariate(1 / 300)) + 20, 8192))

    def _forget(self) -> None:
        while self._minute and self._minute[0][0] <= self._scheduler.now_ms - MINUTE_MS:
            self._tokens -= self._minute.popleft()[1]

    def _is_over(self, usage: Usage) -> bool:
        tokens = self._tokens + usage.total_tokens
        return len(self._minute) >= self.script.rpm or tokens > self.script.tpm


class Clock:
    """The scheduler's time."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def now_ms(self) -> int:
        return START_MS + self._scheduler.now_ms

    def monotonic(self) -> float:
        return self._scheduler.now_ms / 1000

    def sleep(self, seconds: float) -> None:
        raise AssertionError("steps never sleep")


class Fleet:
    """Tasks on sandboxes."""

    def __init__(
        self, deployments: Sequence[Deployment], scripts: Sequence[Script], *, seed: int
    ) -> None:
        self.random = Random(seed)
        self.scheduler = Scheduler()
        self.state = InMemoryProviders()
        self.providers = {
            deployment.name: Provider(script, self.scheduler, self.random)
            for deployment, script in zip(deployments, scripts, strict=True)
        }
        self.deployments = deployments
        self.waits = 0
        self.finished = 0
        self.failovers = 0
        self.holding: set[str] = set()  # tasks with a place whose time is to come
        self.sandboxes = 0
        self._free: list[ProviderChat] = []

    def run(self, tasks: int, *, steps: int, seconds: int, over_seconds: int = 1) -> None:
        """Submit tasks over some seconds and let the time pass; who is not done then is cut off."""
        for number in range(tasks):
            arrives = number * over_seconds * 1000 // tasks
            self.scheduler.spawn(self._task(number, steps), Life("task"), delay_ms=arrives)
        self.scheduler.run(until_ms=seconds * 1000, is_over=lambda: True)
        self.scheduler.close()

    def tally(self, name: str) -> Tally:
        return self.providers[name].tally

    def share_of_429(self) -> float:
        tallies = [provider.tally for provider in self.providers.values()]
        return sum(t.throttled for t in tallies) / sum(t.calls for t in tallies)

    def used(self, name: str, *, seconds: int) -> float:
        """The larger share of the provider's two quotas, of the time when it answered at all."""
        provider = self.providers[name]
        script = provider.script
        minutes = (seconds - sum(b - a for a, b in (*script.outages, *script.storms))) / 60
        requests = provider.tally.answers / (provider.script.rpm * minutes)
        return max(requests, provider.tally.tokens / (provider.script.tpm * minutes))

    def writes_a_call(self) -> float:
        """Places that are still held were written, and their calls are to come."""
        calls = sum(provider.tally.calls for provider in self.providers.values())
        return self.state.requests["write"] / (calls + len(self.holding))

    def _task(self, number: int, steps: int) -> Callable[[], None]:
        def body() -> None:
            for step in range(1, steps + 1):
                self._step(f"task-{number}", step)
            self.finished += 1

        return body

    def _step(self, key: str, step: int) -> None:
        """The prompt grows with the steps."""
        text = "x" * (1_500 * step)
        prompt = Prompt((Message("user", text),), (), "none", None, "k")
        call = ModelCall("gpt-4o", prompt, 8192, INVOCATION_SECONDS, sticky_key=key)
        waits = waited = 0
        while True:
            self.scheduler.sleep(self.random.randint(20, 300))  # a sandbox starts, the step loads
            models = self._free.pop() if self._free else self._sandbox()
            try:
                answer = models.complete(call)
            except ModelError as exc:
                self._free.append(models)
                seconds = outage_wait_seconds(waited)
                if isinstance(exc, ModelThrottled):
                    seconds = wait_seconds(waits, retry_after=exc.retry_after_seconds)
                else:
                    waited += seconds
                waits += 1
                self.waits += 1
                call = replace(call, place=getattr(exc, "place", ""))
                if call.place:
                    self.holding.add(key)
                self.scheduler.sleep(seconds * 1000)
                self.holding.discard(key)
            else:
                self._free.append(models)
                self.failovers += bool(answer.passed_over)
                return

    def _sandbox(self) -> ProviderChat:
        self.sandboxes += 1
        return ProviderChat(
            self.deployments,
            clients=self.providers.__getitem__,
            elsewhere=next(iter(self.providers.values())),
            state=self.state,
            clock=Clock(self.scheduler),
        )


def _within(second: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= second < end for start, end in spans)
