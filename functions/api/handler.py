"""Entry point of the HTTP API."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.api.request_body import refusal
from functions.api.routes import app
from ratchet.observability import logger


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one API Gateway request (payload format 2.0)."""
    refused = refusal(event)
    if refused is not None:
        return {
            "statusCode": refused.status_code,
            "headers": {"Content-Type": refused.content_type},
            "body": refused.body,
            "isBase64Encoded": False,
        }
    return app.resolve(event, context)
