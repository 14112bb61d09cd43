"""AWS::Scheduler types."""

from ratchet.local.runtime import Runtime
from ratchet.local.template.resource import Created, Wanted, resource


@resource("AWS::Scheduler::ScheduleGroup", honours="Name", name_limit=64)
def schedule_group(runtime: Runtime, wanted: Wanted) -> Created:
    """A group of schedules; they are made through the API."""
    client = runtime.endpoint.client("scheduler")
    arn = client.create_schedule_group(Name=wanted.name)["ScheduleGroupArn"]
    return Created(wanted.name, {"Arn": arn, "Name": wanted.name, "State": "ACTIVE"})
