"""One model at several providers: who is asked, who is left alone, and what it costs to know."""

import json
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

from ratchet import Agent
from ratchet.app.provider_chat import ProviderChat
from ratchet.contracts.errors import (
    ContextOverflow,
    LimitReached,
    ModelError,
    ModelRejected,
    ModelThrottled,
    ModelUnavailable,
    StoreUnavailable,
)
from ratchet.contracts.messages import Route, StepInput
from ratchet.contracts.names import Action
from ratchet.domain.backoff import wait_seconds
from ratchet.domain.circuit import FAILURES_TO_OPEN, OPEN_MS, PROBE_MS
from ratchet.domain.deployments import Deployment, preference
from ratchet.domain.messages import Message
from ratchet.domain.models import Usage
from ratchet.domain.prompt import Prompt
from ratchet.domain.quota import GO_EARLY, SECOND, Line, Move, Quota
from ratchet.model_ports import ModelAnswer, ModelCall
from ratchet.testing.chat import USAGE, ScriptedChat, says
from ratchet.testing.clock import FakeClock
from ratchet.testing.provider_state import InMemoryProviders
from tests.unit.shared.app.world import World

MODEL = "gpt-4o"
PROMPT = Prompt((Message("user", "Hello."),), (), "none", None, "k")
DOWN = ModelUnavailable("503")


def call(key: str = "task-1", **changes: object) -> ModelCall:
    return replace(ModelCall(MODEL, PROMPT, 500, 100.0, sticky_key=key), **changes)  # type: ignore[arg-type]


@dataclass
class Site:
    """Two providers and what they share; `box` is one sandbox."""

    deployments: tuple[Deployment, ...]
    clock: FakeClock = field(default_factory=FakeClock)
    state: InMemoryProviders = field(default_factory=InMemoryProviders)
    errors: dict[str, ModelError] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    took_seconds: float = 0.0
    calls: list[ModelCall] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.elsewhere = ScriptedChat(lambda _: says("from elsewhere"))
        self.box = self.sandbox()

    def sandbox(self) -> ProviderChat:
        return ProviderChat(
            self.deployments,
            clients=self._client,
            elsewhere=self.elsewhere,
            state=self.state,
            clock=self.clock,
        )

    def _client(self, name: str) -> ScriptedChat:
        def decide(asked: ModelCall) -> ModelAnswer | ModelError:
            self.asked.append(name)
            self.calls.append(asked)
            self.clock.advance(self.took_seconds)
            return self.errors.get(name) or says(f"from {name}")

        return ScriptedChat(decide)

    def order(self, key: str = "task-1") -> list[str]:
        return [d.name for d in preference(key, self.deployments)]

    def open_circuit(self, name: str) -> None:
        self.state.set_probe_at(name, self.clock.now_ms() + OPEN_MS, seen=0)
        self.errors[name] = DOWN
        self.box.complete(call())
        self.state.requests.clear()
        self.asked.clear()


def two(**fields: object) -> Site:
    return Site((Deployment("eu", MODEL, **fields), Deployment("us", MODEL, **fields)))  # type: ignore[arg-type]


def limited(rpm: int | None = None, tpm: int | None = None, **fields: bool) -> Site:
    return Site((Deployment("eu", MODEL, quota=Quota(rpm, tpm, **fields)),))


def fill(site: Site, seconds: float, *, deployment: str = "eu") -> None:
    """The quota of requests is given away for so long."""
    now = site.clock.now_ms() * 1000
    by = {"requests": int(seconds * SECOND)}
    site.state.move(deployment, 0, Move(now, by, now, frozenset(by)))
    site.state.requests.clear()


# --- choice


def test_a_model_without_deployments_is_asked_elsewhere_and_nothing_else_happens() -> None:
    site = two(quota=Quota(rpm=1))
    other = call(model="o3")
    assert site.box.complete(other).content == "from elsewhere"
    assert site.elsewhere.calls == [other]
    assert not site.state.requests


