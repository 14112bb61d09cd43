"""The span sink of a deployment that has one."""

import functools
from typing import Protocol

from ratchet.adapters.aws import client
from ratchet.adapters.secrets import Secrets
from ratchet.contracts.settings import NO_SPANS
from ratchet.contracts.xray import SERVICE, region_of
from ratchet.ports import Clock
from ratchet.tracing_ports import SpanSink


class TracedSettings(Protocol):
    """The part of a function's settings that says where spans go."""

    @property
    def otlp_endpoint(self) -> str:
        """A URL, or NO_SPANS."""
        ...

    @property
    def otlp_headers_secret_arn(self) -> str:
        """What the endpoint wants to see."""
        ...


def span_sink(settings: TracedSettings, clock: Clock, *, service: str) -> SpanSink | None:
    """Where spans go; None, and nothing is imported for it, when no endpoint is set."""
    if settings.otlp_endpoint == NO_SPANS:
        return None
    from ratchet.adapters.otlp import OtlpSpans  # noqa: PLC0415 - off costs nothing

    region = region_of(settings.otlp_endpoint)
    if region is not None:
        from ratchet.adapters.signed_spans import signer  # noqa: PLC0415 - of this endpoint alone

        return OtlpSpans(
            settings.otlp_endpoint,
            headers=str,
            service=service,
            monotonic=clock.monotonic,
            sign=signer(SERVICE, region),
        )
    secrets = Secrets(client("secretsmanager"), clock)
    headers = functools.partial(secrets.get, settings.otlp_headers_secret_arn)
    return OtlpSpans(
        settings.otlp_endpoint, headers=headers, service=service, monotonic=clock.monotonic
    )
