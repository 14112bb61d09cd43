"""An SQS batch of doorbells, message by message."""

from collections.abc import Callable
from typing import Any

from ratchet.contracts.errors import RatchetError
from ratchet.contracts.firing import Firing
from ratchet.contracts.messages import Doorbell, MalformedMessage
from ratchet.observability import log_about, log_about_nothing, logger


def run_batch(event: dict[str, Any], handle: Callable[[Doorbell], None]) -> dict[str, Any]:
    """Handle each message; answer which ones must come back (`ReportBatchItemFailures`).

    A message that is not one of ours comes back too, until the queue moves it to its dead-letter queue, whose consumer
    logs it. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    failed = [r["messageId"] for r in event.get("Records", ()) if not _handled(r, handle)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _handled(record: dict[str, Any], handle: Callable[[Doorbell], None]) -> bool:
    def act(record: dict[str, Any]) -> None:
        bell = Doorbell.from_json(record["body"])
        log_about(bell.task)
        handle(bell)

    return _is_done(record, act)


def _is_done(record: dict[str, Any], act: Callable[[dict[str, Any]], None]) -> bool:
    try:
        act(record)
    except RatchetError as exc:
        logger.warning("message comes back", extra={**_details(record), "error": exc.code})
        return False
    except Exception:  # noqa: BLE001
        # The batch edge: a bug in one message must not return the whole batch.
        logger.exception("message failed", extra=_details(record))
        return False
    finally:
        log_about_nothing()
    return True


def _details(record: dict[str, Any]) -> dict[str, str]:
    return {"message_id": record["messageId"]}


def run_dead_letters(
    event: dict[str, Any], bury: Callable[..., None], miss: Callable[[Firing], None]
) -> dict[str, Any]:
    """Handle each dead letter; `bury` takes a doorbell and how often it was received, `miss` a schedule's firing.

    What is neither is logged.
    """

    def handle(record: dict[str, Any]) -> None:
        receives = int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))
        try:
            bell = Doorbell.from_json(record["body"])
        except MalformedMessage:
            if (firing := _firing(record)) is not None:
                miss(firing)
                return
            # Its text may be anybody's, so it is not written down; nothing can come of it.
            logger.error("dead letter that is no message of ours", extra=_details(record))
            return
        log_about(bell.task)
        bury(bell, receives=receives)

    failed = [r["messageId"] for r in event.get("Records", ()) if not _is_done(r, handle)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _firing(record: dict[str, Any]) -> Firing | None:
    try:
        return Firing.from_dead_letter(record["body"])
    except MalformedMessage:
        return None