def test_a_task_stays_with_its_deployment_and_tasks_are_spread() -> None:
    site = two()
    for number in range(40):
        for _ in range(3):
            site.box.complete(call(f"task-{number}"))
    runs = [site.asked[i : i + 3] for i in range(0, 120, 3)]
    assert all(len(set(run)) == 1 for run in runs)
    assert min(Counter(site.asked).values()) > 30


def test_the_answer_says_who_gave_it() -> None:
    site = two()
    answer = site.box.complete(call())
    assert (answer.deployment, answer.passed_over) == (site.order()[0], ())


def test_without_quota_and_without_failures_nothing_is_read_or_written() -> None:
    site = two()
    for number in range(50):
        site.box.complete(call(f"task-{number}"))
    assert not site.state.requests


# --- failover


@pytest.mark.parametrize(
    "error",
    [DOWN, ModelRejected("401"), ModelThrottled("429", 3_600.0), ModelThrottled("no Retry-After")],
)
def test_the_next_deployment_answers_when_the_first_cannot(error: ModelError) -> None:
    site = two()
    first, second = site.order()
    site.errors[first] = error
    answer = site.box.complete(call())
    assert (answer.deployment, answer.passed_over) == (second, (first,))


def test_a_standby_is_asked_last() -> None:
    site = Site((Deployment("spare", MODEL, 0), Deployment("eu", MODEL), Deployment("us", MODEL)))
    site.errors |= {"eu": DOWN, "us": DOWN}
    assert site.box.complete(call()).deployment == "spare"
    assert site.asked == [*site.order()[:2], "spare"]


def test_a_prompt_that_is_too_long_is_so_everywhere() -> None:
    site = two()
    site.errors |= dict.fromkeys(site.order(), ContextOverflow("too long"))
    with pytest.raises(ContextOverflow):
        site.box.complete(call())
    assert len(site.asked) == 1


def test_a_short_wait_is_better_than_a_deployment_without_the_cached_prompt() -> None:
    site = two()
    site.errors[site.order()[0]] = ModelThrottled("429", 5.0)
    with pytest.raises(ModelThrottled):
        site.box.complete(call())
    assert len(site.asked) == 1


def test_when_nobody_can_answer_the_error_worth_waiting_for_is_raised() -> None:
    for one, other, raised in (
        (DOWN, ModelRejected("401"), ModelUnavailable),
        (ModelRejected("401"), DOWN, ModelUnavailable),
        (DOWN, ModelThrottled("429", 60.0), ModelThrottled),
        (ModelRejected("401"), ModelRejected("403"), ModelRejected),
    ):
        site = two()
        site.errors = dict(zip(site.order(), (one, other), strict=True))
        with pytest.raises(raised):
            site.box.complete(call())


def test_failover_shares_the_time_of_the_call() -> None:
    site = two()
    first, second = site.order()
    site.errors[first] = DOWN
    site.took_seconds = 40.0
    site.box.complete(call())
    assert [c.timeout_seconds for c in site.calls] == [100.0, 60.0]
    assert site.asked == [first, second]


def test_without_time_for_another_deployment_the_error_is_raised() -> None:
    site = two()
    site.errors[site.order()[0]] = DOWN
    site.took_seconds = 99.0
    with pytest.raises(ModelUnavailable):
        site.box.complete(call())
    assert len(site.asked) == 1


def test_a_deployment_may_have_a_shorter_time_of_its_own() -> None:
    site = two(timeout_seconds=30.0)
    site.box.complete(call())
    assert site.calls[0].timeout_seconds == 30.0


# --- the circuit breaker


def test_a_circuit_opens_after_failures_in_a_row_and_is_written_once() -> None:
    site = two()
    first, second = site.order()
    site.errors[first] = DOWN
    for _ in range(FAILURES_TO_OPEN + 5):
        assert site.box.complete(call()).deployment == second
    assert Counter(site.asked) == {first: FAILURES_TO_OPEN, second: FAILURES_TO_OPEN + 5}
    assert site.state.requests == {"read": 1, "write": 1}


