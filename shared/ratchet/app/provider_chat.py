"""A `ChatModel` over several deployments of each model: sticky choice, quota, circuit breaker, failover."""

import math
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import replace

from ratchet.app.provider_health import HealthView
from ratchet.app.provider_quota import LineFull, Places
from ratchet.contracts.errors import (
    ContextOverflow,
    ModelError,
    ModelThrottled,
    ModelUnavailable,
)
from ratchet.domain.circuit import Circuit, counts
from ratchet.domain.deployments import FAILOVER_AFTER_SECONDS, Deployment, preference
from ratchet.domain.quota import Place
from ratchet.model_ports import (
    Embedding,
    EmbeddingCall,
    ModelAnswer,
    ModelCall,
    ModelProvider,
    ProviderState,
)
from ratchet.observability import logger
from ratchet.ports import Clock

MIN_CALL_SECONDS = 2.0


class ProviderChat:
    """Asks the caller's own deployment of a model, and the next ones while that cannot answer.

    A model without deployments goes to `elsewhere`, untouched and without a request to the shared state.
    """

    def __init__(
        self,
        deployments: Iterable[Deployment],
        *,
        clients: Callable[[str], ModelProvider],
        elsewhere: ModelProvider,
        state: ProviderState,
        clock: Clock,
    ) -> None:
        self._by_model: dict[str, list[Deployment]] = {}
        for deployment in deployments:
            self._by_model.setdefault(deployment.model, []).append(deployment)
        self._clients = clients
        self._elsewhere = elsewhere
        self.clock = clock
        self._places = Places(state, clock)
        self.health = HealthView(state, clock)

    def complete(self, call: ModelCall) -> ModelAnswer:
        """One answer, from the first deployment that gives one.

        Raises:
            ModelThrottled: the call's deployment has no quota now; it is worth waiting for.
            ModelUnavailable, ModelRejected: none can answer, and the last that was asked said so.
            ContextOverflow: no deployment of this model can take the prompt.
        """
        deployments = self.of(call.model)
        if not deployments:
            return self._elsewhere.complete(call)
        return _Search(self, call).run(_place_first(deployments, call))

    def embed(self, call: EmbeddingCall) -> Embedding:
        """A vector from the first deployment that gives one; past quotas and breakers, as nobody waits for it.

        Raises:
            ModelThrottled, ModelUnavailable, ModelRejected, ContextOverflow: the last one's.
        """
        deployments = self.of(call.model)
        if not deployments:
            return self._elsewhere.embed(call)
        ends = self.clock.monotonic() + call.timeout_seconds
        last: ModelError | None = None
        for deployment in preference(call.sticky_key, deployments):
            left = ends - self.clock.monotonic()
            if last is not None and left < MIN_CALL_SECONDS:
                break
            try:
                return self._clients(deployment.name).embed(replace(call, timeout_seconds=left))
            except ModelError as exc:
                last = exc
        raise last or ModelUnavailable("too little time for an embedding")

    def of(self, model: str) -> Sequence[Deployment]:
        """The deployments of a model, as configured."""
        return self._by_model.get(model, ())

    def ask(self, deployment: Deployment, call: ModelCall, *, circuit: Circuit) -> ModelAnswer:
        """One call to one deployment, with a place in its quota unless it is a probe."""
        taken = self._places.take(deployment, call) if circuit is Circuit.CLOSED else 0
        seconds = min(call.timeout_seconds, deployment.timeout_seconds or call.timeout_seconds)
        began = self.clock.monotonic()
        try:
            answer = self._clients(deployment.name).complete(replace(call, timeout_seconds=seconds))
        except ModelUnavailable:
            taken_seconds = self.clock.monotonic() - began
            if counts(given=seconds, taken=taken_seconds, own=deployment.timeout_seconds):
                self.health.failed(deployment.name)
            raise
        except ModelThrottled as exc:
            self._places.refused(deployment, call, exc)
            self.health.answered(deployment.name)
            raise
        except ModelError:
            self.health.answered(deployment.name)
            raise
        self.health.answered(deployment.name)
        if circuit is Circuit.CLOSED:
            self._places.settle(deployment, call, taken=taken, usage=answer.usage)
        return answer


