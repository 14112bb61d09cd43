"""What must not stand in the environment, the code or the logs."""

import json

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from cdk.components.acknowledged import acknowledge
from ratchet.contracts.providers import Providers

MAX_SETTING_CHARS = 3_000
"""Lambda takes 4 KB of environment in all."""


class Secrets(Construct):
    """Generated at deployment; the team replaces the model key with its provider's."""

    def __init__(self, scope: Construct, id_: str, *, api_keys: bool, key: kms.IKey | None) -> None:
        super().__init__(scope, id_)
        self.model_key = secretsmanager.Secret(
            self,
            "ModelKey",
            description="API key of the model provider: put yours in place of the generated text.",
            encryption_key=key,
            generate_secret_string=letters_and_digits(),
        )
        self.webhook = secretsmanager.Secret(
            self,
            "WebhookSecret",
            description="Root key: the secrets of webhooks (Standard Webhooks v1) and the key of "
            "cursors are made from it.",
            encryption_key=key,
            generate_secret_string=letters_and_digits(),
        )
        self.api_keys = (
            secretsmanager.Secret(
                self,
                "ApiKeys",
                description="Keys that callers of the API send as x-api-key, and their tenants.",
                encryption_key=key,
                generate_secret_string=letters_and_digits('{"tenant":"default"}', "key"),
            )
            if api_keys
            else None
        )
        acknowledge(
            self,
            {"SMG4": "Each has a holder outside this account: only the team can rotate it."},
        )


class ProviderKeys(Construct):
    """The API keys of the providers: a secret for each deployment that names none of its own."""

    def __init__(
        self, scope: Construct, id_: str, *, providers: Providers, key: kms.IKey | None
    ) -> None:
        super().__init__(scope, id_)
        self._made = {
            d.name: secretsmanager.Secret(
                self,
                f"Key-{d.name}",
                description=f"API key of model deployment {d.name}: put it in place of the "
                "generated text.",
                encryption_key=key,
                generate_secret_string=letters_and_digits(),
            )
            for d in providers.deployments
            if d.secret_arn is None
        }
        self._arns = {
            d.name: d.secret_arn or self._made[d.name].secret_arn for d in providers.deployments
        }
        self._providers = providers
        acknowledge(
            self,
            {"SMG4": "Each has a holder outside this account: only the team can rotate it."},
        )

    def setting(self) -> str:
        """What step_executor is told of the deployments, with the ARNs of their keys.

        Raises:
            ValueError: there are more than fit into a function's environment.
        """
        if not self._providers.deployments:
            return self._providers.to_setting()
        told = self._providers.model_dump(mode="json", exclude_defaults=True)
        for deployment in told["deployments"]:
            deployment["secret_arn"] = self._arns[deployment["name"]]
        text = json.dumps(told, separators=(",", ":"))
        size = len(text) + 60 * len(self._made)  # a token is shorter than the ARN it stands for
        if size > MAX_SETTING_CHARS:
            raise ValueError(
                f"providers.yaml needs {size} characters in the function's environment and "
                f"{MAX_SETTING_CHARS} fit: name fewer deployments"
            )
        return text

    def outputs(self) -> dict[str, str]:
        """The secrets that were made, as one stack output: name=arn,name=arn."""
        pairs = [f"{name}={made.secret_arn}" for name, made in self._made.items()]
        return {"ProviderKeySecretArns": ",".join(pairs)} if pairs else {}

    def grant_read(self, grantee: iam.IGrantable) -> None:
        """Allow to read exactly these secrets."""
        given = sorted({d.secret_arn for d in self._providers.deployments if d.secret_arn})
        for made in self._made.values():
            made.grant_read(grantee)
        if given:
            iam.Grant.add_to_principal(
                grantee=grantee, actions=["secretsmanager:GetSecretValue"], resource_arns=given
            )


def letters_and_digits(
    template: str | None = None, key: str | None = None
) -> secretsmanager.SecretStringGenerator:
    """Generate 40 of them: alone, or as the value of `key` in a JSON `template`."""
    return secretsmanager.SecretStringGenerator(
        password_length=40,
        exclude_punctuation=True,
        secret_string_template=template,
        generate_string_key=key,
    )
