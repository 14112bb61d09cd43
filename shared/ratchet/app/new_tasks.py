"""What every new task needs, however it came about: its limits, its key, one atomic write, the doorbell."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

from ratchet.app.agents import AgentDirectory
from ratchet.app.deployed_models import DeployedModels
from ratchet.app.routing_in_force import DeployedRouting, Routing
from ratchet.app.suspensions import nobody, refuse_suspended
from ratchet.contracts import limits as bounds
from ratchet.contracts.errors import StoreUnavailable
from ratchet.contracts.messages import Doorbell, TaskRef
from ratchet.contracts.pinned_routes import PinnedRoutes
from ratchet.contracts.request_errors import IdempotencyKeyReused, InvalidRequest
from ratchet.contracts.task_api import GoalRequest, LimitsRequest, WebhookRequest
from ratchet.domain.complexity import rate
from ratchet.domain.session import Move
from ratchet.domain.task import Task, TaskLimits
from ratchet.observability import logger
from ratchet.ports import Clock, Created, IdempotencyClaim, Ids, Inbox
from ratchet.session_ports import SessionStore


@dataclass(frozen=True, slots=True)
class NewTasks:
    """The base of the use cases that make tasks. The table is the ledger; the queue only makes it fast."""

    store: SessionStore
    inbox: Inbox
    agents: AgentDirectory
    clock: Clock
    ids: Ids
    check_webhook: Callable[[str], None]
    models: DeployedModels = field(default_factory=DeployedModels)
    routing: Routing = field(default_factory=DeployedRouting)
    is_suspended: Callable[[str], bool] = nobody

    @classmethod
    def beside(cls, other: "NewTasks") -> Self:
        """This use case on the ports of another one."""
        return cls(
            store=other.store,
            inbox=other.inbox,
            agents=other.agents,
            clock=other.clock,
            ids=other.ids,
            check_webhook=other.check_webhook,
            models=other.models,
            routing=other.routing,
            is_suspended=other.is_suspended,
        )

    def _check_tenant(self, tenant: str) -> None:
        """Refuse a tenant of which nothing may begin.

        Raises:
            TenantSuspended: it is suspended.
        """
        refuse_suspended(is_suspended=self.is_suspended(tenant))

    def _fresh(self, request: GoalRequest, tenant: str) -> Task:
        """A task from the beginning.

        Raises:
            UnknownAgent, ModelNotPriced, InvalidRequest: the request cannot be carried out.
        """
        agent = self.agents.find(request.agent)
        first, tools = agent.first_step, len(agent.tools)
        rating = rate(request.complexity, goal=request.goal, first_step=first, tools=tools)
        task = Task(
            ref=TaskRef(tenant, self.ids.task_id()),
            goal=request.goal,
            agent=agent.name,
            agent_version=agent.version,
            first_step=first,
            limits=tighten(agent.limits, request.limits),
            created_at_ms=self.clock.now_ms(),
            user_id=request.user_id,
            webhook_url=self._webhook_url(request.webhook),
            metadata=request.metadata,
            rating=rating,
            routes=self._routes(),
            priority=bounds.DEFAULT_PRIORITY if request.priority is None else request.priority,
        )
        return replace(task, first_step=task.rated(first))

    def _create(
        self, task: Task, claim: IdempotencyClaim | None, joining: Move | None = None
    ) -> Created:
        """Write the task (and its session) and ring for it, or find the one that the same key and content made before.

        Raises:
            SessionMoved: somebody else has changed the session since it was read.
            IdempotencyKeyReused: the key came with another content before.
            StoreUnavailable: nothing was promised; send the same request again.
        """
        due = task.created_at_ms + bounds.RING_AGAIN_SECONDS * 1000
        if joining is None:
            created = self.store.create_task(task, claim=claim, due_at_ms=due)
        else:
            created = self.store.create_in_session(task, claim=claim, due_at_ms=due, move=joining)
        if created.is_replay:
            return self._first_answer(created, claim)
        self._ring(created.task.ref)
        return created

    def _first_answer(self, created: Created, claim: IdempotencyClaim | None) -> Created:
        """What the key made before, if it came with the same content."""
        if claim is not None and created.body_sha256 != claim.body_sha256:
            raise IdempotencyKeyReused(
                "this Idempotency-Key came with another request before; use a new key for a new task"
            )
        return created

    def _routes(self) -> PinnedRoutes | None:
        """The routes to pin in a new task; None for the deployed ones.

        Raises:
            ModelNotPriced: the deployed ones lead to a model without a price.
        """
        override = self.routing.current().routes
        if override is None:
            self.models.check()
        return override

    def claim(self, key: str | None, content: str, *, kind: str = "") -> IdempotencyClaim | None:
        """The caller's key for a request of that content; of each kind of request the keys are their own.

        Raises:
            InvalidRequest: it is too long, or empty.
        """
        if key is None:
            return None
        if not 0 < len(key) <= bounds.MAX_IDEMPOTENCY_KEY_CHARS:
            raise InvalidRequest(
                f"Idempotency-Key must have 1 to {bounds.MAX_IDEMPOTENCY_KEY_CHARS} characters"
            )
        expires = self.clock.now_ms() // 1000 + bounds.IDEMPOTENCY_RETENTION_SECONDS
        # With a newline, which no header can hold, so that no key of a task is one of another kind.
        own = f"{kind}\n{key}" if kind else key
        return IdempotencyClaim(own, hashlib.sha256(content.encode()).hexdigest(), expires)

    def _webhook_url(self, webhook: WebhookRequest | None) -> str | None:
        if webhook is None:
            return None
        self.check_webhook(webhook.url)
        return webhook.url

    def _ring(self, ref: TaskRef) -> None:
        try:
            self.inbox.send(Doorbell(ref))
        except StoreUnavailable:
            # The task is written and due: losing the doorbell delays it, and must not fail the request.
            logger.warning("doorbell failed", extra={"task_id": ref.task_id})


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
