"""Any OpenAI-compatible server, its chat completions and embeddings: the only module that imports the openai SDK."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import httpx2
import openai

from ratchet.adapters.openai_answer import (
    UnreadableAnswer,
    error_in,
    parse_answer,
    parse_embedding,
)
from ratchet.adapters.openai_dialect import Dialect
from ratchet.adapters.openai_errors import Refusal, is_bad_key, said
from ratchet.adapters.openai_transport import DeadlineTransport
from ratchet.contracts.errors import ModelError, ModelRejected, ModelUnavailable
from ratchet.domain.chat_request import request_body
from ratchet.domain.models import ModelCatalogue, built_in
from ratchet.model_ports import Embedding, EmbeddingCall, ModelAnswer, ModelCall
from ratchet.ports import Clock


class ApiKey(Protocol):
    """Where the key comes from (`partial(secrets.get, arn)`); `fresh` asks again, for a key that was just refused."""

    def __call__(self, *, fresh: bool = False) -> str:
        """The key. Raises SecretUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Names:
    """What a deployment is called here, in errors, and what its provider calls the model."""

    here: str = ""
    there: str | None = None


class OpenAiChat:
    """A `ChatModel`. No SDK retries; `ModelCall.timeout_seconds` bounds the whole call, slow bodies included.

    `names` tells deployments of the model apart.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: ApiKey,
        clock: Clock,
        models: ModelCatalogue | None = None,
        names: Names | None = None,
    ) -> None:
        if not base_url.startswith(("https://", "http://")):
            raise ValueError(f"model_base_url={base_url!r} is not an http address")
        self._api_key = api_key
        self._clock = clock
        self._models = built_in() if models is None else models
        self._names = names or Names()
        host = urlsplit(base_url).netloc.rpartition("@")[2]
        self._host = f"{host} (deployment {self._names.here})" if self._names.here else host
        # By model: behind one address there may be several providers.
        self._dialects: dict[str, Dialect] = {}
        self._transport = DeadlineTransport(clock)
        self._client = openai.OpenAI(
            base_url=base_url,
            api_key="given with each call",
            max_retries=0,
            http_client=httpx2.Client(transport=self._transport, follow_redirects=False),
        )

    def complete(self, call: ModelCall) -> ModelAnswer:
        """One call; a refused key is fetched again once, and only a new one is tried.

        What the server refuses to take of the request is put as it takes it, from then on.

        Raises:
            ModelThrottled, ModelUnavailable, ModelRejected, ContextOverflow
            UnpricedModel: the model is not in the catalogue.
            AttemptSuperseded: the call was given up, since nobody wants its answer.
        """
        spec = self._models.spec(call.model)
        body = request_body(call.prompt, spec, max_output_tokens=call.max_output_tokens)
        body["model"] = self._names.there or call.model
        answer = self._ask("/chat/completions", body, call)
        try:
            parsed = parse_answer(answer, call, spec)
        except UnreadableAnswer as exc:
            raise self._unreadable(answer, exc, call.model) from exc
        dialect = self._dialects[body["model"]]
        self._dialects[body["model"]] = dialect.after_answer(parsed.usage.output_tokens, body)
        return parsed

    def embed(self, call: EmbeddingCall) -> Embedding:
        """One call for one vector, with the same care for the key.

        Raises:
            ModelThrottled, ModelUnavailable, ModelRejected, ContextOverflow
        """
        body = {"model": self._names.there or call.model, "input": call.text}
        answer = self._ask("/embeddings", body, call)
        try:
            return parse_embedding(answer, call)
        except UnreadableAnswer as exc:
            raise self._unreadable(answer, exc, call.model) from exc

    def _ask(self, path: str, body: dict[str, Any], call: ModelCall | EmbeddingCall) -> bytes:
        seconds = call.timeout_seconds
        # Nobody gives up an embedding: it takes a moment.
        is_wanted = call.is_wanted if isinstance(call, ModelCall) else None
        with self._transport.within(seconds, is_wanted):
            key = self._checked(self._api_key())
            answer = self._send(path, body, key, timeout=seconds)
            if _is_bad_key(answer):
                rotated = self._checked(self._api_key(fresh=True))
                if rotated != key:
                    answer = self._send(path, body, rotated, timeout=seconds)
        # Raised out here, an error carries no context: the SDK's holds the request, key and prompt included.
        if isinstance(answer, openai.OpenAIError):
            raise self._failure(answer, call.model)
        return answer

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(
        self, path: str, body: dict[str, Any], key: str, *, timeout: float
    ) -> bytes | openai.OpenAIError:
        dialect = self._dialects.get(body["model"], Dialect())
        answer = self._post(path, dialect.spoken(body), key, timeout=timeout)
        while isinstance(answer, openai.APIStatusError):
            learnt = dialect.after(answer.status_code, said(answer.body), body)
            if learnt == dialect:
                return answer
            dialect = learnt
            answer = self._post(path, dialect.spoken(body), key, timeout=timeout)
        if isinstance(answer, bytes):
            self._dialects[body["model"]] = dialect
        return answer

    def _post(
        self, path: str, body: dict[str, Any], key: str, *, timeout: float
    ) -> bytes | openai.OpenAIError:
        # `chat.completions.create` walks every message against its types: 13 ms for 100 messages, against 0.5 ms
        # for the same bytes through the SDK's own `post`.
        try:
            return self._client.post(
                path,
                cast_to=httpx2.Response,
                body=body,
                options={"headers": {"Authorization": f"Bearer {key}"}, "timeout": timeout},
            ).content
        except openai.OpenAIError as exc:
            return exc

    def _checked(self, key: str) -> str:
        """The key without the line end that a pasted secret often has."""
        key = key.strip()
        if not key or not key.isascii() or not key.isprintable():
            raise ModelRejected(
                f"the API key for {self._host} is empty or holds characters that no key has: put a "
                "valid key into the secret of the model provider (setting model_key_secret_arn, "
                "or the deployment's in providers.yaml)"
            )
        return key

    def _unreadable(self, answer: bytes, why: UnreadableAnswer, model: str) -> ModelError:
        error = error_in(answer)
        if error is None:
            return ModelUnavailable(f"{self._host} gave an unreadable answer: {why}")
        refusal = Refusal(
            host=self._host,
            model=model,
            status=error["code"],
            code=None,
            type=None,
            param=None,
            message=said(error),
            headers={},
        )
        return refusal.to_error(self._clock.now_ms())

    def _failure(self, error: openai.OpenAIError, model: str) -> ModelError:
        if isinstance(error, openai.APIStatusError):
            return Refusal(
                host=self._host,
                model=model,
                status=error.status_code,
                code=error.code,
                type=error.type if isinstance(error.type, str) else None,
                param=error.param if isinstance(error.param, str) else None,
                message=said(error.body),
                headers=error.response.headers,
            ).to_error(self._clock.now_ms())
        # Without a connection nothing was sent; after that the answer may be on its way, and paid for.
        sent = not isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
        if isinstance(error, openai.APITimeoutError):
            return ModelUnavailable(f"{self._host} did not answer in time", may_have_spent=sent)
        reason = str(error.__cause__ or type(error).__name__)[:200]
        return ModelUnavailable(f"{self._host} could not be reached: {reason}", may_have_spent=sent)


def _is_bad_key(answer: bytes | openai.OpenAIError) -> bool:
    if not isinstance(answer, openai.APIStatusError):
        return False
    return is_bad_key(answer.status_code, said(answer.body))
