"""Bursts of tasks against admission, token buckets and quotas: a discrete-event simulation, seeded and deterministic.

Admission is the product's (`ratchet.domain.admission`). A task waits in the table until a dispatcher starts it, then
runs its steps one after another. A step takes transitions (Step Functions delays what exceeds its rate), a sandbox (a
full account throttles, and the state machine tries again later), a place in the token bucket (it parks in the state
machine until its turn) and the provider's consent (a 429 parks it for as long as the provider says). Left out: crashes,
the 0.1 s sandbox of a step that parks, other users of the account.
"""

import random
from collections import deque
from collections.abc import Generator
from dataclasses import replace

import simpy

from ratchet.capacity.buckets import Bucket, ProviderLimits
from ratchet.capacity.outcome import DISPATCH_SECONDS, Busy, Outcome, Sample, Tally
from ratchet.capacity.scenario import Load, Scenario
from ratchet.contracts.limits import ADMISSION_ADJUST_SECONDS
from ratchet.domain.admission import Candidate, Limit, Signals, Slots, adjusted, choose
from ratchet.domain.task_bill import TRANSITIONS_PER_STEP, TRANSITIONS_PER_WAIT

QUEUE_SECONDS = 0.1
"""From the submission until the doorbell has been received."""
JITTER = 0.3
"""A step takes its seconds, more or less by this share."""
OWN_BURST_SECONDS, PROVIDER_BURST_SECONDS = 1.0, 10.0
LAMBDA_RETRY_SECONDS, LAMBDA_RETRY_MOST_SECONDS = 2.0, 300.0
"""As the state machine's Retry for TooManyRequestsException: full jitter, doubling."""

Events = Generator[simpy.Event, None, None]


def simulate(scenario: Scenario) -> Outcome:
    """Run a scenario to its last task."""
    return _Run(scenario).outcome()


