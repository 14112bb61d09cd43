"""deliveries, redeliver: how announcements went, and sending one again."""

from typing import Annotated

import typer

from ratchet.cli.outcome import connect
from ratchet.cli.output import console, note, write_document
from ratchet.cli.task_commands import AsJson, TaskId
from ratchet.contracts import limits
from ratchet.contracts.delivery_api import DeadDeliveryListView, DeliveryListView, DeliveryView

_STYLES = {"delivered": "green", "pending": "yellow", "dead": "red"}
MaybeTaskId = Annotated[
    str | None, typer.Argument(metavar="[TASK_ID]", help="Without: those that were given up.")
]
DeliveryId = Annotated[
    str, typer.Argument(metavar="DELIVERY_ID", help="As `deliveries` prints it.")
]


def deliveries(
    task_id: MaybeTaskId = None,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = limits.DEFAULT_PAGE_SIZE,
    as_json: AsJson = False,
) -> None:
    """Show how a task was announced, with every try; without a task, the announcements that were given up."""
    with connect() as client:
        found: DeliveryListView | DeadDeliveryListView = (
            client.dead_deliveries(limit=limit) if task_id is None else client.deliveries(task_id)
        )
    if as_json:
        write_document(found)
    elif isinstance(found, DeliveryListView):
        for delivery in found.deliveries:
            _print(delivery)
        if not found.deliveries:
            note("The task has neither ended nor asked anything: there is nothing to announce yet.")
    else:
        _print_dead(found)


def redeliver(task_id: TaskId, delivery_id: DeliveryId, *, as_json: AsJson = False) -> None:
    """Send an announcement again, dead or not: the same id and body, ten tries."""
    with connect() as client:
        sent = client.redeliver(task_id, delivery_id)
    if as_json:
        write_document(sent)
        return
    _print(sent)
    note(f"It goes out now; see what comes of it:  ratchet deliveries {task_id}")


def _print(delivery: DeliveryView) -> None:
    out = console()
    status = delivery.status.value
    out.print(f"{status:<10}", end="", style=_STYLES[status])
    tries = "1 try" if delivery.tries == 1 else f"{delivery.tries} tries"
    out.print(f"{delivery.type}  {delivery.channel.value}  {tries}", soft_wrap=True)
    out.print(f"          {delivery.id}", soft_wrap=True)
    for attempt in delivery.attempts:
        out.print(f"          {attempt.at}  {attempt.detail}", soft_wrap=True, markup=False)
    if delivery.next_try_at is not None:
        out.print(f"          next try: {delivery.next_try_at}")


def _print_dead(found: DeadDeliveryListView) -> None:
    if not found.deliveries:
        note("No announcement was given up.")
        return
    for dead in found.deliveries:
        print(f"{dead.task_id}  {dead.id}")
    note("Why:  ratchet deliveries TASK_ID.  Again:  ratchet redeliver TASK_ID DELIVERY_ID")
    if found.next_cursor is not None:
        note("There are more; ask for them with --limit.")
