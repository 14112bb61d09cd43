"""Accept a goal: write the task, then ring for it. The table is the ledger; the queue only makes it fast."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from ratchet.app.agents import AgentDirectory, AgentInfo
from ratchet.contracts import limits as bounds
from ratchet.contracts.api import LimitsRequest, TaskRequest
from ratchet.contracts.errors import IdempotencyKeyReused, InvalidRequest, StoreUnavailable
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.domain.task import Task, TaskLimits
from ratchet.observability import logger
from ratchet.ports import CheckpointStore, Clock, Created, IdempotencyClaim, Ids, Inbox


@dataclass(frozen=True, slots=True)
class SubmitTask:
    """The use case of `POST /v1/tasks`."""

    store: CheckpointStore
    inbox: Inbox
    agents: AgentDirectory
    clock: Clock
    ids: Ids
    check_webhook: Callable[[str], None]

    def __call__(
        self, request: TaskRequest, *, tenant: str, idempotency_key: str | None = None
    ) -> Created:
        """Create the task, or find the one that the same key and body created before.

        Raises:
            UnknownAgent, InvalidRequest: the request cannot be carried out.
            IdempotencyKeyReused: the key came with another body before.
            StoreUnavailable: nothing was promised; send the same request again.
        """
        agent = self.agents.find(request.agent)
        if request.webhook is not None:
            self.check_webhook(request.webhook.url)
        task = self._task(request, agent, tenant)
        claim = self._claim(request, idempotency_key)
        due = task.created_at_ms + bounds.RING_AGAIN_SECONDS * 1000
        created = self.store.create_task(task, claim=claim, due_at_ms=due)
        if created.is_replay:
            if claim is not None and created.body_sha256 != claim.body_sha256:
                raise IdempotencyKeyReused(
                    "this Idempotency-Key came with another body before; use a new key for a new task"
                )
            return created
        self._ring(created.task.ref)
        return created

    def _ring(self, ref: TaskRef) -> None:
        try:
            self.inbox.send(Doorbell(ref))
        except StoreUnavailable:
            # The task is written and due: losing the doorbell delays it, and must not fail the request.
            logger.warning("doorbell failed", extra={"task_id": ref.task_id})

    def _task(self, request: TaskRequest, agent: AgentInfo, tenant: str) -> Task:
        return Task(
            ref=TaskRef(tenant, self.ids.task_id()),
            goal=request.goal,
            agent=agent.name,
            agent_version=agent.version,
            first_step=agent.first_step,
            limits=tighten(agent.limits, request.limits),
            created_at_ms=self.clock.now_ms(),
            user_id=request.user_id,
            webhook_url=request.webhook.url if request.webhook else None,
            metadata=request.metadata,
        )

    def _claim(self, request: TaskRequest, key: str | None) -> IdempotencyClaim | None:
        if key is None:
            return None
        if not 0 < len(key) <= bounds.MAX_IDEMPOTENCY_KEY_CHARS:
            raise InvalidRequest(
                f"Idempotency-Key must have 1 to {bounds.MAX_IDEMPOTENCY_KEY_CHARS} characters"
            )
        body = request.model_dump_json(exclude_none=True).encode()
        expires = self.clock.now_ms() // 1000 + bounds.IDEMPOTENCY_RETENTION_SECONDS
        return IdempotencyClaim(key, hashlib.sha256(body).hexdigest(), expires)


def tighten(agent: TaskLimits, request: LimitsRequest | None) -> TaskLimits:
    """The agent's limits with the request's in their place.

    Raises:
        InvalidRequest: the request asks for more than the agent allows.
    """
    asked = request.model_dump(exclude_none=True) if request else {}
    for name, value in asked.items():
        allowed = getattr(agent, name)
        if value > allowed:
            raise InvalidRequest(
                f"limits.{name}: {value} is above the agent's own limit of {allowed}; "
                "ask for less, or raise the limit in the agent's definition"
            )
    return TaskLimits(
        max_steps=asked.get("max_steps", agent.max_steps),
        max_cost_usd=asked.get("max_cost_usd", agent.max_cost_usd),
        max_tokens=asked.get("max_tokens", agent.max_tokens),
        deadline_seconds=asked.get("deadline_seconds", agent.deadline_seconds),
    )
