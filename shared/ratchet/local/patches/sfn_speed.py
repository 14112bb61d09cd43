"""Step Functions: caches. Stock moto spends 25 ms a state on what never changes."""

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from moto.stepfunctions.parser import utils
from moto.stepfunctions.parser.asl.component import eval_component
from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.parse import asl_parser
from moto.stepfunctions.parser.asl.utils import boto_client, json_path
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from ratchet.local.patches.patch import Patch
from ratchet.local.runtime import current

_PATHS = 4096
_PROGRAMS = 256


def install() -> list[Patch]:
    """Installs the patches of this module."""
    return [_clients(), _json_paths(), _programs(), _threads(), _logs()]


def _clients() -> Patch:
    patch = Patch("sfn-clients", "a new boto3 client for every task state")

    def boto_client_for(*, service: str, **_: Any) -> Any:
        return current().endpoint.client(service)

    _replace_everywhere(patch, boto_client, "boto_client_for", boto_client_for)
    return patch


def _json_paths() -> Patch:
    patch = Patch("sfn-jsonpath", "jsonpath_ng rebuilds its parser tables for every path")
    for module in (json_path, result_path):
        patch.replace(module, "parse", lru_cache(maxsize=_PATHS)(module.parse))
    return patch


def _programs() -> Patch:
    patch = Patch("sfn-programs", "the definition is parsed again for every execution")

    @lru_cache(maxsize=_PROGRAMS)
    def parsed(definition: str) -> Any:
        return asl_parser.AmazonStateLanguageParser.parse(definition)[0]

    def entrypoint(self: Any) -> Any:
        return parsed(self._evaluation_details.state_machine_details.definition)

    patch.replace(ExecutionWorker, "_get_evaluation_entrypoint", entrypoint)
    # Set lazily, it would race on a shared program and mix up two executions' Map state.
    heap_key = property(lambda self: f"k{id(self)}")
    patch.replace(eval_component.EvalComponent, "heap_key", heap_key)
    return patch


def _threads() -> Patch:
    patch = Patch("sfn-threads", "every thread that ever ran is kept in a list")
    _replace_everywhere(patch, utils, "TMP_THREADS", _Forgetful())
    return patch


def _logs() -> Patch:
    patch = Patch("sfn-logs", "every failure renders the whole program tree for a log line")
    quiet: Callable[..., None] = lambda *_, **__: None  # noqa: E731
    patch.replace(eval_component.EvalComponent, "_log_failure_event_exception", quiet)
    patch.replace(eval_component.EvalComponent, "_log_exception", quiet)
    return patch


class _Forgetful(list[Any]):
    def append(self, item: Any) -> None:
        """Drops the item."""


def _replace_everywhere(patch: Patch, home: Any, name: str, new: Any) -> None:
    """Replaces a name in its module and wherever it was imported from there."""
    original = patch.replace(home, name, new)
    for module_name, module in list(sys.modules.items()):
        is_user = module_name.startswith("moto.stepfunctions") and module is not home
        if is_user and vars(module).get(name) is original:
            patch.replace(module, name, new)
