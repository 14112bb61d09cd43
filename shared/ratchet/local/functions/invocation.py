"""One invocation of a Lambda function and its outcome."""

import json
from threading import Event, Lock
from uuid import uuid4

UNHANDLED = "Unhandled"
MAX_PAYLOAD_BYTES = 6 * 1024 * 1024


class Invocation:
    """A payload on its way through a sandbox; the first outcome wins."""

    def __init__(self, payload: bytes, *, arn: str, client_context: str | None = None) -> None:
        self.id = str(uuid4())
        self.payload = payload or b"{}"
        self.arn = arn
        self.client_context = client_context
        self.deadline_ms = 0
        self.result = b""
        self.function_error: str | None = None
        self.log: list[str] = []
        self._done = Event()
        self._lock = Lock()

    def succeed(self, result: bytes) -> None:
        """Records the function's own result."""
        if len(result) > MAX_PAYLOAD_BYTES:
            self.fail(
                "Function.ResponseSizeTooLarge",
                f"Response payload size exceeded maximum allowed payload size "
                f"({MAX_PAYLOAD_BYTES} bytes).",
            )
            return
        self._finish(result, None)

    def fail_with(self, body: bytes) -> None:
        """Records an error document that the runtime reported."""
        self._finish(body, UNHANDLED)

    def fail(self, error_type: str, message: str) -> None:
        """Records an error that Lambda itself reports."""
        self.fail_with(json.dumps({"errorType": error_type, "errorMessage": message}).encode())

    def wait(self, timeout: float) -> bool:
        """Waits for an outcome; false when none came in time."""
        return self._done.wait(timeout)

    def _finish(self, result: bytes, function_error: str | None) -> None:
        with self._lock:
            if self._done.is_set():
                return
            self.result, self.function_error = result, function_error
            self._done.set()
