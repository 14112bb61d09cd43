"""What a provider's refusals mean."""

from dataclasses import replace

import pytest

from ratchet.adapters.openai_errors import Refusal, retry_after_seconds, said
from ratchet.contracts.errors import (
    ContextOverflow,
    ModelError,
    ModelRejected,
    ModelThrottled,
    ModelUnavailable,
)

CANARY = "canary 5417"


def refusal(status: int, code: str | None = None, message: str = "", **headers: str) -> Refusal:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Refusal("model.test", "gpt-4o", status, code, None, None, message, named)


@pytest.mark.parametrize(
    ("said", "error", "hint"),
    [
        (refusal(429, "rate_limit_exceeded"), ModelThrottled, "limits the rate"),
        (refusal(429, "insufficient_quota"), ModelRejected, "add credit"),
        (refusal(429, "billing_hard_limit_reached"), ModelRejected, "add credit"),
        (refusal(402), ModelRejected, "add credit"),
        (refusal(429, "exceeded_current_quota_error"), ModelRejected, "add credit"),
        (refusal(429, message="is suspended due to insufficient balance"), ModelRejected, "credit"),
        (refusal(429, "1113", "余额不足或无可用资源包,请充值。"), ModelRejected, "add credit"),
        (refusal(400, message="Your credit balance is too low"), ModelRejected, "add credit"),
        (refusal(429, message="Request too large for gpt-4o"), ModelRejected, "rate limit"),
        (refusal(401, "invalid_api_key"), ModelRejected, "put a valid key into the secret"),
        (refusal(400, message="API key not valid."), ModelRejected, "put a valid key into"),
        (refusal(403), ModelRejected, "access to model 'gpt-4o'"),
        (refusal(404, "model_not_found"), ModelRejected, "routing table"),
        (refusal(400, "context_length_exceeded"), ContextOverflow, "too long"),
        (refusal(400, "400", "maximum context length is 8192"), ContextOverflow, "too long"),
        (refusal(413), ContextOverflow, "too long"),
        (refusal(400, "unsupported_parameter"), ModelRejected, "unsupported_parameter"),
        (refusal(422), ModelRejected, "422"),
        (refusal(308), ModelRejected, "final address"),
        (refusal(408), ModelUnavailable, "408"),
        (refusal(409), ModelUnavailable, "409"),
        (refusal(500, x_request_id="req_1"), ModelUnavailable, "request req_1"),
        (refusal(503), ModelUnavailable, "model.test"),
        (refusal(529), ModelUnavailable, "529"),
    ],
)
def test_a_refusal_becomes_the_error_that_says_what_happens_next(
    said: Refusal, error: type[ModelError], hint: str
) -> None:
    raised = said.to_error(0)
    assert type(raised) is error
    assert hint in str(raised)


@pytest.mark.parametrize(
    "words",
    [
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "Input is too long for requested model.",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "Invalid request: Your request exceeded model token limit: 262144",
        "Prompt exceeds max length",
    ],
)
def test_a_prompt_that_is_too_long_is_known_by_each_providers_words(words: str) -> None:
    assert isinstance(refusal(400, message=words).to_error(0), ContextOverflow)


@pytest.mark.parametrize(
    "body",
    [
        [{"error": {"code": 400, "message": "too long"}}],  # Gemini
        {"detail": [{"msg": "too long", "input": CANARY}]},  # FastAPI
        {"message": "no", "metadata": {"raw": '{"message": "too long"}'}},  # OpenRouter
        "too long",
    ],
)
def test_the_words_of_a_refusal_are_found_wherever_a_provider_puts_them(body: object) -> None:
    assert "too long" in said(body)
    assert CANARY not in said(body)


@pytest.mark.parametrize(
    ("status", "may_have_spent"),
    [
        *((status, False) for status in (400, 401, 402, 403, 404, 408, 409, 413, 422, 429)),
        *((status, True) for status in (500, 502, 504, 520)),
        *((status, False) for status in (503, 529)),
    ],
)
def test_only_a_failure_while_the_model_may_have_run_may_have_spent(
    status: int, may_have_spent: bool
) -> None:
    assert refusal(status).to_error(0).may_have_spent is may_have_spent


def test_only_codes_are_quoted_from_a_refusal_not_words() -> None:
    quoting = refusal(400, code=f"bad {CANARY}", message=CANARY)
    assert CANARY not in str(replace(quoting, param=f"{CANARY} x").to_error(0))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry-after": "Tue, 14 Nov 2022 22:13:50 GMT"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, 1_700_000_000_000) == seconds
