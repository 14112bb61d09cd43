"""How a log record is written: allow-listed fields, and errors without their words."""

from typing import Any, cast

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from ratchet.contracts.log_fields import ALLOWED_FIELDS
from ratchet.unexpected import places


class AllowListFormatter(LambdaPowertoolsFormatter):
    """Powertools' JSON, in which an unknown field is named and not told, and an error is where, not what."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "serialize_stacktrace": False})

    def serialize(self, log: Any) -> str:
        """Only what may be told."""
        told = {key: value for key, value in log.items() if key in ALLOWED_FIELDS}
        unknown = log.keys() - ALLOWED_FIELDS - {"exception_notes"}
        return super().serialize(
            cast("Any", {**told, "dropped": sorted(unknown)} if unknown else told)
        )

    def formatException(self, ei: Any) -> str:
        """The error and those behind it, as classes and places: their texts may hold anything."""
        chain: list[str] = []
        error: BaseException | None = ei[1]
        while error is not None and len(chain) < 10:
            chain.append(places(error))
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\ncaused by ".join(chain)
