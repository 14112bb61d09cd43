"""SNS: Lambda subscriptions invoke the sandboxes, and web deliveries do not block or fail Publish."""

import json
import logging
from threading import Thread
from typing import Any

from moto.sns.models import Subscription
from requests import RequestException

from ratchet.local.json_types import JsonObject
from ratchet.local.patches.patch import Original, Patch
from ratchet.local.runtime import current_or_none

_log = logging.getLogger(__name__)


def install() -> list[Patch]:
    """Installs the patches of this module."""
    patch = Patch(
        "sns-lambda", "functions are sought in moto's own Lambda; a dead web address fails Publish"
    )
    original = Subscription.publish

    def publish(self: Any, message: str, message_id: str, **options: Any) -> Any:
        runtime = current_or_none()
        if self.protocol in ("http", "https"):
            _in_background(original, self, message, message_id, **options)
            return None
        if self.protocol != "lambda" or runtime is None:
            return original(self, message, message_id, **options)
        attributes = options.get("message_attributes")
        matcher = self._filter_policy_matcher
        if matcher is None or matcher.matches(attributes, message):
            subject = options.get("subject")
            record = _record(self, self.get_post_data(message, message_id, subject, attributes))
            runtime.functions.invoke_later(self.endpoint, json.dumps(record).encode())
        return None

    patch.replace(Subscription, "publish", publish)
    return [patch]


def _in_background(deliver: Original, subscription: Any, *message: Any, **options: Any) -> None:
    def run() -> None:
        try:
            deliver(subscription, *message, **options)
        except RequestException as exc:
            extra = {"endpoint": subscription.endpoint, "error": str(exc)}
            _log.warning("notification not delivered", extra=extra)

    Thread(target=run, daemon=True, name="sns-http").start()


def _record(subscription: Any, notification: JsonObject) -> JsonObject:
    attributes = notification.pop("MessageAttributes", None) or {}
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": subscription.arn,
                "Sns": {"Subject": None, **notification, "MessageAttributes": attributes},
            }
        ]
    }
