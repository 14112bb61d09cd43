"""One Lambda sandbox: a process running the official awslambdaric, and its Runtime API."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import IO
from uuid import uuid4

from ratchet.local.endpoint import ACCESS_KEY, SECRET_KEY, Endpoint
from ratchet.local.functions.invocation import Invocation
from ratchet.local.functions.model import FunctionConfig
from ratchet.local.functions.runtime_api import RuntimeApi

INIT_TIMEOUT_SECONDS = 60.0
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "TMPDIR")
_LOGGED_LINES = 200

# Stdin is a pipe that only the local stack holds open: it ends when the stack does, even by
# kill -9. PR_SET_PDEATHSIG would not do: it fires when the *thread* that started us ends.
_BOOTSTRAP = """
import os, runpy, signal, sys, threading
watch = os.dup(0)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
def end_with_the_stack():
    while os.read(watch, 1):
        pass
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=end_with_the_stack, daemon=True).start()
sys.argv = ["awslambdaric", sys.argv[1]]
runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
"""

LogSink = Callable[[str, str], None]


class Sandbox:
    """Runs one invocation at a time of one function until it is killed."""

    def __init__(
        self,
        config: FunctionConfig,
        *,
        endpoint: Endpoint,
        extra_env: Mapping[str, str],
        on_log: LogSink,
    ) -> None:
        self.config = config
        self.is_stale = False
        self.last_used = time.monotonic()
        self._on_log = on_log
        self._current: Invocation | None = None
        self._ready = Event()
        self._dead = Event()
        self._init_error: bytes | None = None
        self._api = RuntimeApi(self)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOTSTRAP, config.handler],
            cwd=config.code_dir,
            env=_environment(config, endpoint, self._api.address) | dict(extra_env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        Thread(target=self._pump_logs, daemon=True, name=f"lambda-logs-{config.name}").start()
        Thread(target=self._reap, daemon=True, name=f"lambda-reap-{config.name}").start()

    @property
    def pid(self) -> int:
        """The process id of the runtime, which leads its process group."""
        return self._process.pid

    @property
    def is_usable(self) -> bool:
        """Whether another invocation may be sent here."""
        return not (self.is_stale or self._dead.is_set() or self._init_error is not None)

    def run(self, invocation: Invocation) -> None:
        """Runs the invocation to an outcome: result, error, timeout or death."""
        self._current = invocation
        if not self._ready.wait(INIT_TIMEOUT_SECONDS):
            invocation.fail("Runtime.InitTimeout", f"no init in {INIT_TIMEOUT_SECONDS:.0f} s")
            self.kill()
        elif self._init_error is not None:
            invocation.fail_with(self._init_error)
        elif self._dead.is_set():
            self._fail_as_dead(invocation)
        else:
            self._run_ready(invocation)
        self._current = None
        self.last_used = time.monotonic()

    def kill(self) -> None:
        """Kills the whole process group: handlers start children too."""
        self.is_stale = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def wait_dead(self, timeout: float) -> bool:
        """Waits until the process is reaped and its pipes and sockets are closed."""
        return self._dead.wait(timeout)

    def on_ready(self) -> None:
        """The runtime asks for work."""
        self._ready.set()

    def on_init_error(self, body: bytes) -> None:
        """The handler could not be loaded; the runtime exits next."""
        self._init_error = body
        self._ready.set()

    def on_result(self, invocation_id: str, body: bytes, *, failed: bool) -> None:
        """The handler returned or raised."""
        invocation = self._current
        if invocation is None or invocation.id != invocation_id:
            return
        if failed:
            invocation.fail_with(body)
        else:
            invocation.succeed(body)

    def _run_ready(self, invocation: Invocation) -> None:
        timeout = self.config.timeout
        invocation.deadline_ms = int((time.time() + timeout) * 1000)
        self._api.send(invocation)
        if not invocation.wait(timeout):
            self.kill()
            invocation.fail(
                "Sandbox.Timedout",
                f"RequestId: {invocation.id} Error: Task timed out after {timeout:.2f} seconds",
            )

    def _fail_as_dead(self, invocation: Invocation) -> None:
        code = self._process.returncode
        how = f"exit status {code}" if code >= 0 else f"signal: {signal.Signals(-code).name}"
        invocation.fail(
            "Runtime.ExitError",
            f"RequestId: {invocation.id} Error: Runtime exited with error: {how}",
        )

    def _pump_logs(self) -> None:
        with _pipe(self._process.stdout) as pipe:
            for raw in pipe:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                invocation = self._current
                if invocation is not None and len(invocation.log) < _LOGGED_LINES:
                    invocation.log.append(line)
                self._on_log(self.config.name, line)

    def _reap(self) -> None:
        self._process.wait()
        self.kill()
        _pipe(self._process.stdin).close()
        self._api.close()
        self._dead.set()
        self._ready.set()
        invocation = self._current
        if invocation is not None and self._init_error is None:
            self._fail_as_dead(invocation)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError("the sandbox was started without pipes")
    return pipe


def _environment(config: FunctionConfig, endpoint: Endpoint, api: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    stream = f"{time.strftime('%Y/%m/%d')}/[{config.version}]{uuid4().hex}"
    return {
        **inherited,
        "AWS_LAMBDA_RUNTIME_API": api,
        "_HANDLER": config.handler,
        "LAMBDA_TASK_ROOT": str(config.code_dir),
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "AWS_LAMBDA_FUNCTION_NAME": config.name,
        "AWS_LAMBDA_FUNCTION_VERSION": config.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.memory),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{config.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.runtime}",
        "AWS_REGION": endpoint.region,
        "AWS_DEFAULT_REGION": endpoint.region,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_SESSION_TOKEN": "local",
        "AWS_ENDPOINT_URL": endpoint.url,
        # The user's own profile must not leak into the functions.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "POWERTOOLS_TRACE_DISABLED": "1",
        "PYTHONPATH": str(config.code_dir),
        "PYTHONUNBUFFERED": "1",
        "TZ": ":UTC",
        "LANG": "en_US.UTF-8",
        **config.environment,
    }
