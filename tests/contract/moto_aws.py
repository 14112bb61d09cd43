"""AWS as moto plays it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from moto import mock_aws

from ratchet.adapters import aws
from ratchet.local.patches import dynamodb


@contextmanager
def mocked_aws() -> Iterator[None]:
    """AWS as moto plays it, as fast as in the local stack, with clients made for it."""
    dynamodb.install()
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        aws.forget_clients()
        yield
        aws.forget_clients()
