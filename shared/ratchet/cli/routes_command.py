"""routes: the routing table in force, and putting another one in its place without deploying."""

from pathlib import Path
from typing import Annotated

import typer

from ratchet.cli.aws_clients import clients, stack_outputs
from ratchet.cli.config import ApiConfig, api_config
from ratchet.cli.errors import CliError
from ratchet.cli.outcome import connect
from ratchet.cli.output import console, note, write_document
from ratchet.contracts.deployment_api import RoutingView
from ratchet.contracts.limits import ROUTING_OVERRIDE_SECONDS
from ratchet.contracts.names import Complexity, StepType

SetFile = Annotated[
    Path | None,
    typer.Option("--set", metavar="FILE", help="Put this table in place of the deployed one."),
]
Clear = Annotated[bool, typer.Option("--clear", help="Go back to the deployed table.")]
Stack = Annotated[str, typer.Option(help="The deployment's CloudFormation stack.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def routes(
    *,
    set_file: SetFile = None,
    clear: Clear = False,
    stack: Stack = "Ratchet",
    as_json: AsJson = False,
) -> None:
    """Show the models that a task submitted now would use. --set and --clear need your AWS credentials."""
    if set_file is not None and clear:
        raise CliError("--set and --clear exclude each other", "Say one of them.")
    if set_file is not None or clear:
        table = None if set_file is None else override_text(set_file)
        write_override(api_config(), stack, table)
        if as_json:
            write_document({"source": "deployed" if clear else "override"})
        note(
            f"New tasks use {set_file or 'the deployed table'} within {ROUTING_OVERRIDE_SECONDS} s; "
            "those that exist keep the routes they were submitted with."
        )
        return
    with connect() as client:
        shown = client.routes()
    if as_json:
        write_document(shown)
    else:
        _print(shown)


def override_text(path: Path) -> str:
    """The file as the override is kept.

    Raises:
        CliError: it is no routing table, says nothing, or leads to a model without a price, or to one of embeddings.
    """
    from ratchet.cli.planning_options import catalogue, routing_table  # noqa: PLC0415
    from ratchet.contracts.priced_models import ONLY_EMBEDS, how_to_price  # noqa: PLC0415

    _, table = routing_table(path)
    if not table.model_fields_set:
        raise CliError(
            f"{path} says nothing: it has neither `default` nor `rules`",
            "For the deployed table:  ratchet routes --clear",
        )
    known = catalogue()
    for route in table.pinned().routes():
        for model in route.models:
            if model not in known:
                raise CliError(
                    f"{path} leads to model {model!r}, which has no price", how_to_price(model)
                )
            if known.spec(model).is_embedding:
                raise CliError(
                    f"{path} leads to model {model!r}, {ONLY_EMBEDS}", "Correct the table."
                )
    return table.model_dump_json()


def write_override(config: ApiConfig, stack: str, table: str | None) -> None:
    """Put a table in place of the deployed one in the stack that `config` talks to; None: take it away.

    Raises:
        CliError: AWS refuses, or does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as in `clients`

    from ratchet.adapters.dynamodb_routing import DynamoDbRoutingOverride  # noqa: PLC0415
    from ratchet.contracts.errors import RatchetError  # noqa: PLC0415

    try:
        cloudformation, dynamodb = clients(config, "cloudformation", "dynamodb")
        table_name = stack_outputs(cloudformation, stack)["TableName"]
        DynamoDbRoutingOverride(dynamodb, table=table_name).write(table)
    except (BotoCoreError, ClientError, RatchetError) as exc:
        raise CliError(
            f"the override of stack {stack} cannot be written: {exc}",
            "Sign in to the deployment's AWS account and region with the right to read the stack and to write its "
            "table; --stack names the stack.",
        ) from exc


def _print(shown: RoutingView) -> None:
    from rich.table import Table  # noqa: PLC0415

    models = {(r.step, r.complexity): ", ".join(r.models) for r in shown.routes}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("step type", *Complexity):
        table.add_column(title, no_wrap=True)
    for step in StepType:
        table.add_row(step.value, *(models.get((step, level), "") for level in Complexity))
    out = console()
    out.print(table)
    where = "the deployed table" if shown.source == "deployed" else "an override"
    out.print(f"\nIn force: {where}.")
    if shown.problem is not None:
        note(f"The override cannot be used: {shown.problem}")
