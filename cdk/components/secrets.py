"""What must not stand in the environment, the code or the logs."""

from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from cdk.components.acknowledged import acknowledge


class Secrets(Construct):
    """Generated at deployment; the team replaces the model key with its provider's."""

    def __init__(self, scope: Construct, id_: str, *, api_keys: bool) -> None:
        super().__init__(scope, id_)
        self.model_key = secretsmanager.Secret(
            self,
            "ModelKey",
            description="API key of the model provider: put yours in place of the generated text.",
            generate_secret_string=_letters_and_digits(),
        )
        self.webhook = secretsmanager.Secret(
            self,
            "WebhookSecret",
            description="Signs webhooks (Standard Webhooks v1); receivers verify with it.",
            generate_secret_string=_letters_and_digits(),
        )
        self.api_keys = (
            secretsmanager.Secret(
                self,
                "ApiKeys",
                description="Keys that callers of the API send as x-api-key, and their tenants.",
                generate_secret_string=_letters_and_digits('{"tenant":"default"}', "key"),
            )
            if api_keys
            else None
        )
        acknowledge(
            self,
            {"SMG4": "Each has a holder outside this account: only the team can rotate it."},
        )


def _letters_and_digits(
    template: str | None = None, key: str | None = None
) -> secretsmanager.SecretStringGenerator:
    return secretsmanager.SecretStringGenerator(
        password_length=40,
        exclude_punctuation=True,
        secret_string_template=template,
        generate_string_key=key,
    )
