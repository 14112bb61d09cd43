"""Places in the quota of deployments, taken before a call and settled by the next one."""

import threading
from collections import deque
from dataclasses import dataclass, field

from ratchet.contracts.errors import ModelThrottled, StoreUnavailable
from ratchet.domain import quota as lines
from ratchet.domain.backoff import MAX_WAIT_SECONDS
from ratchet.domain.deployments import Deployment, fraction
from ratchet.domain.models import Usage
from ratchet.domain.quota import SECOND, Line, Place, Quota, Seen
from ratchet.model_ports import ModelCall, ProviderState
from ratchet.observability import logger
from ratchet.ports import Clock

_TRIES = 3
_FIRST_OUTPUT_TOKENS = 500.0  # what an answer is taken to have until some have been seen
_LEARNED = 1 / 8  # the weight of each call in what is learned
_USED_KEPT = 256


class LineFull(ModelThrottled):
    """So many wait for the quota of a deployment that it gives no more places."""


@dataclass(slots=True)
class _Account:
    """What a sandbox knows of one deployment's quota."""

    seen: dict[int, Seen] = field(default_factory=dict)  # by shard
    output_tokens: float = _FIRST_OUTPUT_TOKENS
    input_share: float = (
        0.8  # of the estimate, which counts three bytes to a token; English has four
    )
    owed_tokens: int = 0  # used, and not yet taken from the line; negative: taken, and not used
    throttled_until: int = 0


class Places:
    """One sandbox's view. With a quota a call costs one write, or two when the line was not as it was last seen."""

    def __init__(self, state: ProviderState, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}
        self._used: deque[tuple[str, str]] = deque(maxlen=_USED_KEPT)

    def take(self, deployment: Deployment, call: ModelCall) -> int:
        """Take a place, unless the call has brought one; the tokens that it is taken for.

        Raises:
            LineFull: no place was given; another deployment may have one.
            ModelThrottled: the provider said to wait, or a place was given whose time is to come.
        """
        account = self._account(deployment.name)
        now = self._now()
        if now < account.throttled_until:
            raise ModelThrottled(_used_up(deployment), (account.throttled_until - now) / SECOND)
        if deployment.quota is None:
            return 0
        with self._lock:
            expected = _expected_tokens(deployment.quota, account, call)
            if self._brings_place(deployment, call, now):
                return expected
            taken = max(expected + account.owed_tokens, 0)
        try:
            at = self._place(deployment, call, deployment.quota.cost(taken))
        except StoreUnavailable:
            # Without the table nobody is counted, and the provider still says no by itself.
            logger.warning("quota could not be asked", extra={"deployment": deployment.name})
            at, taken = now, 0
        with self._lock:
            account.owed_tokens += expected - taken
        if at > self._now() + lines.GO_EARLY:
            place = str(Place(deployment.name, at))
            raise ModelThrottled(_used_up(deployment), (at - self._now()) / SECOND, place=place)
        return expected

    def settle(self, deployment: Deployment, call: ModelCall, *, taken: int, usage: Usage) -> None:
        """What the call used instead of what was taken for it: the next place makes up for the difference."""
        if deployment.quota is None or deployment.quota.counts_output_limit:
            return
        account = self._account(deployment.name)
        with self._lock:
            account.owed_tokens += usage.total_tokens - taken
            account.output_tokens += _LEARNED * (usage.output_tokens - account.output_tokens)
            share = usage.input_tokens / call.prompt.estimated_tokens()
            account.input_share += _LEARNED * (share - account.input_share)

    def refused(self, deployment: Deployment, call: ModelCall, error: ModelThrottled) -> None:
        """The provider itself said no: here nobody asks before the time it named, and nobody is given a place.

        No longer than a step waits for a model: the line has no way back, were the time a mistake or the quota raised.
        """
        if not error.retry_after_seconds:
            return
        until = self._now() + int(min(error.retry_after_seconds, MAX_WAIT_SECONDS) * SECOND)
        self._account(deployment.name).throttled_until = until
        if deployment.quota is None:
            return
        shard, kinds = _shard(deployment.quota, call), deployment.quota.cost(1)
        try:
            self._move(deployment, shard, lines.hold(until, next(iter(kinds))))
        except StoreUnavailable:
            logger.warning("quota could not be held", extra={"deployment": deployment.name})

    def _place(self, deployment: Deployment, call: ModelCall, cost: dict[str, int]) -> int:
        """When the call may be made.

        Raises:
            LineFull: the line is too long for another place.
        """
        quota = deployment.quota or Quota()
        shard, account = _shard(quota, call), self._account(deployment.name)
        line: Line = {}
        # Who has another model to turn to should not hold a place that it will not use.
        longest = lines.LONGEST_LINE if call.is_last else 0
        for _ in range(_TRIES):
            move = lines.move(self._now(), cost, seen=account.seen.get(shard), longest=longest)
            moved, line = self._move(deployment, shard, move)
            if moved:
                return move.place_in(line)
            if move.is_beyond(line):
                break
        wait = max((line.get(kind, 0) for kind in cost), default=0) - self._now()
        if call.is_last:
            # Many get no place: they come back while the line moves on, each at a time of its own.
            wait = int(lines.LONGEST_LINE * (0.25 + fraction(call.sticky_key)))
        raise LineFull(_used_up(deployment), max(wait, SECOND) / SECOND)

    def _move(self, deployment: Deployment, shard: int, move: lines.Move) -> tuple[bool, Line]:
        moved, line = self._state.move(deployment.name, shard, move)
        self._account(deployment.name).seen[shard] = Seen(self._now(), line)
        return moved, line

    def _brings_place(self, deployment: Deployment, call: ModelCall, now: int) -> bool:
        """A place is good for one call; a step that asks again takes another."""
        place = Place.parse(call.place)
        if place is None or place.deployment != deployment.name or not place.is_good(now):
            return False
        if (call.sticky_key, call.place) in self._used:
            return False
        self._used.append((call.sticky_key, call.place))
        return True

    def _account(self, name: str) -> _Account:
        return self._accounts.setdefault(name, _Account())

    def _now(self) -> int:
        return self._clock.now_ms() * 1000


def _expected_tokens(quota: Quota, account: _Account, call: ModelCall) -> int:
    estimate = call.prompt.estimated_tokens()
    if quota.counts_output_limit:
        return estimate + call.max_output_tokens
    output = min(account.output_tokens, call.max_output_tokens)
    return round(estimate * account.input_share + output)


def _shard(quota: Quota, call: ModelCall) -> int:
    return int(fraction(f"shard\n{call.sticky_key}") * quota.shards)


def _used_up(deployment: Deployment) -> str:
    return f"the quota of deployment {deployment.name!r} is used up for now"
