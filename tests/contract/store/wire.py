"""What goes over the wire to DynamoDB: counted, sized by its own rules, and disturbed."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import botocore.endpoint
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber

Handler = Callable[..., Any]


@dataclass
class Traffic:
    """The requests of a stretch of time, in order."""

    requests: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def reads(self) -> int:
        return sum(name in ("Query", "GetItem") for name, _ in self.requests)

    @property
    def writes(self) -> int:
        return len(self.requests) - self.reads

    def items(self) -> list[dict[str, Any]]:
        """The items put, in transactions too."""
        puts = [body["Item"] for name, body in self.requests if name == "PutItem"]
        for name, body in self.requests:
            if name == "TransactWriteItems":
                puts += [w["Put"]["Item"] for w in body["TransactItems"] if "Put" in w]
        return puts


@contextmanager
def watched(client: Any) -> Iterator[Traffic]:
    """Count every request that leaves, retries included."""
    traffic = Traffic()
    event = _sending(client)

    def note(event_name: str, request: Any, **_: Any) -> None:
        body = json.loads(request.body) if "json" in client.meta.service_model.protocol else request
        traffic.requests.append((event_name.rpartition(".")[2], body))

    client.meta.events.register_first(event, note)
    yield traffic
    client.meta.events.unregister(event, note)


@contextmanager
def faults(
    client: Any, operation: str, *, times: int, applied: bool, after: int = 0
) -> Iterator[list[str]]:
    """Requests of an operation, after so many, get no answer, whether or not DynamoDB carried them out."""
    seen: list[str] = []
    undisturbed = iter(range(after))
    event = _sending(client)

    def disturb(event_name: str, request: Any, **options: Any) -> None:
        if not event_name.endswith(f".{operation}") or next(undisturbed, None) is not None:
            return
        if len(seen) < times:
            seen.append(event_name)
            if applied:
                botocore_stubber(event_name, request, **options)
            raise ReadTimeoutError(endpoint_url=request.url)

    client.meta.events.register_first(event, disturb)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.endpoint, "time", _NoSleep)
        yield seen
    client.meta.events.unregister(event, disturb)


@contextmanager
def answers(client: Any, operation: str, *replies: dict[str, Any]) -> Iterator[list[str]]:
    """The next requests of an operation get these answers instead of reaching AWS; those after them do."""
    seen: list[str] = []
    answered: list[Any] = []
    played_by_moto = type(botocore_stubber).__call__
    left = list(replies)
    event = _sending(client)

    def reply(event_name: str, request: Any, **_: Any) -> Any:
        if not left or not event_name.endswith(f".{operation}"):
            return None
        seen.append(event_name)
        answered.append(request)
        return _response(request.url, left.pop(0))

    # botocore asks all handlers, also those after the one that has the answer.
    def reach(stubber: Any, event_name: str, request: Any, **options: Any) -> Any:
        if any(request is other for other in answered):
            return None
        return played_by_moto(stubber, event_name, request, **options)

    client.meta.events.register_first(event, reply)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.endpoint, "time", _NoSleep)
        patch.setattr(type(botocore_stubber), "__call__", reach)
        yield seen
    client.meta.events.unregister(event, reply)


def canceled(*codes: str) -> dict[str, Any]:
    """A TransactionCanceledException with these reasons."""
    return {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled",
        "CancellationReasons": [{"Code": code} for code in codes],
    }


def refusal(code: str) -> dict[str, Any]:
    """An error answer with this code."""
    return {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "Message": "no"}


def item_bytes(item: dict[str, Any]) -> int:
    """The size of an item by DynamoDB's rules, from its wire form."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def value_bytes(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "B":
            return len(content if isinstance(content, bytes) else base64.b64decode(content))
        case "N":
            return -(-len(content.strip("-0")) // 2) + 1
        case "M":
            return 3 + len(content) + item_bytes(content)
        case "L":
            return 3 + len(content) + sum(map(value_bytes, content))
        case _:
            return 1


def write_units(size: int) -> int:
    return -(-size // 1024)


def _sending(client: Any) -> str:
    """The event of any request: what began to watch or disturb first is asked first."""
    return f"before-send.{client.meta.service_model.service_id.hyphenize()}"


class _NoSleep:
    @staticmethod
    def sleep(_seconds: float) -> None:
        return None


def _response(url: str, body: dict[str, Any]) -> Any:
    headers: Any = {"Content-Type": "application/x-amz-json-1.0"}
    status = 400 if "__type" in body else 200
    raw = MockRawResponse(json.dumps(body).encode())
    return AWSResponse(url, status, headers, raw)
