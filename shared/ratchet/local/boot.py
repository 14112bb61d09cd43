"""Brings a stack up: its parts, its resources, its retained state; and the way down again."""

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ratchet.local import runtime as running
from ratchet.local.assembly import CloudAssembly
from ratchet.local.deployment import deploy
from ratchet.local.endpoint import Endpoint
from ratchet.local.events.delivery import Delivery
from ratchet.local.events.rules import RuleBook
from ratchet.local.events.schedule import Ticker
from ratchet.local.events.scheduler import ScheduleClock
from ratchet.local.events.sqs_mapping import SqsPollers
from ratchet.local.functions.invoke_api import InvokeApi
from ratchet.local.functions.sandbox import LogSink
from ratchet.local.functions.service import FunctionService
from ratchet.local.http_api.front import HttpApiFront
from ratchet.local.moto_app import MotoApp
from ratchet.local.patches.install import install_patches
from ratchet.local.patches.sfn_stop import abandon_runs
from ratchet.local.runtime import Runtime
from ratchet.local.server import LocalServer, Router
from ratchet.local.storage.journal import Journal
from ratchet.local.storage.replay import replay, snapshot
from ratchet.local.storage.secrets import SecretKeeper
from ratchet.local.storage.state import RetainedState

REGION = "us-east-1"
ACCOUNT = "123456789012"
_CLOSE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How long AWS lets things wait; tests shorten it."""

    minute_seconds: float = 60.0
    async_retry_seconds: tuple[float, ...] = (1.0, 2.0)


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that a caller may choose."""

    stack_name: str
    port: int
    state_dir: Path | None
    parameters: Mapping[str, str]
    worker_env: Mapping[str, str]
    max_sandboxes: int
    on_log: LogSink | None
    timing: Timing


def boot(folder: Path, options: Options, cleanup: ExitStack) -> tuple[Runtime, dict[str, str]]:
    """Starts a stack and returns its parts and outputs; ``cleanup`` learns how to end it.

    Raises:
        LocalStackError: the template asks for something the local stack cannot honour.
    """
    work_dir = Path(tempfile.mkdtemp(prefix="ratchet-local-"))
    cleanup.callback(shutil.rmtree, work_dir, ignore_errors=True)
    journal = None if options.state_dir is None else Journal(options.state_dir)
    if journal is not None:
        cleanup.callback(journal.close)
    state = RetainedState.of(journal.read() if journal else [])
    assembly = CloudAssembly(folder, stack_name=options.stack_name, work_dir=work_dir)
    router = Router()
    endpoint = _listen(router, options.port, cleanup)
    ticker = Ticker(minute_seconds=options.timing.minute_seconds)
    runtime = _assemble(endpoint, assembly, ticker, options, state)
    cleanup.callback(runtime.functions.close, _CLOSE_SECONDS)
    running.activate(runtime)
    cleanup.callback(running.deactivate, runtime)
    outputs = _deploy(runtime, router, journal, state, options.parameters)
    for end in (abandon_runs, runtime.pollers.close, ticker.close, router.close):
        cleanup.callback(end)
    runtime.pollers.start()
    ticker.start()
    router.is_ready = True
    return runtime, outputs


def _listen(router: Router, port: int, cleanup: ExitStack) -> Endpoint:
    server = LocalServer(router, port=port)
    cleanup.callback(server.close)
    endpoint = Endpoint(server.url, region=REGION, account=ACCOUNT)
    cleanup.callback(endpoint.close)
    return endpoint


def _assemble(
    endpoint: Endpoint,
    assembly: CloudAssembly,
    ticker: Ticker,
    options: Options,
    state: RetainedState,
) -> Runtime:
    functions = FunctionService(
        endpoint,
        worker_env=options.worker_env,
        max_sandboxes=options.max_sandboxes,
        retry_delays=options.timing.async_retry_seconds,
        on_log=options.on_log,
    )
    delivery = Delivery(functions, endpoint)
    functions.deliver = delivery
    minute = options.timing.minute_seconds
    ticker.add(1, ScheduleClock(endpoint, delivery, minute_seconds=minute).tick)
    return Runtime(
        stack_name=options.stack_name,
        endpoint=endpoint,
        assembly=assembly,
        functions=functions,
        front=HttpApiFront(functions, endpoint),
        pollers=SqsPollers(functions, endpoint),
        rules=RuleBook(endpoint, delivery, ticker),
        secrets=SecretKeeper(state.secrets),
    )


def _deploy(
    runtime: Runtime,
    router: Router,
    journal: Journal | None,
    state: RetainedState,
    parameters: Mapping[str, str],
) -> dict[str, str]:
    install_patches()
    moto = MotoApp(runtime.endpoint, journal)
    moto.reset()
    router.open(moto, InvokeApi(runtime.functions), runtime.front)
    outputs = deploy(runtime, parameters)
    if journal is not None:
        replay(state, runtime.secrets, moto)
        journal.restart(snapshot(state, runtime.secrets, runtime.endpoint))
    return outputs