def test_failures_that_are_not_in_a_row_open_nothing() -> None:
    site = two()
    first = site.order()[0]
    for _ in range(4):
        for _ in range(FAILURES_TO_OPEN - 1):
            site.errors[first] = DOWN
            site.box.complete(call())
        site.errors.clear()
        site.box.complete(call())
    assert site.state.requests["write"] == 0
    assert site.asked[-1] == first


@pytest.mark.parametrize("error", [ModelRejected("401"), ModelThrottled("429", 3_600.0)])
def test_a_refusal_is_an_answer_and_opens_nothing(error: ModelError) -> None:
    site = two()
    site.errors[site.order()[0]] = error
    for _ in range(FAILURES_TO_OPEN + 2):
        site.clock.advance(3_600)
        site.box.complete(call())
    assert site.state.probe_at(site.order()[0]) == 0


def test_a_call_that_had_no_time_opens_nothing() -> None:
    site = two()
    site.errors[site.order()[0]] = DOWN
    site.took_seconds = 3.0
    for _ in range(FAILURES_TO_OPEN + 2):
        with pytest.raises(ModelUnavailable):
            site.box.complete(call(timeout_seconds=3.0))
    assert not site.state.requests


def test_another_sandbox_learns_of_an_open_circuit_by_its_first_failure() -> None:
    site = two()
    first = site.order()[0]
    site.errors[first] = DOWN
    for _ in range(FAILURES_TO_OPEN):
        site.box.complete(call())
    site.asked.clear()
    site.state.requests.clear()
    other = site.sandbox()
    for _ in range(5):
        other.complete(call())
    assert Counter(site.asked)[first] == 1
    assert site.state.requests == {"read": 1}


def test_one_sandbox_probes_and_the_others_wait_for_it() -> None:
    site = two()
    first, second = site.order()
    boxes = [site.box, site.sandbox(), site.sandbox()]
    site.open_circuit(first)
    for box in boxes[1:]:
        box.complete(call())
    site.asked.clear()
    site.clock.advance(OPEN_MS / 1000)
    for box in boxes:
        assert box.complete(call()).deployment == second
    assert Counter(site.asked)[first] == 1


def test_a_probe_that_succeeds_brings_everybody_back() -> None:
    site = two()
    first = site.order()[0]
    other = site.sandbox()
    site.open_circuit(first)
    other.complete(call())
    site.clock.advance(OPEN_MS / 1000)
    site.errors.clear()
    assert site.box.complete(call()).deployment == first
    assert other.complete(call()).deployment == first
    assert site.state.probe_at(first) == 0


def test_a_prober_that_died_is_replaced_after_a_minute() -> None:
    site = two()
    first = site.order()[0]
    site.open_circuit(first)
    site.clock.advance(OPEN_MS / 1000)
    site.state.set_probe_at(first, site.clock.now_ms() + PROBE_MS, seen=site.state.probe_at(first))
    site.clock.advance(0.01)
    site.errors.clear()
    assert site.box.complete(call()).deployment != first
    site.clock.advance(60)
    assert site.box.complete(call()).deployment == first


def test_with_nobody_else_to_ask_an_open_circuit_is_asked_all_the_same() -> None:
    site = limited()
    site.state.set_probe_at("eu", site.clock.now_ms() + OPEN_MS, seen=0)
    site.errors["eu"] = DOWN
    for _ in range(3):
        with pytest.raises(ModelUnavailable):
            site.box.complete(call())
    assert site.asked == ["eu"] * 3
    site.errors.clear()
    assert site.box.complete(call()).deployment == "eu"
    assert site.state.probe_at("eu") == 0


def test_with_another_model_to_turn_to_an_open_circuit_costs_no_call() -> None:
    site = limited()
    site.errors["eu"] = DOWN
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(ModelUnavailable):
            site.box.complete(call(is_last=False))
    with pytest.raises(ModelUnavailable, match="keeps failing"):
        site.box.complete(call(is_last=False))
    assert len(site.asked) == FAILURES_TO_OPEN


# --- quota


