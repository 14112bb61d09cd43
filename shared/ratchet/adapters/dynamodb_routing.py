"""The routing override: one item of the table."""

from typing import TYPE_CHECKING, Any

from ratchet.adapters.aws import AWS_ERRORS, store_error
from ratchet.domain.keys import DEPLOYMENT, ROUTING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

KEY: dict[str, Any] = {"pk": {"S": DEPLOYMENT}, "sk": {"S": ROUTING}}


class DynamoDbRoutingOverride:
    """RoutingOverride on AWS."""

    def __init__(self, client: "DynamoDBClient", *, table: str) -> None:
        self._client = client
        self._table = table

    def read(self) -> str | None:
        """The table as JSON text; eventually consistent, since it is acted on a minute late anyway."""
        try:
            found = self._client.get_item(TableName=self._table, Key=KEY)
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc
        return found.get("Item", {}).get("table", {}).get("S")

    def write(self, table: str | None) -> None:
        """Put a table there, or take away the one that is."""
        try:
            if table is None:
                self._client.delete_item(TableName=self._table, Key=KEY)
            else:
                item = {**KEY, "table": {"S": table}}
                self._client.put_item(TableName=self._table, Item=item)
        except AWS_ERRORS as exc:
            raise store_error(exc) from exc