class _Search:
    """One call on its way from deployment to deployment."""

    def __init__(self, models: ProviderChat, call: ModelCall) -> None:
        self._models = models
        self._call = call
        self._ends = models.clock.monotonic() + call.timeout_seconds
        self._errors: dict[str, ModelError] = {}
        self._was_asked = False
        self._may_have_spent = False  # at the deployment that was asked last

    def run(self, ordered: Sequence[Deployment]) -> ModelAnswer:
        """The first answer.

        Raises:
            ModelError: the one that says best what to do now.
            LimitReached: one deployment may have charged for the call, and the rest does not pay for another.
        """
        for deployment in ordered:
            if self._left() < MIN_CALL_SECONDS or self._is_worth_staying():
                break
            circuit = self._models.health.circuit(deployment.name)
            if circuit is Circuit.OPEN:
                self._errors[deployment.name] = _out(deployment)
                continue
            answer = self._answer(deployment, circuit)
            if answer is not None:
                return answer
        if not self._was_asked and self._call.is_last and ordered[0].name in self._errors:
            answer = self._insist(ordered)
            if answer is not None:
                return answer
        error = copy(self._worth_raising())
        error.may_have_spent = self._may_have_spent
        raise error

    def _answer(self, deployment: Deployment, circuit: Circuit) -> ModelAnswer | None:
        if self._may_have_spent and self._call.again is not None:
            self._call = replace(self._call, max_output_tokens=self._call.again())
            self._may_have_spent = False
        try:
            call = replace(self._call, timeout_seconds=self._left())
            answer = self._models.ask(deployment, call, circuit=circuit)
        except ContextOverflow:
            raise  # the model is the same everywhere
        except ModelError as exc:
            self._errors[deployment.name] = exc
            self._was_asked = True
            self._may_have_spent = exc.may_have_spent
            logger.warning(
                "deployment gave no answer",
                extra={"deployment": deployment.name, "error": exc.code},
            )
            return None
        names = [d.name for d in preference(self._call.sticky_key, self._models.of(call.model))]
        over = tuple(names[: names.index(deployment.name)])
        return replace(answer, deployment=deployment.name, passed_over=over)

    def _insist(self, ordered: Sequence[Deployment]) -> ModelAnswer | None:
        """With nobody else to ask, the breaker steps aside: the step's patience decides, as with one provider."""
        return self._answer(ordered[0], Circuit.HALF_OPEN)

    def _left(self) -> float:
        return self._ends - self._models.clock.monotonic()

    def _is_worth_staying(self) -> bool:
        """Whether a short wait will do: on another deployment the task's cached prompts are not there.

        One of unknown length (Gemini sends no Retry-After) may be that for the next day's quota.
        """
        return any(
            isinstance(error, ModelThrottled)
            and not isinstance(error, LineFull)
            and (error.place or _seconds(error) <= FAILOVER_AFTER_SECONDS)
            for error in self._errors.values()
        )

    def _worth_raising(self) -> ModelError:
        """A wait for quota before an outage, an outage before a refusal."""
        errors = list(self._errors.values())
        throttled = [error for error in errors if isinstance(error, ModelThrottled)]
        if throttled:
            return min(throttled, key=lambda e: (not e.place, _seconds(e)))
        for error in errors:
            if isinstance(error, ModelUnavailable):
                return error
        return errors[-1] if errors else ModelUnavailable("too little time for a model call")


def _seconds(error: ModelThrottled) -> float:
    return math.inf if error.retry_after_seconds is None else error.retry_after_seconds


def _place_first(deployments: Sequence[Deployment], call: ModelCall) -> list[Deployment]:
    """The caller's order of preference; a place that it holds comes before."""
    place = Place.parse(call.place)
    ordered = preference(call.sticky_key, deployments)
    if place is not None:
        ordered.sort(key=lambda deployment: deployment.name != place.deployment)
    return ordered


def _out(deployment: Deployment) -> ModelUnavailable:
    return ModelUnavailable(
        f"deployment {deployment.name!r} of model {deployment.model!r} keeps failing and is left alone"
    )
