"""The parts of the stack that runs in this process, for code that moto calls back."""

from dataclasses import dataclass, field

from ratchet.local.assembly import CloudAssembly
from ratchet.local.endpoint import Endpoint
from ratchet.local.errors import LocalStackError
from ratchet.local.events.rules import RuleBook
from ratchet.local.events.sqs_mapping import SqsPollers
from ratchet.local.functions.service import FunctionService
from ratchet.local.http_api.front import HttpApiFront
from ratchet.local.storage.secrets import SecretKeeper


@dataclass(slots=True)
class Runtime:
    """What resource types and patches need to reach."""

    stack_name: str
    endpoint: Endpoint
    assembly: CloudAssembly
    functions: FunctionService
    front: HttpApiFront
    pollers: SqsPollers
    rules: RuleBook
    secrets: SecretKeeper
    function_ids: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)


_running: list[Runtime] = []


def current() -> Runtime:
    """The running stack's parts.

    Raises:
        LocalStackError: no stack runs in this process.
    """
    if not _running:
        raise LocalStackError("no local stack runs in this process")
    return _running[0]


def current_or_none() -> Runtime | None:
    """The running stack's parts, if one runs."""
    return _running[0] if _running else None


def activate(runtime: Runtime) -> None:
    """Makes this the running stack.

    Raises:
        LocalStackError: moto's state is one per process, so there can be only one stack.
    """
    if _running:
        raise LocalStackError("a local stack runs in this process already: close it first")
    _running.append(runtime)


def deactivate(runtime: Runtime) -> None:
    """Forgets the running stack."""
    if runtime in _running:
        _running.remove(runtime)
