"""The models as this deployment of Ratchet serves them: one address, or several with quotas."""

import functools

from ratchet.adapters.aws import client
from ratchet.adapters.openai_chat import OpenAiChat
from ratchet.adapters.secrets import Secrets
from ratchet.contracts.settings import NO_PROVIDERS, StepExecutorSettings
from ratchet.domain.models import ModelCatalogue
from ratchet.model_ports import ModelProvider
from ratchet.ports import Clock


def chat_model(
    settings: StepExecutorSettings, clock: Clock, *, models: ModelCatalogue
) -> ModelProvider:
    """What answers model calls; without deployments, one client of the one address."""
    secrets = Secrets(client("secretsmanager"), clock)
    elsewhere = OpenAiChat(
        settings.model_base_url,
        api_key=functools.partial(secrets.get, settings.model_key_secret_arn),
        clock=clock,
        models=models,
    )
    if settings.providers == NO_PROVIDERS:
        return elsewhere
    # A cold start pays only for what is configured.
    from functions.step_executor.deployments import Wiring, provider_chat  # noqa: PLC0415

    return provider_chat(settings, Wiring(clock, secrets, models, elsewhere))
