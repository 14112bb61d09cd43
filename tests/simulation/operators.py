"""Operators who suspend and erase tenants, people who want to be forgotten, and callers with many goals at once."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ratchet.app.batches import ReadBatch
from ratchet.batch_ports import Batch, BatchCreated
from ratchet.contracts.messages import TaskRef
from ratchet.contracts.request_errors import SessionBusy, SessionNotFound, TenantNotErasable
from ratchet.domain.suspension import Suspension
from tests.simulation.canary import CANARY
from tests.simulation.story import Forget, SubmitBatch, Suspend

if TYPE_CHECKING:
    from tests.simulation.world import World

Ask = Callable[[str, Callable[[], Any]], Any]
LOOKS = 4
LOOK_MS = 180
AGAIN_MS = 60_000
TIMES = 10


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
        stands = self._ask("operate", lambda: tenants.suspend(act.tenant, reason="unpaid"))
        if not isinstance(stands, Suspension):
            self._world.ledger.violate(f"I18: {act.tenant} could not be suspended")
        elif act.erases:
            self._erase(act.tenant)
        else:
            self._scheduler.sleep(act.resumes_after_ms)
            self._ask("operate", lambda: tenants.resume(act.tenant))

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
        for _ in range(TIMES if act.persistent else 1):
            if self._is_forgotten(ref, act):
                self._judge_gone(ref)
                return
            self._scheduler.sleep(AGAIN_MS)
        if act.persistent:
            self._world.ledger.violate(f"I10: {ref.task_id} cannot be deleted")

    def _is_forgotten(self, ref: TaskRef, act: Forget) -> bool:
        world, tenant = self._world, ref.tenant
        if act.session is None:
            user = f"user{act.user} {CANARY}"
            erased = self._ask("forget", lambda: world.erase_user(tenant, user))
            return erased is not None and not erased.open_task_ids and erased.is_complete
        session_id = act.session
        try:
            return (
                self._ask("forget", lambda: world.sessions.delete(tenant, session_id)) is not None
            )
        except SessionBusy:
            return False
        except SessionNotFound:
            return True

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
