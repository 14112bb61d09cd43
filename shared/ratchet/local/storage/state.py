"""What a journal says the state is."""

from dataclasses import dataclass, field

from ratchet.local.json_types import JsonObject


@dataclass(slots=True)
class RetainedState:
    """DynamoDB requests in order; the last write of every S3 object, secret and schedule."""

    dynamodb: list[JsonObject] = field(default_factory=list)
    objects: dict[str, JsonObject] = field(default_factory=dict)
    secrets: dict[str, JsonObject] = field(default_factory=dict)
    schedules: dict[str, JsonObject] = field(default_factory=dict)

    @classmethod
    def of(cls, records: list[JsonObject]) -> "RetainedState":
        """Folds the records of a journal."""
        state = cls()
        for record in records:
            match record["service"]:
                case "dynamodb":
                    state.dynamodb.append(record)
                case "s3" if record["method"] == "DELETE":
                    state.objects.pop(record["path"], None)
                case "s3":
                    state.objects[record["path"]] = record
                case "scheduler" if record["body"] is None:
                    state.schedules.pop(record["name"], None)
                case "scheduler":
                    state.schedules[record["name"]] = record
                case "secretsmanager":
                    state.secrets[record["name"]] = record
        return state
