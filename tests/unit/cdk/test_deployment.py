"""The context: defaults, parsing, refusals."""

import dataclasses

import pytest

from cdk.deployment import BadContext, Deployment


def test_an_empty_context_is_the_default_deployment() -> None:
    assert Deployment.from_context({"auth": None}) == Deployment()


def test_values_are_read_as_text_as_the_cli_sends_them() -> None:
    given = {"step_timeout_seconds": "120", "kms": "true", "log_level": "DEBUG"}
    deployment = Deployment.from_context(given)
    assert deployment == dataclasses.replace(
        Deployment(), step_timeout_seconds=120, kms=True, log_level="DEBUG"
    )


def test_values_are_read_as_json_as_cdk_json_has_them() -> None:
    deployment = Deployment.from_context({"step_timeout_seconds": 120, "kms": True})
    assert (deployment.step_timeout_seconds, deployment.kms) == (120, True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auth", "none"),
        ("log_level", "info"),
        ("architecture", "riscv"),
        ("removal", "snapshot"),
        ("kms", "yes"),
        ("step_timeout_seconds", "900"),
        ("step_timeout_seconds", "fast"),
        ("dispatcher_concurrency", "1"),
        ("throttle_rate", "-1"),
    ],
)
def test_a_value_that_no_deployment_can_have_is_refused_by_name(key: str, value: str) -> None:
    with pytest.raises(BadContext, match=key):
        Deployment.from_context({key: value})


def test_a_stage_has_a_stack_of_its_own() -> None:
    assert Deployment().full_name == "Ratchet"
    assert Deployment.from_context({"stage": "test"}).full_name == "Ratchet-test"
