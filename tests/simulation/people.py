"""Callers of the API: they repeat what had no answer, and remember what they were promised."""

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ratchet.app.events import end_type
from ratchet.contracts.errors import DataMissing, EffectOutcomeUnknown, RetryableError
from ratchet.contracts.limits import IDEMPOTENCY_RETENTION_SECONDS
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.names import Channel, TaskStatus
from ratchet.contracts.request_errors import (
    IdempotencyKeyReused,
    InvalidRequest,
    RequestError,
    SessionBusy,
    TaskAlreadyFinished,
    TaskNotForkable,
    TaskNotFound,
    TaskNotResumable,
    TenantSuspended,
)
from ratchet.contracts.task_api import ForkRequest, ResumeRequest
from ratchet.domain.identifiers import delivery_id, event_id
from ratchet.domain.steps import End
from ratchet.ports import Created
from tests.simulation.operators import Operators
from tests.simulation.pauses import keys_in
from tests.simulation.scheduler import Future, Killed, Life
from tests.simulation.story import (
    Act,
    Cancel,
    Forget,
    Fork,
    Redeliver,
    Resume,
    Submit,
    SubmitBatch,
    Suspend,
    Trespass,
    Verb,
)
from tests.simulation.visits import Visitors

if TYPE_CHECKING:
    from tests.simulation.world import World

TRIES = 8
PATIENCE_MS = 30_000
SECOND_MS = 1_000
SUSPENDED_MS = 10_000  # after which one asks again whose tenant was suspended
RESUMES = 10
_LATER = re.compile(r"resume the task in (\d+) s")
_ASKED = re.compile(r"(int_\w+): (.*?)(?=; int_\w+: |$)")
_CALL = re.compile(r'(\w+)\(\{"n":(\d+)[^)]*\}\) gave no answer')
LONGEST_TASK_MS = 3_600_000
KEYS_FORGOTTEN_MS = (IDEMPOTENCY_RETENTION_SECONDS - 24 * 3600) * 1000  # clocks differ