def test_with_a_quota_a_call_is_one_write() -> None:
    site = limited(rpm=600)
    site.box.complete(call("cold"))
    site.state.requests.clear()
    for number in range(20):
        site.clock.advance(0.1)
        site.box.complete(call(f"task-{number}"))
    assert site.state.requests == {"write": 20}


def test_a_call_beyond_the_quota_is_not_made_and_gets_a_place() -> None:
    site = limited(rpm=60)
    fill(site, 20.0)
    with pytest.raises(ModelThrottled) as caught:
        site.box.complete(call())
    assert caught.value.retry_after_seconds == pytest.approx(20.0)
    assert caught.value.place.startswith("eu@")
    assert site.asked == []


def test_who_comes_back_with_its_place_is_let_through_without_a_write() -> None:
    site = limited(rpm=60)
    fill(site, 20.0)
    with pytest.raises(ModelThrottled) as caught:
        site.box.complete(call())
    site.clock.advance(20)
    site.state.requests.clear()
    assert site.sandbox().complete(call(place=caught.value.place)).deployment == "eu"
    assert not site.state.requests


def test_a_place_is_good_for_one_call() -> None:
    site = limited(rpm=60)
    fill(site, 20.0)
    with pytest.raises(ModelThrottled) as caught:
        site.box.complete(call())
    site.clock.advance(20)
    site.box.complete(call(place=caught.value.place))
    site.state.requests.clear()
    with pytest.raises(ModelThrottled):
        site.box.complete(call(place=caught.value.place))
    assert site.state.requests["write"] >= 1


@pytest.mark.parametrize("early", [5.0, -400.0])
def test_a_place_does_not_count_before_or_long_after_its_time(early: float) -> None:
    site = limited(rpm=60)
    at = int((site.clock.now_ms() / 1000 + early) * SECOND)
    site.box.complete(call(place=f"eu@{at}"))
    assert site.state.requests["write"] >= 1


def test_a_wait_shorter_than_half_a_second_is_no_wait() -> None:
    site = limited(rpm=60)
    fill(site, GO_EARLY / SECOND - 0.01)
    assert site.box.complete(call()).deployment == "eu"


def test_a_place_is_used_before_the_preferred_deployment() -> None:
    site = two(quota=Quota(rpm=60))
    second = site.order()[1]
    place = f"{second}@{site.clock.now_ms() * 1000}"
    assert site.box.complete(call(place=place)).deployment == second


def test_a_line_that_is_too_long_sends_the_call_to_the_next_deployment() -> None:
    site = Site((Deployment("eu", MODEL, quota=Quota(rpm=60)), Deployment("spare", MODEL, 0)))
    fill(site, 3_600.0)
    assert site.box.complete(call()).deployment == "spare"


def test_a_line_that_is_too_long_everywhere_spreads_those_who_come_back() -> None:
    site = limited(rpm=60)
    fill(site, 3_600.0)
    waits = set()
    for number in range(20):
        with pytest.raises(ModelThrottled) as caught:
            site.box.complete(call(f"task-{number}"))
        assert caught.value.place == ""
        assert caught.value.retry_after_seconds is not None
        waits.add(round(caught.value.retry_after_seconds))
    assert min(waits) >= 60
    assert max(waits) <= 300
    assert len(waits) > 15


def test_with_another_model_to_turn_to_no_place_is_held() -> None:
    site = limited(rpm=60)
    fill(site, 20.0)
    with pytest.raises(ModelThrottled) as caught:
        site.box.complete(call(is_last=False))
    assert caught.value.place == ""
    assert caught.value.retry_after_seconds == pytest.approx(20.0)


def test_another_deployment_comes_before_another_model() -> None:
    site = Site((Deployment("eu", MODEL, quota=Quota(rpm=60)), Deployment("spare", MODEL, 0)))
    fill(site, 10.0)
    assert site.box.complete(call(is_last=False)).deployment == "spare"


def tokens_taken(site: Site) -> int:
    _, line = site.state.move("eu", 0, Move(0, {"tokens": 0}, 0))
    return line["tokens"]


