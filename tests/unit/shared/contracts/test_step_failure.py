import json

import pytest

from ratchet.contracts.step_failure import MAX_CAUSE_CHARS, failure_text

DENIED = (
    "GetSecretValue was refused: An error occurred (AccessDeniedException) when calling the GetSecretValue operation: "
    "User: {} is not authorized to perform: secretsmanager:GetSecretValue on resource: {}"
)
ROLE = "arn:aws:sts::123456789012:assumed-role/Ratchet-StepExecutorRole452FB846-x1/Ratchet-StepExecutor"
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:ModelKey-AbCdEf"


def caught(error: str, message: str) -> dict[str, str]:
    """What a Catch receives of an error that a function has raised."""
    frames = ['  File "/var/task/ratchet/adapters/secrets.py", line 41, in get\n    text = secret']
    told = {"errorMessage": message, "errorType": error, "requestId": "r1", "stackTrace": frames}
    return {"Error": error, "Cause": json.dumps(told)}


def test_what_was_refused_is_told_and_nothing_of_where_we_run() -> None:
    refused = caught("ServiceRefused", DENIED.format(ROLE, SECRET))
    assert failure_text(refused) == f"ServiceRefused: {DENIED.format('(an ARN)', '(an ARN)')}"


def test_of_a_bug_its_class_is_told_and_not_its_places() -> None:
    bug = caught("UnexpectedError", "KeyError\n  /var/task/ratchet/app/execute_step.py:12 in run")
    assert failure_text(bug) == "UnexpectedError: KeyError"


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("RequestId: r1 Error: Task timed out", "RequestId: r1 Error: Task timed out"),
        ("Function not found: arn:aws:lambda:eu-1:1:function:f:7", "Function not found: (an ARN)"),
        ('{"errorMessage": "cut off in the mid', ""),
        ('{"errorMessage": null}', ""),
        ("{" * 30_000, ""),
        ("x" * 400, "x" * MAX_CAUSE_CHARS),
        ("one\ntwo", "one"),
    ],
)
def test_of_any_other_cause_the_first_line_is_told(cause: str, told: str) -> None:
    assert failure_text({"Error": "Lambda.Unknown", "Cause": cause}) == f"Lambda.Unknown: {told}"


def test_a_step_that_was_not_given_up_has_no_failure() -> None:
    assert failure_text(None) is None
    assert failure_text({}) == "Unknown: "
