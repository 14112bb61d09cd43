"""Lambda: invoke a function, now or later."""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Thread

from ratchet.local.endpoint import Endpoint
from ratchet.local.functions.invocation import Invocation
from ratchet.local.functions.model import (
    AsyncPolicy,
    FunctionConfig,
    FunctionRegistry,
    Throttled,
    split_reference,
)
from ratchet.local.functions.pool import SandboxPool
from ratchet.local.functions.sandbox import LogSink, Sandbox
from ratchet.local.json_types import JsonObject

_KEPT_LOG_LINES = 2000
_THROTTLE_PAUSE_SECONDS = 0.5

Delivery = Callable[[str, JsonObject], None]


class FunctionService:
    """The functions of the stack and the sandboxes that run them."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        worker_env: Mapping[str, str],
        max_sandboxes: int,
        retry_delays: tuple[float, ...],
        on_log: LogSink | None,
    ) -> None:
        self.registry = FunctionRegistry()
        self.deliver: Delivery = _nowhere
        self._endpoint = endpoint
        self._worker_env = worker_env
        self._retry_delays = retry_delays
        self._on_log = on_log
        self._lines: defaultdict[str, deque[str]] = defaultdict(
            lambda: deque(maxlen=_KEPT_LOG_LINES)
        )
        self._closing = Event()
        self._pool = SandboxPool(self._launch, limit=max_sandboxes)

    def invoke(
        self,
        reference: str,
        payload: bytes,
        *,
        qualifier: str | None = None,
        client_context: str | None = None,
    ) -> Invocation:
        """Invokes and waits for the outcome.

        Raises:
            FunctionNotFound: unknown function or qualifier.
            Throttled: no sandbox may be used for it now.
        """
        config = self.registry.config(reference, qualifier)
        qualifier = qualifier or split_reference(reference)[1]
        arn = f"{config.arn}:{qualifier}" if qualifier else config.arn
        invocation = Invocation(payload, arn=arn, client_context=client_context)
        sandbox = self._pool.acquire(config)
        try:
            sandbox.run(invocation)
        finally:
            self._pool.release(sandbox)
        return invocation

    def invoke_later(self, reference: str, payload: bytes, *, qualifier: str | None = None) -> None:
        """Queues an asynchronous invocation, retried as the function's policy says.

        Raises:
            FunctionNotFound: unknown function or qualifier.
        """
        config = self.registry.config(reference, qualifier)
        policy = self.registry.policy(reference)
        Thread(
            target=self._run_async, args=(config, policy, payload), daemon=True, name="lambda-async"
        ).start()

    def reload(self, name: str, code_dir: Path) -> None:
        """Runs the function from another code directory from now on; published versions keep theirs."""
        self.registry.set_code_dir(name, code_dir)
        if self.registry.latest_version(name) is None:
            self._pool.retire(name)

    def tell(self, name: str, environment: Mapping[str, str]) -> None:
        """Runs the function with another environment from now on."""
        self.registry.set_environment(name, environment)
        self._pool.retire(name)

    def pids(self, name: str) -> list[int]:
        """Process ids of the function's sandboxes."""
        return self._pool.pids(name)

    def lines(self, name: str) -> list[str]:
        """The last lines that the function wrote."""
        return list(self._lines[name])

    def close(self, timeout: float) -> None:
        """Kills all sandboxes."""
        self._closing.set()
        self._pool.close(timeout)

    def _launch(self, config: FunctionConfig) -> Sandbox:
        return Sandbox(
            config, endpoint=self._endpoint, extra_env=self._worker_env, on_log=self._log
        )

    def _log(self, name: str, line: str) -> None:
        self._lines[name].append(line)
        if self._on_log is not None:
            self._on_log(name, line)

    def _run_async(self, config: FunctionConfig, policy: AsyncPolicy, payload: bytes) -> None:
        attempt = 0
        while not self._closing.is_set():
            try:
                invocation = self.invoke(config.arn, payload)
            except Throttled:
                self._closing.wait(_THROTTLE_PAUSE_SECONDS)
                continue
            attempt += 1
            if invocation.function_error is None:
                self._report(policy.on_success_arn, invocation, "Success", attempt)
                return
            if attempt > policy.retries:
                self._report(policy.on_failure_arn, invocation, "RetriesExhausted", attempt)
                if config.dead_letter_arn:
                    self.deliver(config.dead_letter_arn, _json(payload))
                return
            self._closing.wait(self._retry_delays[min(attempt, len(self._retry_delays)) - 1])

    def _report(self, arn: str | None, invocation: Invocation, why: str, attempts: int) -> None:
        if arn is None or self._closing.is_set():
            return
        record: JsonObject = {
            "version": "1.0",
            "requestContext": {
                "requestId": invocation.id,
                "functionArn": invocation.arn,
                "condition": why,
                "approximateInvokeCount": attempts,
            },
            "requestPayload": _json(invocation.payload),
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": invocation.function_error,
            },
            "responsePayload": _json(invocation.result),
        }
        self.deliver(arn, record)


def _nowhere(arn: str, record: JsonObject) -> None:
    raise AssertionError(f"nobody delivers {record} to {arn} yet")


def _json(raw: bytes) -> JsonObject:
    decoded: JsonObject = json.loads(raw or b"null")
    return decoded
