"""What a town stands on: a fair queue, and ports whose calls may go wrong."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.messages import Doorbell

TRAVEL = 0.1  # seconds
VISIBILITY = 180.0
RECEIVES = 5


class Died(BaseException):
    """The sandbox is gone: nothing in it may catch this."""


@dataclass
class Faults:
    """Where sandboxes die or calls fail, by the number of the call; `calls` counts them."""

    plan: dict[int, str] = field(default_factory=dict)
    calls: int = 0
    met: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)

    def call(self, name: str, effect: Callable[[], Any]) -> Any:
        self.calls += 1
        self.names[name] += 1
        fault = self.plan.get(self.calls)
        if fault is not None:
            self.met[f"{name} {fault}"] += 1
        if fault == "dies before":
            raise Died(name)
        if fault == "refused":
            raise StoreUnavailable(name)
        answer = effect()
        if fault == "dies after":
            raise Died(name)
        if fault == "answer lost":
            raise StoreUnavailable(name)
        return answer


class Port:
    """A port whose calls may go wrong."""

    def __init__(self, name: str, inner: object, faults: Faults) -> None:
        self._name, self._inner, self._faults = name, inner, faults

    def __getattr__(self, method: str) -> Any:
        target = getattr(self._inner, method)

        def called(*args: Any, **options: Any) -> Any:
            call = f"{self._name}.{method}"
            return self._faults.call(call, lambda: target(*args, **options))

        return called


@dataclass
class Message:
    body: str
    tenant: str
    receives: int = 0


class FairQueue:
    """A standard queue; `is_fair` with the tenant as message group, in the way that SQS documents.

    A tenant with more than a tenth of the messages in flight, and 30 of them at least, comes after the others.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
    """

    def __init__(
        self,
        name: str,
        *,
        is_fair: bool,
        after: Callable[[float, Callable[[], None]], None],
        poll: Callable[["FairQueue"], None],
    ) -> None:
        self.name, self.is_fair = name, is_fair
        self._after, self._poll = after, poll
        self.waiting: defaultdict[str, deque[Message]] = defaultdict(deque)
        self.in_flight: Counter[str] = Counter()
        self.dead: list[Message] = []

    def send(self, bell: Doorbell) -> None:
        group = bell.task.tenant if self.is_fair else ""
        message = Message(bell.to_json(), group)
        self._after(TRAVEL, lambda: self.put(message))

    def put(self, message: Message) -> None:
        self.waiting[message.tenant].append(message)
        self._poll(self)

    def depth(self) -> int:
        return sum(map(len, self.waiting.values()))

    def receive(self) -> Message | None:
        groups = [group for group, line in self.waiting.items() if line]
        if not groups:
            return None
        total = sum(self.in_flight.values())

        def noise(group: str) -> tuple[bool, int]:
            mine = self.in_flight[group]
            noisy = mine >= 30 and mine > total / 10
            return (noisy, mine if noisy else 0)

        group = min(groups, key=noise)
        message = self.waiting[group].popleft()
        message.receives += 1
        self.in_flight[group] += 1
        return message

    def done(self, message: Message, *, ok: bool) -> None:
        self.in_flight[message.tenant] -= 1
        if ok:
            return
        if message.receives >= RECEIVES:
            self.dead.append(message)
        else:
            self._after(VISIBILITY, lambda: self.put(message))
