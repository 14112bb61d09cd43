"""Where each model is served: providers.yaml, read by the CDK app and handed to step_executor as one setting.

    deployments:
      - {name: openai, model: gpt-4o, base_url: https://api.openai.com/v1, rpm: 10000, tpm: 2000000}
      - {name: azure-eu, model: gpt-4o, base_url: https://..., model_there: gpt4o-eu, weight: 3}

A model that no deployment names is asked at the stack's ModelBaseUrl, as without the file.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Count = Annotated[int, Field(ge=1, le=10**10)]


class ProviderDeployment(BaseModel):
    """One model at one provider's account and address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
    model: Annotated[str, Field(min_length=1, max_length=128)]  # as routing.yaml calls it
    base_url: str
    model_there: str | None = None  # what the provider calls it; the same when absent
    secret_arn: str | None = None  # of its API key; without one, the stack makes a secret
    weight: Annotated[int, Field(ge=0, le=1000)] = 1  # 0: asked only when the others cannot answer
    rpm: Count | None = None  # requests a minute
    tpm: Count | None = None  # tokens a minute
    counts_output_limit: bool = False  # tpm counts what a call may write, not what it writes
    timeout_seconds: Annotated[float, Field(gt=0, le=900)] | None = None

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")):
            raise ValueError("it must begin with https:// (or http://)")
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError("it names no host")
        if parts.query or parts.fragment:
            # Calls append their path to the address.
            raise ValueError("it must end with a path; Azure's /openai/v1 needs no ?api-version")
        return url.rstrip("/")

    @field_validator("secret_arn")
    @classmethod
    def _is_whole_arn(cls, arn: str | None) -> str | None:
        # A CDK token stands for an ARN until the template is written.
        if arn is not None and not arn.startswith(("arn:", "${Token[")):
            raise ValueError("it must be the whole ARN of a secret (arn:aws:secretsmanager:...)")
        return arn


class Providers(BaseModel):
    """All deployments. The order matters only to those of weight 0: they are asked in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deployments: tuple[ProviderDeployment, ...] = ()

    @model_validator(mode="after")
    def _can_be_told_apart_and_used(self) -> Self:
        names = [deployment.name for deployment in self.deployments]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two deployments are called {twice[0]!r}; give each its own name")
        used = {d.model for d in self.deployments if d.weight}
        idle = sorted({d.model for d in self.deployments} - used)
        if idle:
            raise ValueError(f"every deployment of {idle[0]!r} has weight 0; raise one of them")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and validate a YAML file.

        Raises:
            ValueError: the file is not valid (pydantic's error names the place).
        """
        import yaml  # noqa: PLC0415 - functions import this module without carrying PyYAML

        try:
            said = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as exc:
            raise ValueError(f"{path}: is not YAML: {exc}") from None
        return cls.model_validate(said or {})

    def require_routes_to(self, models: Collection[str]) -> None:
        """Refuse a deployment that no route can reach: its model is most likely misspelt.

        Raises:
            ValueError: a deployment serves a model that is not among `models`.
        """
        for deployment in self.deployments:
            if deployment.model not in models:
                raise ValueError(
                    f"deployment {deployment.name!r} serves {deployment.model!r}, which no route names; "
                    f"correct it, or add it to a route (they name {', '.join(sorted(models))})"
                )

    def to_setting(self) -> str:
        """The JSON that step_executor is told (NO_PROVIDERS if there are none); `from_setting` reads it."""
        return self.model_dump_json(exclude_defaults=True)

    @classmethod
    def from_setting(cls, text: str) -> Self:
        """Read the setting.

        Raises:
            ValueError: it was not written by `to_setting`.
        """
        return cls.model_validate_json(text)
