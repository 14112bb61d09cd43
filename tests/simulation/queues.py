"""SQS with its Lambda poller: at least once, in any order, five times before the dead-letter queue."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation.calls import Network
from tests.simulation.faults import Fault
from tests.simulation.lambdas import Lambdas
from tests.simulation.scheduler import Future

RECEIVES = 5
MAX_MESSAGE_BYTES = 1024 * 1024
BATCH = 10
DELAY_MS = 90_000


@dataclass(eq=False, slots=True)
class Message:
    """A message and how often it was handed out."""

    id: str
    body: str
    receives: int = 0
    visible_at_ms: int = 0
    is_kept: bool = False  # deleting it will fail


class Queue:
    """A queue whose poller invokes one function."""

    def __init__(
        self, name: str, role: str, network: Network, lambdas: Lambdas, *, visibility_seconds: int
    ) -> None:
        self.name = name
        self.messages: dict[Message, None] = {}
        self.dead: list[Message] = []
        self._role = role
        self._network = network
        self._scheduler = network.scheduler
        self._lambdas = lambdas
        self._visibility_ms = visibility_seconds * 1000
        self._sent = 0

    def put(self, body: str) -> None:
        """Take a message."""
        if len(body.encode()) > MAX_MESSAGE_BYTES:
            raise ValueError("the message is larger than SQS takes")
        self._network.passed(f"a message in {self.name}", body)
        self._sent += 1
        message = Message(f"{self.name}-{self._sent}", body)
        self.messages[message] = None
        self._scheduler.at(self._network.latency_ms(), self._poll)

    def _poll(self) -> None:
        now = self._scheduler.now_ms
        batch = [m for m in self.messages if m.visible_at_ms <= now][:BATCH]
        ready = [m for m in batch if self._is_received(m)]
        if ready:
            self._scheduler.drive(self._hand_out(ready))

    def _is_received(self, message: Message) -> bool:
        """Whether the message reaches the function now; else it comes back."""
        message.receives += 1
        if message.receives > RECEIVES:
            del self.messages[message]
            self.dead.append(message)
            return False
        fault = self._network.fault(f"{self.name}:receive")
        wait_ms = self._visibility_ms
        match fault:
            case Fault.DUPLICATED:
                wait_ms = 0
            case Fault.DELAYED:
                self._hide(message, DELAY_MS)
                message.receives -= 1
                return False
            case Fault.REFUSED:  # the function is throttled: the receive is counted all the same
                self._hide(message, self._visibility_ms)
                return False
        message.visible_at_ms = self._scheduler.now_ms + wait_ms
        self._scheduler.at(max(wait_ms, 1), self._poll)
        message.is_kept = fault is Fault.UNDELETED
        return True

    def _hide(self, message: Message, ms: int) -> None:
        message.visible_at_ms = self._scheduler.now_ms + ms
        self._scheduler.at(ms, self._poll)

    def _hand_out(self, batch: list[Message]) -> Iterator[Future]:
        records = [{"messageId": m.id, "body": m.body} for m in batch]
        done = self._lambdas.invoke(self._role, {"Records": records}).done
        yield done
        if done.error is not None:
            return
        failed = {f["itemIdentifier"] for f in done.value["batchItemFailures"]}
        for message in batch:
            if message.id not in failed and not message.is_kept:
                self.messages.pop(message, None)