class People:
    """All callers of a story; `accepted` is what each submit, by place, was answered, `forks` what each fork was."""

    def __init__(self, world: "World") -> None:
        self.accepted: dict[int, TaskRef] = {}
        self.forks: list[TaskRef] = []
        self.sent_again: set[str] = set()
        self._world = world
        self._scheduler = world.scheduler
        self.acts: list[Act] = []
        self._answered: list[Future] = []
        self._keys: dict[tuple[str, str], tuple[TaskRef, str]] = {}
        self.visitors = Visitors(world, self.acts, self._ask)
        self.operators = Operators(world, self._ask)

    def begin(self) -> None:
        """Everybody sets out."""
        story = self._world.story.acts
        for act in sorted(story, key=lambda act: not isinstance(act, Submit)):
            self.set_out(act)

    def set_out(self, act: Act) -> None:
        """One caller does this; what names a submit comes after it."""
        self.acts.append(act)
        life = Life("person")
        if isinstance(act, Submit):
            place = len(self._answered)
            self._answered.append(Future())
            self._scheduler.spawn(lambda: self._submit(act, place), life)
        elif isinstance(act, Suspend | SubmitBatch):
            self._scheduler.spawn(lambda: self.operators.begin(act), life)
        else:
            self._scheduler.spawn(lambda: self._later(act), life)

    def _submit(self, act: Submit, place: int) -> None:
        self._scheduler.sleep(act.at_ms)
        request = act.request(0 if act.key else place)
        self._world.store.sittings.asked(act, request.goal)
        try:
            created = self._ask(
                "submit",
                lambda: self._world.submit(
                    request, tenant=act.tenant, idempotency_key=act.idempotency_key()
                ),
            )
        except IdempotencyKeyReused:
            self._refused(act.tenant, act.key, request.model_dump_json())
            return
        except SessionBusy as exc:
            self._world.store.sittings.refused(act, exc)
            return
        if isinstance(created, Created):
            self._accepted(act, place, created, request.model_dump_json())

    def _accepted(self, act: Submit, place: int, created: Created, sent: str) -> None:
        ref = created.task.ref
        self.accepted[place] = ref
        self._answered[place].settle(ref)
        if ref.tenant != act.tenant:
            self._world.ledger.violate(f"I9: {act.tenant} was given {ref}")
        self._keyed(ref, act.key, sent)

    def _keyed(self, ref: TaskRef, key: str | None, sent: str) -> None:
        if key is None:
            return
        before, body = self._keys.setdefault((ref.tenant, key), (ref, sent))
        if before != ref or body != sent:
            self._world.ledger.violate(f"I2: one key made {before.task_id} and {ref.task_id}")

    def _refused(self, tenant: str, key: str | None, sent: str) -> None:
        earlier = self._keys.get((tenant, key or ""))
        if earlier is not None and earlier[1] == sent:
            self._world.ledger.violate("I2: the same key and body were refused")

    def _later(self, act: Verb) -> None:
        ref = self._known(act.of)
        if ref is None:
            return
        match act:
            case Cancel():
                self._scheduler.sleep(act.at_ms)
                self.cancel(ref)
            case Resume():
                ended = self._world.ledger.end_of(ref)
                ended.on_settled(lambda: self._resume_soon(ref, act))
            case Fork():
                self._fork_in_time(ref, act)
            case Redeliver():
                ended = self._world.ledger.end_of(ref)
                ended.on_settled(lambda: self._redeliver_soon(ref, act))
            case Forget():
                ended = self._world.ledger.end_of(ref)
                ended.on_settled(lambda: self._forget_soon(ref, act))
            case Trespass():
                self._scheduler.sleep(act.at_ms)
                self._trespass(TaskRef(act.tenant, ref.task_id))

    def cancel(self, ref: TaskRef) -> None:
        """Somebody cancels this task, and looks whether that is what became of it."""
        world = self._world
        try:
            tip = self._ask("cancel", lambda: world.cancel(ref))
        except TaskAlreadyFinished:
            head = world.ledger.partition(ref).head
            if head is not None and not head.state.status.is_terminal:
                resumes = any(isinstance(a, Resume) for a in self.acts)
                if not resumes:
                    world.ledger.violate(f"I2: {ref.task_id} was said to have ended, and runs")
            return
        head = world.ledger.partition(ref).head
        if tip is not None and head is not None and head.state.status is not TaskStatus.CANCELLED:
            world.ledger.violate(
                f"I2: {ref.task_id} was cancelled and is {head.state.status.value}"
            )

    def _resume_soon(self, ref: TaskRef, act: Resume) -> None:
        self._scheduler.spawn(lambda: self._resume(ref, act), Life("person"))

    def _resume(self, ref: TaskRef, act: Resume) -> None:
        world, request = self._world, ResumeRequest(upgrade=act.upgrade)
        self._scheduler.sleep(act.after_ms)
        for _ in range(RESUMES):
            try:
                self._ask("resume", partial(world.resume, ref, request))
            except InvalidRequest as exc:
                looked = self._looked(ref, str(exc))
                request = looked.model_copy(update={"upgrade": act.upgrade})
            except TaskNotResumable as exc:
                seconds = _LATER.search(str(exc))
                if seconds is None:
                    return
                self._scheduler.sleep(int(seconds[1]) * SECOND_MS)
            else:
                return
        world.ledger.violate(f"I1: {ref.task_id} can be resumed in no way")

    def _redeliver_soon(self, ref: TaskRef, act: Redeliver) -> None:
        self._scheduler.spawn(lambda: self._redeliver(ref, act), Life("person"))

    def _forget_soon(self, ref: TaskRef, act: Forget) -> None:
        self._scheduler.spawn(lambda: self.operators.forget(ref, act), Life("person"))

    def _redeliver(self, ref: TaskRef, act: Redeliver) -> None:
        """Whoever is told that it goes out again can count on it: the receiver is there by now."""
        world = self._world
        self._scheduler.sleep(act.after_ms)
        end = world.ledger.tasks[ref].ends[-1]
        if not isinstance(end.next, End):
            return
        name = event_id(ref, end_type(end.next), end.number)
        id_ = delivery_id(name, Channel.WEBHOOK)
        if self._ask("redeliver", lambda: world.deliveries.redeliver(ref, id_)) is not None:
            self.sent_again.add(name)

    def _looked(self, ref: TaskRef, asked: str) -> ResumeRequest:
        """What somebody answers who looks what became of each call that the answer names."""
        if asked.endswith("leave it out"):
            return ResumeRequest()  # an answer was lost, and the task has ended again since
        ledger = self._world.ledger
        ended_at = ledger.tasks[ref].ends[-1].number
        said: dict[str, Literal["happened", "did_not_happen"]] = {}
        for id_, about in _ASKED.findall(asked):
            found = {ledger.happened(ref, key) for key in keys_in(about)}
            for name, n in _CALL.findall(about):
                found.add((name, ref, ended_at, int(n)) in ledger.deeds)
            if len(found) != 1:
                ledger.violate(f"I3: nobody can answer this: {about}")
            said[id_] = "happened" if True in found else "did_not_happen"
        return ResumeRequest(effect_outcomes=said)

    def _fork_in_time(self, parent: TaskRef, act: Fork) -> None:
        if act.after_ms is None:
            self._fork(parent, act)
            return
        ended = self._world.ledger.end_of(parent)
        ended.on_settled(lambda: self._fork_soon(parent, act))

    def _fork_soon(self, parent: TaskRef, act: Fork) -> None:
        self._scheduler.spawn(lambda: self._fork(parent, act), Life("person"))

    def _fork(self, parent: TaskRef, act: Fork) -> None:
        world, request = self._world, act.request()
        self._scheduler.sleep(act.at_ms + (act.after_ms or 0))
        if self._scheduler.now_ms > KEYS_FORGOTTEN_MS:
            return  # a key that was used in the beginning may be forgotten by now, and make another fork
        sent = f"fork of {parent.task_id} {request.model_dump_json()}"
        try:
            created = self._ask(
                "fork",
                lambda: world.fork(parent, request, idempotency_key=act.idempotency_key()),
            )
        except IdempotencyKeyReused:
            self._refused(parent.tenant, act.key, sent)
            return
        except (InvalidRequest, TaskNotForkable) as exc:
            self._not_forked(parent, act, exc)
            return
        if isinstance(created, Created):
            self.forks.append(created.task.ref)
            self._keyed(created.task.ref, act.key, sent)

    def _not_forked(self, parent: TaskRef, act: Fork, error: RequestError) -> None:
        ends = self._world.ledger.tasks[parent].ends
        failures = [end.next.failure for end in ends if isinstance(end.next, End)]
        codes = {failure.code for failure in failures if failure is not None}
        has_asked = bool(self._world.ledger.tasks[parent].pauses)
        is_unknown = EffectOutcomeUnknown.code in codes or has_asked
        if not (is_unknown if isinstance(error, TaskNotForkable) else act.step):
            self._world.ledger.violate(f"I1: {parent.task_id} could not be forked: {error}")

    def _trespass(self, ref: TaskRef) -> None:
        """Nothing of another tenant can be found, whatever one calls it."""
        world = self._world
        verbs: tuple[tuple[str, Callable[[TaskRef], Any]], ...] = (
            ("cancel", world.cancel),
            ("resume", world.resume),
            ("fork", lambda ref: world.fork(ref, ForkRequest())),
        )
        for name, verb in verbs:
            try:
                found = self._ask(name, lambda verb=verb: verb(ref))  # type: ignore[misc]
            except TaskNotFound:
                continue
            if found is not None:
                self._world.ledger.violate(f"I9: {ref.tenant} could {name} another tenant's task")

    def _known(self, place: int) -> TaskRef | None:
        answered = self._answered[place]
        self._scheduler.wait(answered, timeout_ms=LONGEST_TASK_MS)
        return self.accepted.get(place)

    def _ask(self, role: str, call: Callable[[], Any]) -> Any:
        """A request, repeated while the answer is 5xx or none; None when one gives up."""
        for tries in range(TRIES):
            invocation = self._world.lambdas.invoke(role, {"call": call})
            is_answered = self._scheduler.wait(invocation.done, timeout_ms=PATIENCE_MS)
            error = invocation.done.error
            if isinstance(error, TenantSuspended):
                self._scheduler.sleep(SUSPENDED_MS)
                continue
            if is_answered and error is None:
                return invocation.done.value
            if isinstance(error, RequestError):
                raise error
            if isinstance(error, DataMissing) and self._may_be_gone:
                return None  # 410: what one asks about was taken, or deleted
            if error is not None and not isinstance(error, RetryableError | Killed):
                self._world.ledger.violate(f"{role} was answered with {error!r}")
            self._scheduler.sleep(SECOND_MS * (tries + 1))
        return None

    @property
    def _may_be_gone(self) -> bool:
        story = self._world.story
        return bool(story.robbed_at_ms) or any(
            isinstance(act, Forget) or (isinstance(act, Suspend) and act.erases)
            for act in story.acts
        )