def test_in_the_long_run_as_many_tokens_are_taken_as_are_used() -> None:
    site = limited(tpm=600_000)
    start = site.clock.now_ms() * 1000
    calls = 40
    for _ in range(calls):
        site.box.complete(call())
        site.clock.advance(0.01)
    used = Quota(tpm=600_000).cost(calls * USAGE.total_tokens)["tokens"]
    assert tokens_taken(site) - start == pytest.approx(used, rel=0.1)


def test_an_answer_longer_than_expected_is_taken_with_the_next_call() -> None:
    site = limited(tpm=600_000)
    big = ModelAnswer("x", (), "stop", Usage(100, 0, 5_000))
    site.box = ProviderChat(
        site.deployments,
        clients=lambda _: ScriptedChat(lambda _: big),
        elsewhere=site.elsewhere,
        state=site.state,
        clock=site.clock,
    )
    site.box.complete(call())
    before = tokens_taken(site)
    site.box.complete(call())
    per_token = Quota(tpm=600_000).cost(1_000)["tokens"] / 1_000
    assert (tokens_taken(site) - before) / per_token > 4_500


def test_a_provider_that_counts_the_output_limit_is_counted_so() -> None:
    site = limited(tpm=600_000, counts_output_limit=True)
    before = site.clock.now_ms() * 1000
    for times in (1, 2):
        site.box.complete(call(max_output_tokens=8_000))
        taken = tokens_taken(site) - before
        cost = Quota(tpm=600_000).cost(8_000 + PROMPT.estimated_tokens())["tokens"]
        assert taken == pytest.approx(times * cost, rel=0.01)
        site.clock.advance(0.4)


def test_a_429_stops_this_sandbox_and_holds_the_line_for_the_others() -> None:
    site = limited(rpm=600)
    site.errors["eu"] = ModelThrottled("429", 10.0)
    with pytest.raises(ModelThrottled):
        site.box.complete(call())
    site.errors.clear()
    with pytest.raises(ModelThrottled) as here:
        site.box.complete(call("task-2"))
    with pytest.raises(ModelThrottled) as there:
        site.sandbox().complete(call("task-3"))
    for caught in (here, there):
        assert caught.value.retry_after_seconds == pytest.approx(10.0, abs=0.2)
    assert site.asked == ["eu"]
    site.clock.advance(10)
    assert site.box.complete(call("task-2")).deployment == "eu"


@pytest.mark.parametrize("seconds", [86_400.0, 1e306])
def test_no_429_holds_the_line_for_longer_than_a_step_waits(seconds: float) -> None:
    site = limited(rpm=600)
    site.errors["eu"] = ModelThrottled("429", seconds)
    with pytest.raises(ModelThrottled):
        site.box.complete(call())
    site.errors.clear()
    site.clock.advance(wait_seconds(0, retry_after=seconds))
    for box in (site.box, site.sandbox()):
        assert box.complete(call("task-2")).deployment == "eu"


class DeadState(InMemoryProviders):
    def move(self, deployment: str, shard: int, move: Move) -> tuple[bool, Line]:
        raise StoreUnavailable("throttled")

    def probe_at(self, deployment: str) -> int:
        raise StoreUnavailable("throttled")

    def set_probe_at(self, deployment: str, at_ms: int, *, seen: int) -> int:
        raise StoreUnavailable("throttled")


def test_without_the_table_calls_are_made_and_circuits_open_here() -> None:
    site = two(quota=Quota(rpm=600))
    site.state = DeadState()
    site.box = site.sandbox()
    first, second = site.order()
    site.errors[first] = DOWN
    for _ in range(FAILURES_TO_OPEN + 3):
        assert site.box.complete(call()).deployment == second
    assert Counter(site.asked)[first] == FAILURES_TO_OPEN
    site.errors[second] = ModelThrottled("429", 10.0)
    with pytest.raises(ModelThrottled):
        site.box.complete(call())


# --- as a step sees it

PLAN = json.dumps({"plan": ["think"], "complexity": "simple"})
LOOP = Agent("loop", "Help.", policy="react")


