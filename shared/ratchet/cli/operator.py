"""What an operator does past the API, with AWS credentials: the clients and the outputs of a deployment's stack."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ratchet.cli.aws_clients import clients, stack_outputs
from ratchet.cli.config import ApiConfig, api_config
from ratchet.cli.errors import CliError


@dataclass(frozen=True, slots=True)
class Operator:
    """Access to one deployment."""

    config: ApiConfig
    outputs: dict[str, str]

    def client(self, service: str) -> Any:
        """An AWS client where the deployment is."""
        (made,) = clients(self.config, service)
        return made


@contextmanager
def operating(stack: str, doing: str) -> Iterator[Operator]:
    """Access to a stack; what goes wrong with it is told as `doing` having failed.

    Raises:
        CliError: AWS refuses, or does not answer, or the request cannot be met.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as in clients

    from ratchet.contracts.errors import RatchetError  # noqa: PLC0415
    from ratchet.contracts.request_errors import RequestError  # noqa: PLC0415

    config = api_config()
    try:
        (cloudformation,) = clients(config, "cloudformation")
        yield Operator(config, stack_outputs(cloudformation, stack))
    except RequestError as exc:
        raise CliError(f"{doing}: {exc}") from exc
    except (BotoCoreError, ClientError, RatchetError) as exc:
        raise CliError(
            f"{doing}: {exc}",
            "Sign in to the deployment's AWS account and region with the right to read the stack and to read and "
            "write its table; --stack names the stack.",
        ) from exc
