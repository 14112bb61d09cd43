"""What AWS charges: list prices, and counts turned into a bill line by line. Standard library only.

Prices are us-east-1 list prices without free tiers or tiers of volume; `PRICES` names the page that states each. They
were compared with copies of those pages and with published price lists on 2026-11-22, except those of the HTTP API,
table storage, alarms, secrets, keys and sandboxes kept warm, which are as last known.

Lambda's price per GB-second is no whole number of nano-dollars, so it is reckoned in pico-dollars for so many units. A
line is rounded up to the nano-dollar and a bill is the sum of its lines: integers, so that totals add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

NANO = 1_000_000_000
GIGABYTE_SECOND = 1024 * 1000
"""Lambda's unit in whole numbers: megabytes of memory times milliseconds."""


class Resource(StrEnum):
    """What is counted; the values are the keys of estimates in JSON."""

    TRANSITIONS = "state_transitions"
    ARM_TIME = "lambda_arm64_mb_ms"
    X86_TIME = "lambda_x86_64_mb_ms"
    ARM_WARM = "lambda_arm64_warm_mb_ms"
    X86_WARM = "lambda_x86_64_warm_mb_ms"
    INVOCATIONS = "lambda_requests"
    WRITE_UNITS = "dynamodb_write_units"
    READ_UNITS = "dynamodb_read_units"
    TABLE_STORAGE = "dynamodb_byte_months"
    SQS_REQUESTS = "sqs_requests"
    SNS_PUBLISHES = "sns_publishes"
    API_REQUESTS = "api_requests"
    S3_PUTS = "s3_puts"
    S3_GETS = "s3_gets"
    LOG_BYTES = "log_bytes"
    METRIC_MONTHS = "metric_months"
    ALARM_MONTHS = "alarm_months"
    SECRET_MONTHS = "secret_months"
    KEY_MONTHS = "key_months"


class Service(StrEnum):
    """Who sends the bill."""

    STEP_FUNCTIONS = "Step Functions"
    LAMBDA = "Lambda"
    DYNAMODB = "DynamoDB"
    SQS = "SQS"
    SNS = "SNS"
    API_GATEWAY = "API Gateway"
    S3 = "S3"
    CLOUDWATCH = "CloudWatch"
    SECRETS_MANAGER = "Secrets Manager"
    KMS = "KMS"


