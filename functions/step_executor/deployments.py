"""The deployments that providers.yaml names, each with its client. Imported only where there are some."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from ratchet.adapters.aws import client
from ratchet.adapters.dynamodb_providers import DynamoDbProviders
from ratchet.adapters.openai_chat import Names, OpenAiChat
from ratchet.adapters.secrets import Secrets
from ratchet.app.provider_chat import ProviderChat
from ratchet.contracts.providers import ProviderDeployment, Providers
from ratchet.contracts.settings import StepExecutorSettings
from ratchet.domain.deployments import Deployment
from ratchet.domain.models import ModelCatalogue
from ratchet.domain.quota import Quota
from ratchet.model_ports import ModelProvider
from ratchet.ports import Clock


@dataclass(frozen=True, slots=True)
class Wiring:
    """What all clients share; models without a deployment go `elsewhere`."""

    clock: Clock
    secrets: Secrets
    models: ModelCatalogue
    elsewhere: ModelProvider


def provider_chat(settings: StepExecutorSettings, wiring: Wiring) -> ProviderChat:
    """A model over all deployments."""
    known = Providers.from_setting(settings.providers).deployments
    state = DynamoDbProviders(client("dynamodb"), table=settings.table_name, clock=wiring.clock)
    return ProviderChat(
        map(_deployment, known),
        clients=_clients({d.name: d for d in known}, wiring),
        elsewhere=wiring.elsewhere,
        state=state,
        clock=wiring.clock,
    )


def _clients(
    known: dict[str, ProviderDeployment], wiring: Wiring
) -> Callable[[str], ModelProvider]:
    @functools.cache  # a client is a connection pool: made for those that are asked
    def client_of(name: str) -> ModelProvider:
        found = known[name]
        return OpenAiChat(
            found.base_url,
            api_key=functools.partial(wiring.secrets.get, str(found.secret_arn)),
            clock=wiring.clock,
            models=wiring.models,
            names=Names(name, found.model_there),
        )

    return client_of


def _deployment(found: ProviderDeployment) -> Deployment:
    is_limited = found.rpm is not None or found.tpm is not None
    quota = Quota(found.rpm, found.tpm, found.counts_output_limit) if is_limited else None
    return Deployment(found.name, found.model, found.weight, quota, found.timeout_seconds)