def served(site: Site) -> World:
    """A deployment of Ratchet whose models are the site's."""
    world = World(LOOP)
    site.clock = world.clock
    world.chat = site.sandbox()  # type: ignore[assignment]
    return world


def test_a_step_beyond_the_quota_parks_and_goes_on_with_its_place() -> None:
    site = Site((Deployment("eu", "gpt-4o-mini", quota=Quota(rpm=60)),))
    world = served(site)
    fill(site, 20.0)
    ref = world.submitted()
    waiting = world.step(world.first(ref))
    assert (waiting.action, waiting.wait_seconds) == (Action.WAIT, 20)
    assert waiting.step.place.startswith("eu@")
    assert waiting.to_dict()["step"]["place"] == waiting.step.place  # type: ignore[index]
    assert site.asked == []
    site.state.requests.clear()
    world.clock.advance(20)
    done = world.step(waiting)
    assert done.action is Action.FINISH
    assert site.asked == ["eu"]
    assert not site.state.requests


def test_a_checkpoint_says_which_deployment_answered_and_which_could_not() -> None:
    site = Site((Deployment("eu", "gpt-4o-mini"), Deployment("us", "gpt-4o-mini")))
    world = served(site)
    ref = world.submitted()
    first, second = site.order(ref.task_id)
    site.errors[first] = DOWN
    world.run(ref)
    assert world.steps(ref)[0].result.reason == f"preferred; by {second} instead of {first}"


def test_of_two_full_models_a_step_waits_for_the_one_that_gave_it_a_place() -> None:
    quota = Quota(rpm=60)
    site = Site(
        (Deployment("eu", "gpt-4o-mini", quota=quota), Deployment("us", MODEL, quota=quota))
    )
    world = served(site)
    fill(site, 20.0)
    fill(site, 40.0, deployment="us")
    first = world.first(world.submitted())
    route = Route("both", ("gpt-4o-mini", MODEL))
    event = StepInput(first.task, first.step, route, first.execution)
    waiting = world.executor()(event, remaining_seconds=lambda: 300.0)
    assert waiting.wait_seconds == 40
    assert waiting.step.place.startswith("us@")
    assert site.asked == []


# --- money


def counting(*outputs: int) -> tuple[list[int], ModelCall]:
    """A call that may be sent again with so many output tokens, then no more; and how often that was asked."""
    left, asked = list(outputs), list[int]()

    def again() -> int:
        asked.append(len(asked))
        if not left:
            raise LimitReached("not affordable", "max_cost_usd")
        return left.pop(0)

    return asked, call(again=again)


def test_a_deployment_that_may_charge_without_answering_is_counted_before_the_next_is_asked() -> (
    None
):
    site = two()
    first, second = site.order()
    site.errors[first] = DOWN
    asked, sent = counting(300)
    assert site.box.complete(sent).deployment == second
    assert asked == [0]
    assert [c.max_output_tokens for c in site.calls] == [500, 300]


def test_what_the_rest_of_the_budget_does_not_pay_for_is_not_sent_again() -> None:
    site = two()
    site.errors[site.order()[0]] = DOWN
    asked, sent = counting()
    with pytest.raises(LimitReached):
        site.box.complete(sent)
    assert asked == [0]
    assert site.asked == site.order()[:1]


@pytest.mark.parametrize(
    "free", [ModelThrottled("429", 3_600.0), ModelUnavailable("", may_have_spent=False)]
)
def test_a_deployment_that_surely_charged_nothing_is_not_counted(free: ModelError) -> None:
    site = two()
    site.errors[site.order()[0]] = free
    asked, sent = counting()
    site.box.complete(sent)
    assert asked == []


def test_the_error_tells_whether_the_last_deployment_may_have_charged() -> None:
    for last, told in ((DOWN, True), (ModelUnavailable("", may_have_spent=False), False)):
        site = two()
        site.errors = dict(zip(site.order(), (ModelUnavailable("first"), last), strict=True))
        with pytest.raises(ModelUnavailable) as raised:
            site.box.complete(counting(300)[1])
        assert raised.value.may_have_spent is told