@dataclass(frozen=True, slots=True)
class Price:
    """`usd` for `per` units, by the service's pricing page."""

    service: Service
    usd: str
    per: int
    source: str

    def nanousd(self, quantity: int) -> int:
        """What so many units cost, rounded up."""
        pico = int(Decimal(self.usd) * NANO * 1000)
        return -(-quantity * pico // (self.per * 1000))


_MILLION = 1_000_000
_GB = 1_000_000_000
_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_DYNAMODB = "https://aws.amazon.com/dynamodb/pricing/on-demand/"
_CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
_S3 = "https://aws.amazon.com/s3/pricing/"

PRICES: Mapping[Resource, Price] = {
    Resource.TRANSITIONS: Price(
        Service.STEP_FUNCTIONS, "0.025", 1000, "https://aws.amazon.com/step-functions/pricing/"
    ),
    Resource.ARM_TIME: Price(Service.LAMBDA, "0.0000133334", GIGABYTE_SECOND, _LAMBDA),
    Resource.X86_TIME: Price(Service.LAMBDA, "0.0000166667", GIGABYTE_SECOND, _LAMBDA),
    Resource.ARM_WARM: Price(Service.LAMBDA, "0.0000033334", GIGABYTE_SECOND, _LAMBDA),
    Resource.X86_WARM: Price(Service.LAMBDA, "0.0000041667", GIGABYTE_SECOND, _LAMBDA),
    Resource.INVOCATIONS: Price(Service.LAMBDA, "0.20", _MILLION, _LAMBDA),
    Resource.WRITE_UNITS: Price(Service.DYNAMODB, "0.625", _MILLION, _DYNAMODB),
    Resource.READ_UNITS: Price(Service.DYNAMODB, "0.125", _MILLION, _DYNAMODB),
    Resource.TABLE_STORAGE: Price(Service.DYNAMODB, "0.25", _GB, _DYNAMODB),
    Resource.SQS_REQUESTS: Price(
        Service.SQS, "0.40", _MILLION, "https://aws.amazon.com/sqs/pricing/"
    ),
    Resource.SNS_PUBLISHES: Price(
        Service.SNS, "0.50", _MILLION, "https://aws.amazon.com/sns/pricing/"
    ),
    Resource.API_REQUESTS: Price(
        Service.API_GATEWAY, "1.00", _MILLION, "https://aws.amazon.com/api-gateway/pricing/"
    ),
    Resource.S3_PUTS: Price(Service.S3, "0.005", 1000, _S3),
    Resource.S3_GETS: Price(Service.S3, "0.0004", 1000, _S3),
    Resource.LOG_BYTES: Price(Service.CLOUDWATCH, "0.50", _GB, _CLOUDWATCH),
    Resource.METRIC_MONTHS: Price(Service.CLOUDWATCH, "0.30", 1, _CLOUDWATCH),
    Resource.ALARM_MONTHS: Price(Service.CLOUDWATCH, "0.10", 1, _CLOUDWATCH),
    Resource.SECRET_MONTHS: Price(
        Service.SECRETS_MANAGER, "0.40", 1, "https://aws.amazon.com/secrets-manager/pricing/"
    ),
    Resource.KEY_MONTHS: Price(Service.KMS, "1.00", 1, "https://aws.amazon.com/kms/pricing/"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill; `what` is empty where the resource says it all, else a function's name."""

    resource: Resource
    what: str
    quantity: int

    @property
    def service(self) -> Service:
        """Who charges it."""
        return PRICES[self.resource].service

    @property
    def nanousd(self) -> int:
        """What it comes to."""
        return PRICES[self.resource].nanousd(self.quantity)


@dataclass(frozen=True, slots=True)
class Bill:
    """Lines, and what they come to."""

    lines: tuple[Line, ...] = ()

    @property
    def nanousd(self) -> int:
        """The sum of the lines."""
        return sum(line.nanousd for line in self.lines)

    @property
    def microusd(self) -> int:
        """The total, rounded up."""
        return -(-self.nanousd // 1000)

    @property
    def usd(self) -> float:
        """The total for people."""
        return self.nanousd / NANO

    def by_service(self) -> dict[Service, int]:
        """Nano-dollars of each service that charges something, in the order of `Service`."""
        sums = {
            service: sum(line.nanousd for line in self.lines if line.service is service)
            for service in Service
        }
        return {service: nano for service, nano in sums.items() if nano}

    def of(self, *resources: Resource) -> int:
        """Nano-dollars of the lines of these resources."""
        return sum(line.nanousd for line in self.lines if line.resource in resources)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of each resource, and for whom: Lambda's by function, everything else under the name ''."""

    amounts: Mapping[tuple[Resource, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, amounts: Mapping[Resource, int]) -> "Counts":
        """Counts that no function has a part in."""
        return cls({(resource, ""): amount for resource, amount in amounts.items()})

    def __add__(self, other: "Counts") -> "Counts":
        sums = dict(self.amounts)
        for key, amount in other.amounts.items():
            sums[key] = sums.get(key, 0) + amount
        return Counts(sums)

    def times(self, factor: float) -> "Counts":
        """The counts of so many of the same; a fraction of a unit counts as one."""
        return Counts({key: _up(amount * factor) for key, amount in self.amounts.items()})

    def total(self, resource: Resource) -> int:
        """How much of a resource, whoever used it."""
        return sum(amount for (found, _), amount in self.amounts.items() if found is resource)

    def bill(self) -> Bill:
        """A line for each count that is not 0, in the order of `Resource`, then by name."""
        order = list(Resource)
        keys = sorted(self.amounts, key=lambda key: (order.index(key[0]), key[1]))
        return Bill(tuple(Line(*key, self.amounts[key]) for key in keys if self.amounts[key]))


def _up(value: float) -> int:
    return int(value) + (value > int(value))
