"""An SQS batch of doorbells, message by message."""

from collections.abc import Callable
from typing import Any

from ratchet.contracts.errors import RatchetError
from ratchet.contracts.messages import Doorbell
from ratchet.observability import log_about, log_about_nothing, logger


def run_batch(event: dict[str, Any], handle: Callable[[Doorbell], None]) -> dict[str, Any]:
    """Handle each message; answer which ones must come back (`ReportBatchItemFailures`).

    A message that is not one of ours comes back too, until the queue moves it to its dead-letter queue, where a person
    sees it. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    failed = [r["messageId"] for r in event.get("Records", ()) if not _handled(r, handle)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _handled(record: dict[str, Any], handle: Callable[[Doorbell], None]) -> bool:
    details = {"message_id": record["messageId"]}
    try:
        bell = Doorbell.from_json(record["body"])
        log_about(bell.task)
        handle(bell)
    except RatchetError as exc:
        logger.warning("message comes back", extra={**details, "error": exc.code})
        return False
    except Exception:  # noqa: BLE001
        # The batch edge: a bug in one message must not return the whole batch.
        logger.exception("message failed", extra=details)
        return False
    finally:
        log_about_nothing()
    return True
