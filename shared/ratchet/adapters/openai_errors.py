"""What a provider's refusal means for the task. Texts name the host and its codes, never the key or the prompt."""

import email.utils
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ratchet.contracts.errors import (
    ContextOverflow,
    ModelError,
    ModelRejected,
    ModelThrottled,
    ModelUnavailable,
)

# https://platform.openai.com/docs/guides/error-codes
_NO_MONEY = frozenset(
    {
        *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active"),
        *("access_terminated", "exceeded_current_quota_error"),
    }
)
# Moonshot, Z.ai and Anthropic say it in words, the first two with a 429 that no wait mends.
_NO_MONEY_WORDS = re.compile(r"insufficient balance|balance is too low|余额不足", re.IGNORECASE)
_OVERFLOW_CODES = frozenset({"context_length_exceeded", "string_above_max_length"})
# Other servers say it in words only; each of the later lines is one provider's.
_OVERFLOW_WORDS = re.compile(
    r"context (length|window|size|limit)|prompt is too long"  # vLLM, LiteLLM, llama.cpp, Anthropic, Mistral
    r"|input token count.{0,40} exceeds the maximum"  # Gemini
    r"|input is too long for (the )?requested model"  # Bedrock
    r"|maximum prompt length is"  # xAI
    r"|longer than the maximum model length"  # vLLM
    r"|exceeded model token limit"  # Moonshot
    r"|prompt exceeds max length",  # Z.ai
    re.IGNORECASE,
)
# xAI and Gemini say it with a 400.
_BAD_KEY_WORDS = re.compile(
    r"(incorrect|invalid) api key|api key not valid|API_KEY_INVALID", re.IGNORECASE
)
_TOO_LARGE_FOR_RATE = re.compile(r"request too large", re.IGNORECASE)
# Answered instead of the call (RFC 9110 15.5.9 and 15.6.4; 529: overloaded): the model has not run.
_NOT_RUN = frozenset({408, 409, 503, 529})
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer other than 2xx; `message` is read for signs, and never passed on."""

    host: str
    model: str
    status: int
    code: str | None
    type: str | None
    param: str | None
    message: str
    headers: Mapping[str, str]

    def to_error(self, now_ms: int) -> ModelError:
        """The error that says what happens next."""
        if self._is_unpaid():
            return ModelRejected(
                f"the provider account behind {self.host} has no money left ({self._described()}): "
                "add credit or raise its limit"
            )
        if self.status == 429:
            return self._throttled(now_ms)
        if self._is_overflow():
            return ContextOverflow(
                f"the prompt is too long for model {self.model!r} at {self.host} "
                f"({self._described()})"
            )
        if self.status in {408, 409} or self.status >= 500:
            return ModelUnavailable(
                f"{self.host} failed ({self._described()})",
                may_have_spent=self.status not in _NOT_RUN,
            )
        return ModelRejected(self._advice())

    def _is_unpaid(self) -> bool:
        if self.status not in {400, 403, 429}:
            return self.status == 402
        is_coded = bool({self.code, self.type} & _NO_MONEY)
        return is_coded or _NO_MONEY_WORDS.search(self.message) is not None

    def _is_overflow(self) -> bool:
        if self.status == 413:
            return True
        return self.status in {400, 422} and (
            self.code in _OVERFLOW_CODES or _OVERFLOW_WORDS.search(self.message) is not None
        )

    def _throttled(self, now_ms: int) -> ModelError:
        if _TOO_LARGE_FOR_RATE.search(self.message):
            return ModelRejected(
                f"one request for model {self.model!r} is larger than {self.host} allows the account "
                f"per minute ({self._described()}): raise the account's rate limit"
            )
        wait = retry_after_seconds(self.headers, now_ms)
        return ModelThrottled(f"{self.host} limits the rate ({self._described()})", wait)

    def _advice(self) -> str:
        what = self._described()
        if is_bad_key(self.status, self.message):
            return (
                f"{self.host} refused the API key ({what}): put a valid key into the secret "
                "of the model provider (setting model_key_secret_arn, or the deployment's in providers.yaml)"
            )
        if self.status == 403:
            return (
                f"{self.host} does not allow this call ({what}): give the API key in the secret "
                f"access to model {self.model!r}"
            )
        if self.status == 404:
            return (
                f"{self.host} does not know model {self.model!r} ({what}): correct the routing "
                "table, or the address (setting model_base_url, or the deployment in providers.yaml)"
            )
        if self.status < 400:
            return f"{self.host} redirects ({what}): set model_base_url to the final address"
        return f"{self.host} refuses the request for model {self.model!r} ({what})"

    def _described(self) -> str:
        words = [str(self.status)]
        words += [w for w in (self.code or self.type,) if w and _IDENTIFIER.fullmatch(w)]
        text = " ".join(words)
        if self.param and _IDENTIFIER.fullmatch(self.param):
            text += f", parameter {self.param}"
        request_id = self.headers.get("x-request-id", "")
        return f"{text}, request {request_id}" if _IDENTIFIER.fullmatch(request_id) else text


def is_bad_key(status: int, message: str) -> bool:
    """Whether a refusal with these words (`said`) is of the API key."""
    return status == 401 or (status == 400 and _BAD_KEY_WORDS.search(message) is not None)


def said(body: object) -> str:
    """All words of a refusal's JSON: providers put them under `error`, `detail`, `metadata`, or into a list.

    Without what it quotes of the request (`input`): a prompt may hold any words.
    """
    found, left = list[str](), [body]
    while left:
        item = left.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, list):
            left += item
        elif isinstance(item, dict):
            left += (value for name, value in item.items() if name != "input")
    return "\n".join(found)


def retry_after_seconds(headers: Mapping[str, str], now_ms: int) -> float | None:
    """How long the provider asks to wait; None if it does not say. `headers` has lower-case names."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, date.timestamp() - now_ms / 1000)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None
