"""The CDK app. The context is read here and nowhere else."""

import sys

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from cdk.bundling import ROOT, BundlingError, build_bundle
from cdk.deployment import Deployment
from cdk.models import embedding_models, models_document
from cdk.requirements_closure import ClosureError
from cdk.stacks import RatchetStack
from ratchet.contracts.providers import Providers
from ratchet.contracts.routing import RoutingTable


def main() -> None:
    """Synthesize into the folder that the CDK CLI (or `cdk.synth`) names."""
    try:
        app = build_app()
    except (BundlingError, ClosureError, OSError, ValueError) as exc:
        sys.exit(f"{type(exc).__name__}: {exc}")
    app.synth()


def build_app() -> App:
    """The construct tree of one deployment.

    Raises:
        ValueError: the context, the routing table, the models or the providers are wrong, or a route's model has no
            price.
        BundlingError: a function or a layer cannot be built.
    """
    app = App(analytics_reporting=False)
    deployment = Deployment.from_context(
        {key: app.node.try_get_context(key) for key in Deployment.context_keys()}
    )
    models = models_document(ROOT / deployment.routing, ROOT / deployment.models)
    routing = RoutingTable.load(ROOT / deployment.routing)
    providers = Providers.load(ROOT / deployment.providers)
    providers.require_routes_to(routing.models | embedding_models(ROOT / deployment.models))
    RatchetStack(
        app,
        deployment=deployment,
        routing=routing,
        providers=providers,
        bundle=build_bundle(deployment.architecture, models=models),
    )
    if deployment.nag:
        Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


if __name__ == "__main__":
    main()
