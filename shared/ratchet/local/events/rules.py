"""EventBridge rules of the default bus: patterns and schedules, and their targets."""

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError
from moto.events.models import EventPattern

from ratchet.local.endpoint import Endpoint
from ratchet.local.events.delivery import Delivery
from ratchet.local.events.schedule import Ticker
from ratchet.local.json_types import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Target:
    """Where a rule sends its events; ``constant`` replaces the event when it is set."""

    arn: str
    constant: Json | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One AWS::Events::Rule."""

    name: str
    arn: str
    targets: tuple[Target, ...]
    pattern: JsonObject | None = None
    every_minutes: int | None = None


class RuleBook:
    """Matches events with the rules and fires the scheduled ones."""

    def __init__(self, endpoint: Endpoint, delivery: Delivery, ticker: Ticker) -> None:
        self._endpoint = endpoint
        self._delivery = delivery
        self._ticker = ticker
        self._rules: list[tuple[Rule, Any]] = []

    def add(self, rule: Rule) -> None:
        """Registers an enabled rule."""
        if rule.pattern is not None:
            self._rules.append((rule, EventPattern(None, rule.pattern)))
        if rule.every_minutes is not None:
            self._ticker.add(rule.every_minutes, lambda: self._fire(rule))

    def put(self, source: str, detail_type: str, detail: Json, resources: list[str]) -> None:
        """Sends an event through the bus."""
        event = self._envelope(source, detail_type, detail, resources)
        for rule, pattern in self._rules:
            if pattern.matches_event(event):
                self._send(rule, event)

    def _fire(self, rule: Rule) -> None:
        self._send(rule, self._envelope("aws.events", "Scheduled Event", {}, [rule.arn]))

    def _send(self, rule: Rule, event: JsonObject) -> None:
        for target in rule.targets:
            try:
                self._delivery(target.arn, event if target.constant is None else target.constant)
            except (BotoCoreError, ClientError):
                # The stack is closing, or the target was deleted through the API: on AWS too the
                # bus gives up on such a target without telling the sender.
                continue

    def _envelope(
        self, source: str, detail_type: str, detail: Json, resources: list[str]
    ) -> JsonObject:
        return {
            "version": "0",
            "id": str(uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self._endpoint.account,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "region": self._endpoint.region,
            "resources": resources,
            "detail": detail,
        }
