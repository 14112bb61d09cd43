"""The functions: what each is told, how large it is, and what it carries."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk.bundling import Bundle
from cdk.components.python_function import Code, Platform, PythonFunction, Size
from cdk.deployment import Deployment
from ratchet.contracts.settings import Settings

API_TIMEOUT = Duration.seconds(29)  # API Gateway gives up at 30 s
AUTHORIZER_TIMEOUT = Duration.seconds(10)
DISPATCHER_TIMEOUT = Duration.seconds(30)
SCHEDULER_TIMEOUT = Duration.seconds(30)
DELIVERER_TIMEOUT = Duration.seconds(60)
SWEEPER_TIMEOUT = Duration.seconds(50)  # before the next minute's run


@dataclass(frozen=True, slots=True)
class FunctionFactory:
    """Makes a function from its name and settings; everything else follows from the deployment."""

    scope: Construct
    deployment: Deployment
    bundle: Bundle
    platform: Platform
    layers: Mapping[str, lambda_.ILayerVersion]

    @classmethod
    def create(
        cls, scope: Construct, *, deployment: Deployment, bundle: Bundle, platform: Platform
    ) -> "FunctionFactory":
        """Add the layers to the stack, then make functions that use them."""
        layers = {
            name: lambda_.LayerVersion(
                scope,
                f"{name.capitalize()}Layer",
                code=lambda_.Code.from_asset(str(archive)),
                compatible_runtimes=[platform.runtime],
                compatible_architectures=[platform.architecture],
            )
            for name, archive in bundle.layers.items()
        }
        return cls(scope, deployment, bundle, platform, layers)

    def make(
        self, name: str, settings: Settings, timeout: Duration, *, extra: str | None = None
    ) -> PythonFunction:
        """The function of `functions/<name>`, with the base layer and perhaps one more."""
        layers = [self.layers["base"], *([self.layers[extra]] if extra else [])]
        return PythonFunction(
            self.scope,
            code=Code(name, self.bundle.functions[name], layers),
            size=Size(getattr(self.deployment, f"{name}_memory_mb"), timeout),
            settings=settings,
            platform=self.platform,
        )