class _Run:
    """One run; its parts are SimPy processes that share these counters."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._env = simpy.Environment()
        self._random = random.Random(scenario.seed)
        aws, provider = scenario.aws, scenario.provider
        self._transitions = Bucket(aws.transitions_per_second, aws.transition_burst)
        self._starts = Bucket(aws.starts_per_second, aws.start_burst)
        self._provider = ProviderLimits(
            provider.rpm,
            provider.tpm,
            share=1 - provider.other_use,
            burst_seconds=PROVIDER_BURST_SECONDS,
        )
        self._own = (
            ProviderLimits(
                provider.rpm,
                provider.tpm,
                share=provider.bucket_share,
                burst_seconds=OWN_BURST_SECONDS,
            )
            if provider.bucket_share
            else None
        )
        self._limit = Limit(scenario.rules.minimum)
        self._adjusted_at = -float(ADMISSION_ADJUST_SECONDS)
        self._waiting: dict[str, deque[Candidate]] = {
            load.tenant: deque() for load in scenario.loads
        }
        self._running = dict.fromkeys(self._waiting, 0)
        self._delays: dict[str, list[float]] = {tenant: [] for tenant in self._waiting}
        self._sandboxes = self._parked = 0
        self._left = scenario.tasks
        self._idle: deque[simpy.Event] = deque()
        self._finished = self._env.event()
        self._tally, self._seen, self._busy = Tally(), Tally(), Busy()
        self._samples: list[Sample] = []

    def outcome(self) -> Outcome:
        """Run it."""
        env = self._env
        for load in self._scenario.loads:
            env.process(self._arrivals(load))
        for _ in range(self._scenario.aws.dispatchers):
            env.process(self._dispatcher())
        env.process(self._watch())
        env.run(until=self._finished)
        first = min(load.start for load in self._scenario.loads)
        return Outcome(
            self._scenario,
            env.now - first,
            self._tally,
            self._busy,
            self._delays,
            self._samples,
        )

    def _arrivals(self, load: Load) -> Events:
        yield self._env.timeout(load.start + QUEUE_SECONDS)
        pause = load.over / load.tasks
        for number in range(load.tasks):
            since_ms = round((self._env.now - QUEUE_SECONDS) * 1000)
            task = Candidate(load.tenant, f"{load.tenant}-{number:07d}", since_ms)
            self._waiting[load.tenant].append(task)
            self._wake_one()
            if pause:
                yield self._env.timeout(pause)

    def _dispatcher(self) -> Events:
        env = self._env
        while True:
            task = self._next()
            if task is None:
                asleep = env.event()
                self._idle.append(asleep)
                yield asleep
                continue
            yield env.timeout(DISPATCH_SECONDS)
            delay = self._starts.reserve(env.now, 1)
            if delay:
                yield env.timeout(delay)
            self._tally.starts += 1
            env.process(self._task(task))

    def _next(self) -> Candidate | None:
        self._adjust_if_due()
        scenario = self._scenario
        slots = Slots(
            self._limit.value,
            self._running,
            scenario.tenant_limit,
            scenario.tenant_limits,
            scenario.is_fair,
        )
        task = choose((queue[0] for queue in self._waiting.values() if queue), slots)
        if task is not None:
            self._waiting[task.tenant].popleft()
            self._running[task.tenant] += 1
        return task

    def _wake_one(self) -> None:
        if self._idle:
            self._idle.popleft().succeed()

    def _task(self, task: Candidate) -> Events:
        self._delays[task.tenant].append(self._env.now - task.since_ms / 1000)
        for _ in range(self._scenario.steps):
            yield from self._step()
        self._running[task.tenant] -= 1
        self._left -= 1
        self._wake_one()
        if not self._left:
            self._finished.succeed()

    def _step(self) -> Events:
        env, tally, tokens = self._env, self._tally, self._scenario.step_tokens
        is_its_turn = self._own is None
        while True:
            yield from self._sandbox()
            wait = 0.0
            if self._own is not None and not is_its_turn:
                wait = self._own.reserve(env.now, tokens)
                is_its_turn = True
                tally.parked += wait > 0
            if not wait:
                wait = self._provider.refused(env.now, tokens)
                if not wait:
                    break
                tally.throttled += 1
                wait *= (
                    1 + self._random.random()
                )  # those refused together must not come back together
                is_its_turn = self._own is None
            yield from self._park(wait)
        tally.calls += 1
        self._sandboxes += 1
        tally.peak_sandboxes = max(tally.peak_sandboxes, self._sandboxes)
        spread = self._random.uniform(1 - JITTER, 1 + JITTER)
        yield env.timeout(self._scenario.step_seconds * spread)
        self._sandboxes -= 1

    def _sandbox(self) -> Events:
        """Two transitions, then tries until the account has a sandbox free."""
        delay = self._transition(TRANSITIONS_PER_STEP)
        if delay:
            yield self._env.timeout(delay)
        longest = LAMBDA_RETRY_SECONDS
        while self._sandboxes >= self._scenario.aws.lambda_concurrency:
            self._tally.lambda_throttled += 1
            yield self._env.timeout(self._random.uniform(0, longest) + self._transition(1))
            longest = min(longest * 2, LAMBDA_RETRY_MOST_SECONDS)

    def _park(self, seconds: float) -> Events:
        """In the state machine's Wait state, which knows whole seconds."""
        self._parked += 1
        delay = self._transition(TRANSITIONS_PER_WAIT - TRANSITIONS_PER_STEP)
        yield self._env.timeout(-(-seconds // 1) + delay)
        self._parked -= 1

    def _transition(self, count: int) -> float:
        self._tally.transitions += count
        return self._transitions.reserve(self._env.now, count)

    def _watch(self) -> Events:
        """Sample each second."""
        while True:
            self._adjust_if_due()
            before = replace(self._tally)
            depth, running = self._depth(), sum(self._running.values())
            self._samples.append(Sample(self._env.now, depth, running, self._limit.value))
            was_waiting = bool(depth or self._parked)
            yield self._env.timeout(1)
            if was_waiting:
                self._note(before, running)

    def _depth(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _note(self, before: Tally, running: int) -> None:
        """One second in which work waited."""
        busy, now = self._busy, self._tally
        busy.seconds += 1
        busy.calls += now.calls - before.calls
        busy.transitions += now.transitions - before.transitions
        busy.starts += now.starts - before.starts
        busy.sandboxes += self._sandboxes
        busy.running += running

    def _adjust_if_due(self) -> None:
        """Whoever looks first after a pause moves the limit, so a burst after a quiet time finds it rising."""
        is_at_rest = not self._depth() and self._limit.value == self._scenario.rules.minimum
        if is_at_rest or self._env.now - self._adjusted_at < ADMISSION_ADJUST_SECONDS:
            return
        self._adjusted_at = self._env.now
        now, before = self._tally, self._seen
        signals = Signals(
            depth=self._depth(),
            running=sum(self._running.values()),
            calls=now.calls - before.calls,
            throttled=now.throttled - before.throttled,
            parked=now.parked - before.parked,
        )
        self._seen = replace(now)
        risen = adjusted(self._limit, signals, self._scenario.rules)
        grew = risen.value > self._limit.value
        self._limit = risen
        if grew:
            for _ in range(len(self._idle)):
                self._wake_one()
