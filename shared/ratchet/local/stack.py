"""The local stack: one synthesized CDK stack, running in this process without AWS."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ratchet.local.boot import Options, Timing, boot
from ratchet.local.errors import LocalStackError
from ratchet.local.functions.sandbox import LogSink
from ratchet.local.redeployment import redeploy
from ratchet.local.runtime import Runtime

__all__ = ["LocalStack", "LocalStackError", "Timing"]

_NOTHING: Mapping[str, str] = {}
_AS_ON_AWS = Timing()


class LocalStack:
    """A running stack. Only one can run in a process, because moto's state is global.

    ``outputs`` are the CloudFormation outputs. Functions are named by physical name, by logical
    id, or by the beginning of a logical id (the CDK appends a hash to it).
    """

    def __init__(self, runtime: Runtime, outputs: Mapping[str, str], cleanup: ExitStack) -> None:
        self.outputs = outputs
        self.endpoint_url = runtime.endpoint.url
        self.region = runtime.endpoint.region
        self.account = runtime.endpoint.account
        self._runtime = runtime
        self._cleanup = cleanup

    @classmethod
    def start(  # noqa: PLR0913 - one call configures the whole stack
        cls,
        assembly: Path,
        *,
        stack_name: str,
        port: int = 0,
        state_dir: Path | None = None,
        parameters: Mapping[str, str] = _NOTHING,
        worker_env: Mapping[str, str] = _NOTHING,
        max_sandboxes: int = 8,
        on_log: LogSink | None = None,
        timing: Timing = _AS_ON_AWS,
    ) -> Self:
        """Boots, creates the stack, replays the journal of ``state_dir`` and begins to work.

        Raises:
            LocalStackError: the template asks for something the local stack cannot honour.
        """
        options = Options(
            stack_name=stack_name,
            port=port,
            state_dir=state_dir,
            parameters=parameters,
            worker_env=worker_env,
            max_sandboxes=max_sandboxes,
            on_log=on_log,
            timing=timing,
        )
        with ExitStack() as cleanup:
            runtime, outputs = boot(assembly, options, cleanup)
            return cls(runtime, outputs, cleanup.pop_all())

    @property
    def ignored(self) -> Mapping[str, str]:
        """Resources of the template that have no effect locally, with the reason."""
        return self._runtime.ignored

    def client(self, service: str) -> Any:
        """A boto3 client for this stack."""
        return self._runtime.endpoint.client(service)

    def function_names(self) -> list[str]:
        """Physical names of the functions."""
        return self._runtime.functions.registry.names()

    def sandbox_pids(self, function_name: str) -> list[int]:
        """Process ids of the function's sandboxes, to be killed by tests."""
        return self._runtime.functions.pids(self._physical(function_name))

    def log_lines(self, function_name: str) -> list[str]:
        """The last lines that the function wrote."""
        return self._runtime.functions.lines(self._physical(function_name))

    def reload(self, code_dirs: Mapping[str, Path]) -> None:
        """Runs functions from new code, as a deployment would.

        Invocations that are running finish on the old one, and so do executions of a version that names it.
        """
        redeploy(
            self._runtime, {self._physical(name): folder for name, folder in code_dirs.items()}
        )

    def close(self) -> None:
        """Ends the stack and all its workers."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _physical(self, name: str) -> str:
        ids = self._runtime.function_ids
        exact = [physical for logical, physical in ids.items() if name in (logical, physical)]
        found = exact or [p for logical, p in ids.items() if logical.startswith(name)]
        if len(found) != 1:
            raise LocalStackError(f"{name!r} names {len(found)} functions of {sorted(ids)}")
        return found[0]
