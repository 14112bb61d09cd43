from collections.abc import Iterator

import pytest

from ratchet.local.stack import LocalStack
from tests.integration.local.builder import STACK, Assembly, att
from tests.integration.local.machines import FUNCTIONS, HANDLERS, Machines


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    assembly = Assembly(tmp_path_factory.mktemp("cdk.out"))
    for name in FUNCTIONS:
        assembly.function(name, f"handlers.{name}")
        assembly.output(name, att(name, "Arn"))
    assembly.function("throttled", "handlers.echo", ReservedConcurrentExecutions=0)
    assembly.output("throttled", att("throttled", "Arn"))
    assembly.add("Topic", "AWS::SNS::Topic")
    assembly.add("Queue", "AWS::SQS::Queue")
    assembly.add(
        "Table",
        "AWS::DynamoDB::Table",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for name in ("Topic", "Queue", "Table"):
        assembly.output(name, {"Ref": name})
    with LocalStack.start(assembly.write(HANDLERS), stack_name=STACK) as stack:
        yield Machines(stack)
