"""Operators who suspend and erase tenants, people who want to be forgotten, and callers with many goals at once."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ratchet.app.batches import ReadBatch
from ratchet.app.user_erasure import Erased
from ratchet.batch_ports import Batch, BatchCreated
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.request_errors import SessionBusy, SessionNotFound, TenantNotErasable
from tests.simulation.canary import CANARY
from tests.simulation.story import Forget, SubmitBatch, Suspend
from tests.simulation.tenancy import judge_still

if TYPE_CHECKING:
    from tests.simulation.world import World

Ask = Callable[[str, Callable[[], Any]], Any]
LOOKS = 4
LOOK_MS = 180
AGAIN_MS = 60_000
TIMES = 40
WAITS = 3
"""So often somebody waits for a task that keeps what he wants to delete; then he cancels it, as he is told."""


class Operators:
    """All of them; `batches` are those that were accepted."""

    def __init__(self, world: "World", ask: Ask) -> None:
        self.batches: list[Batch] = []
        self._world = world
        self._scheduler = world.scheduler
        self._ask = ask

    def begin(self, act: Suspend | SubmitBatch) -> None:
        """Somebody does this."""
        match act:
            case Suspend():
                self._suspend(act)
            case SubmitBatch():
                self._submit(act)

    def _suspend(self, act: Suspend) -> None:
        """Suspend a tenant; then let it go on, or erase it as soon as that is allowed."""
        tenants = self._world.tenants
        self._scheduler.sleep(act.at_ms)
        self._operate(lambda: tenants.suspend(act.tenant, reason="unpaid"))
        if act.erases:
            self._erase(act.tenant)
        else:
            self._scheduler.sleep(act.resumes_after_ms)
            judge_still(self._world, act.tenant)
            self._operate(lambda: (tenants.resume(act.tenant), True))

    def _operate(self, call: Callable[[], object]) -> None:
        """Do it, and on another try later when there was no answer: who suspends a tenant looks after it."""
        for _ in range(TIMES):
            if self._ask("operate", call) is not None:
                return
            self._scheduler.sleep(AGAIN_MS)
        self._world.ledger.violate("I18: a tenant can neither be suspended nor let go on")

    def _erase(self, tenant: str) -> None:
        """Erase the tenant: not before it is allowed, and again until it is said to be done."""
        for _ in range(TIMES):
            try:
                done = self._ask("operate", lambda: self._world.erase_tenant(tenant))
            except TenantNotErasable:
                self._scheduler.sleep(5 * AGAIN_MS)
                continue
            if done is not None:
                self._world.suspensions.erased.add(tenant)
                return
        self._world.ledger.violate(f"I10: {tenant} cannot be erased")

    def forget(self, ref: TaskRef, act: Forget) -> None:
        """Delete a session or what is kept of a user; once there is an answer, nothing of the task is left."""
        self._scheduler.sleep(act.after_ms)
        for tries in range(TIMES if act.persistent else 1):
            open_ids = self._still_open(ref, act)
            if open_ids is not None and not open_ids:
                self._judge_gone(ref)
                return
            for task_id in (open_ids or ()) if tries >= WAITS else ():
                self._world.people.cancel(TaskRef(ref.tenant, task_id))
            self._scheduler.sleep(AGAIN_MS)
        if act.persistent:
            self._world.ledger.violate(f"I10: {ref.task_id} cannot be deleted")

    def _still_open(self, ref: TaskRef, act: Forget) -> tuple[str, ...] | None:
        """The tasks because of which not all is deleted; None where the answer names none."""
        world, tenant = self._world, ref.tenant
        if act.session is None:
            user = f"user{act.user} {CANARY}"
            erased = self._ask("forget", lambda: world.erase_user(tenant, user))
            if not isinstance(erased, Erased):
                return None
            return erased.open_task_ids if erased.open_task_ids or erased.is_complete else None
        session_id = act.session
        try:
            deleted = self._ask("forget", lambda: world.sessions.delete(tenant, session_id))
        except SessionBusy as exc:
            return (exc.task_id,) if exc.task_id else None
        except SessionNotFound:
            return ()
        return None if deleted is None else ()

    def _judge_gone(self, ref: TaskRef) -> None:
        ledger, store = self._world.ledger, self._world.store
        if store.twin.load_remains(ref) is not None:
            ledger.violate(f"I10: {ref.task_id} was said to be deleted, and is there")

    def _submit(self, act: SubmitBatch) -> None:
        """Submit a batch, and look how far it is."""
        world, request = self._world, act.request()
        self._scheduler.sleep(act.at_ms)
        call = partial(world.submit_batch, request, tenant=act.tenant, idempotency_key=act.key)
        created = self._ask("batch", call)
        if not isinstance(created, BatchCreated):
            return
        if any(batch.batch_id != created.batch.batch_id for batch in self.batches):
            world.ledger.violate("I19: one key made two batches")
        self.batches.append(created.batch)
        for _ in range(LOOKS):
            self._look(created.batch)
            self._scheduler.sleep(LOOK_MS)

    def _look(self, batch: Batch) -> None:
        read = ReadBatch(self._world.batches)
        view = self._ask("batch", lambda: read(batch.tenant, batch.batch_id))
        if view is not None and sum(view.statuses.values()) + view.erased != view.total:
            self._world.ledger.violate(f"I19: {view.statuses} do not add up to {view.total}")
